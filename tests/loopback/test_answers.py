"""Answers in forms that nobody asked for bring their image, at its price, over real sockets."""

import base64
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nbp_async._client.client import Client
from nbp_async._models.outcomes import Failure, Image, Outcome
from nbp_async._vendors.profiles import DialectName, Profile
from tests.pictures import png
from tests.raw_server import OK, Handler, Peer, RawServer, answering, chunked, framed, lingering
from tests.raw_server import serving as raw_serving

pytestmark = pytest.mark.looptime

KEY = "sk-canary-key-that-must-never-be-seen-0001"
PNG = png(1024, 1024)
SECOND = png(1024, 1024, padding=9)
PNG_TEXT = base64.b64encode(PNG).decode()
WHOLE = json.dumps({"data": [{"b64_json": PNG_TEXT}]}).encode()


async def ask(
    handler: Handler, dialect: DialectName = "openai_images", **options: Any
) -> tuple[Outcome, RawServer]:
    """One prompt to a server that speaks so."""
    async with raw_serving(handler) as server:
        url = server.url.removesuffix("/images")
        vendor = Profile(name="relay", base_url=url, dialect=dialect, model="gemini-3-pro-image")
        async with Client(vendor, KEY) as gen:
            (outcome,) = await gen.many(["a red bicycle"], size="1K", **options)
    return outcome, server


def assert_whole(outcome: Outcome) -> Image:
    assert isinstance(outcome, Image), outcome
    assert outcome.read() == PNG
    return outcome


TOO_LONG = OK + b"Content-Length: %d\r\n\r\n%b" % (len(WHOLE) + 1, WHOLE)


@pytest.mark.parametrize("speak", [answering, lingering], ids=["closed", "kept open"])
@pytest.mark.parametrize("answer", [chunked(WHOLE, last=False), TOO_LONG], ids=["chunked", "long"])
async def test_a_whole_document_whose_end_is_missing_is_whole(speak: Any, answer: bytes) -> None:
    outcome, _ = await ask(speak(answer))
    assert assert_whole(outcome).notes == ()


@pytest.mark.parametrize("missing", [1, 2, 50])
async def test_a_document_that_is_not_whole_is_no_success(missing: int) -> None:
    for answer in (chunked(WHOLE[:-missing], last=False), framed(WHOLE)[:-missing]):
        outcome, _ = await ask(answering(answer))
        assert isinstance(outcome, Failure)
        assert type(outcome.error).__name__ == "TruncatedError"
        assert outcome.billing == "yes"


async def test_tokens_out_of_all_proportion_are_named_and_not_booked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    details = [{"modality": "IMAGE", "tokenCount": 1_000_000}]
    usage = {"candidatesTokenCount": 1_000_000, "candidatesTokensDetails": details}
    part = {"inlineData": {"data": PNG_TEXT}}
    answer = {"candidates": [{"content": {"parts": [part]}}], "usageMetadata": usage}
    outcome, _ = await ask(answering(framed(json.dumps(answer).encode())), "gemini")
    image = assert_whole(outcome)
    assert Decimal("0.134") <= image.cost < Decimal("0.16")
    (note,) = image.notes
    assert "would cost $120, out of all proportion" in note
    assert f"${image.cost.normalize():f} is booked" in note
    assert f"Image 1: {note}." in caplog.text


async def test_a_relative_link_leads_to_the_endpoint() -> None:
    async def handler(peer: Peer) -> None:
        request = await peer.request()
        if request.startswith(b"POST"):
            await peer.say(framed(b'[{"url": "/files/7?a=%2F"}]'))
        else:
            await peer.say(framed(PNG))

    outcome, server = await ask(handler)
    image = assert_whole(outcome)
    assert server.requests[1].startswith(b"GET /files/7?a=%2F HTTP/1.1")
    assert image.url == f"{server.url.removesuffix('/v1/images')}/files/7?a=%2F"
    assert KEY.encode() not in server.requests[1]


async def test_two_finished_images_are_both_kept_and_billed_by_their_tokens(tmp_path: Path) -> None:
    parts = [{"inlineData": {"data": base64.b64encode(data).decode()}} for data in (PNG, SECOND)]
    details = [{"modality": "IMAGE", "tokenCount": 2240}]
    usage = {"candidatesTokenCount": 2240, "candidatesTokensDetails": details}
    candidate = {"content": {"parts": parts}, "finishReason": "STOP"}
    answer = json.dumps({"candidates": [candidate], "usageMetadata": usage}).encode()
    outcome, _ = await ask(answering(framed(answer)), "gemini", out=tmp_path)
    assert [path.read_bytes() for path in sorted(tmp_path.glob("*.png"))] == [PNG, SECOND]
    (extra,) = assert_whole(outcome).extras
    assert extra.read() == SECOND
    assert outcome.billing == "yes"
    assert outcome.spent == Decimal("0.2688")


@pytest.mark.parametrize("dialect", ["openai_images", "openai_chat"])
async def test_two_images_of_openai_s_kind_are_kept_and_billed_by_their_tokens(
    tmp_path: Path, dialect: DialectName
) -> None:
    texts = [base64.b64encode(data).decode() for data in (PNG, SECOND)]
    urls = [{"image_url": {"url": f"data:image/png;base64,{text}"}} for text in texts]
    answer = {
        "data": [{"b64_json": text} for text in texts],
        "usage": {"output_tokens": 2240, "output_tokens_details": {"image_tokens": 2240}},
    }
    if dialect == "openai_chat":
        usage = {"completion_tokens": 2240, "completion_tokens_details": {"image_tokens": 2240}}
        answer = {"choices": [{"message": {"images": urls}}], "usage": usage}
    outcome, _ = await ask(answering(framed(json.dumps(answer).encode())), dialect, out=tmp_path)
    (extra,) = assert_whole(outcome).extras
    assert extra.read() == SECOND
    assert outcome.spent == Decimal("0.2688")


async def test_a_note_reaches_the_image_and_the_manifest(tmp_path: Path) -> None:
    answer = WHOLE[:-1] + b', "score": NaN}</html>'
    outcome, _ = await ask(answering(framed(answer)), out=tmp_path)
    image = assert_whole(outcome)
    assert len(image.notes) == 2
    assert "not valid JSON and was repaired" in image.notes[0]
    (line,) = (tmp_path / "manifest.jsonl").read_bytes().splitlines()
    assert json.loads(line)["notes"] == "; ".join(image.notes)


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10"><script>alert(1)</script></svg>'


@pytest.mark.parametrize(
    ("data", "suffix", "notes"),
    [
        (SVG, ".svg", ()),
        (PNG + b"signed", ".png", ("bytes follow the end of the image's png",)),
    ],
)
@pytest.mark.parametrize("by_link", [False, True])
async def test_other_kinds_of_images_are_kept_as_they_came(
    tmp_path: Path, data: bytes, suffix: str, notes: tuple[str, ...], by_link: bool
) -> None:
    body = {"b64_json": base64.b64encode(data).decode()}

    async def handler(peer: Peer) -> None:
        request = await peer.request()
        answer = {"url": "/x"} if by_link else body
        post = request.startswith(b"POST")
        await peer.say(framed(json.dumps({"data": [answer]}).encode() if post else data))

    outcome, _ = await ask(handler, out=tmp_path)
    assert isinstance(outcome, Image), outcome
    assert outcome.path is not None
    assert (outcome.path.suffix, outcome.notes) == (suffix, notes)
    assert outcome.path.read_bytes() == data
    assert "<script" not in outcome._repr_html_()
