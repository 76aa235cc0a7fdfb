"""Kept replies are read again: their images become outcomes, and the account follows."""

import base64
import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nbp_async import (
    Client,
    ConfigError,
    Failure,
    Image,
    NoRunError,
    Profile,
    RunBusyError,
    read_run,
    rebuild_run,
    recover_run,
)
from nbp_async._transports import content_coding
from nbp_async._vendors.profiles import DialectName
from nbp_async.fake import faults
from tests.loopback.play import play
from tests.pictures import png
from tests.raw_server import Peer, RawServer, answering, framed
from tests.raw_server import serving as raw_serving

pytestmark = pytest.mark.looptime

KEY = "sk-canary-key-that-must-never-be-seen-0001"
PNG = png(1024, 1024, padding=2_000_000)
TEXT = base64.b64encode(PNG).decode()
# Gemini's answer, asked for as OpenAI's: a wrong address, or a relay that changed its API.
PARTS = [{"functionCall": {"name": "show"}}, {"inlineData": {"data": TEXT}}]
GEMINI = json.dumps(
    {
        "candidates": [{"content": {"parts": PARTS}, "finishReason": "STOP"}],
        "usageMetadata": {
            "candidatesTokenCount": 1120,
            "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1120}],
        },
    }
).encode()


async def ask(
    server: RawServer, dialect: DialectName = "openai_images", *prompts: str, **options: Any
) -> list[Image | Failure]:
    url = server.url.removesuffix("/images")
    vendor = Profile(name="relay", base_url=url, dialect=dialect, model="gemini-3-pro-image")
    async with Client(vendor, KEY, account="me") as gen:
        return list(await gen.many(prompts or ["a red bicycle"], size="1K", **options))


@pytest.mark.parametrize("dialect", ["openai_images", "gemini"])
async def test_an_image_in_the_other_api_s_form_is_kept_and_recovered(
    dialect: DialectName, tmp_path: Path
) -> None:
    outcome, server = await play(faults.foreign(), dialect=dialect, out=tmp_path)
    assert isinstance(outcome, Failure)
    (image,) = (await recover_run(tmp_path)).images
    assert image.spent_earlier <= server.bank.billed <= image.spent_earlier * Decimal("1.05")
    assert read_run(tmp_path).totals.images == 1


async def kept(out: Path | None, body: bytes = GEMINI, *prompts: str) -> Failure:
    async with raw_serving(answering(framed(body))) as server:
        failed = (await ask(server, "openai_images", *prompts, out=out))[0]
    assert isinstance(failed, Failure)
    assert failed.unread
    return failed


async def test_another_dialect_reads_it(tmp_path: Path) -> None:
    failed = await kept(tmp_path)
    (image,) = await recover_run(tmp_path)
    assert isinstance(image, Image)
    assert image.read() == PNG
    assert image.path is not None
    assert (image.path.parent, image.path.name[:7]) == (tmp_path, "000000-")
    assert image.path.stat().st_mode & 0o777 == 0o600
    assert not Path(failed.unread).exists()
    assert not (tmp_path / "unread").exists()


async def test_journal_manifest_and_account_follow(tmp_path: Path) -> None:
    failed = await kept(tmp_path)
    before = read_run(tmp_path)
    assert before.states == {"failed": 1}
    assert (before.totals.spent, before.totals.maybe) == (failed.spent, failed.maybe_spent)
    (image,) = await recover_run(tmp_path)
    report = read_run(tmp_path)
    assert report.states == {"stored": 1}
    assert (report.totals.spent, report.totals.maybe) == (Decimal("0.1344"), Decimal(0))
    assert (image.spent_earlier, image.spent, image.unread) == (Decimal("0.1344"), Decimal(0), "")
    (line,) = (tmp_path / "manifest.jsonl").read_bytes().splitlines()
    assert (json.loads(line)["state"], json.loads(line)["unread"]) == ("stored", "")


async def test_it_is_not_bought_again(tmp_path: Path) -> None:
    await kept(tmp_path)
    await recover_run(tmp_path)
    async with raw_serving(answering(framed(GEMINI))) as server:
        (image,) = await ask(server, "openai_images", out=tmp_path, retry_failed=True)
        assert not server.requests
    assert isinstance(image, Image)
    assert image.resumed
    assert not await recover_run(tmp_path)


@pytest.mark.parametrize("coding", ["br", "zstd"])
async def test_what_a_missing_package_could_not_inflate_is_read_once_it_is_there(
    tmp_path: Path, coding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = pytest.importorskip({"br": "brotli", "zstd": "zstandard"}[coding])
    noise = random.Random(7).randbytes(50_000).hex()  # all else shrinks to nothing
    body = package.compress(json.dumps({"data": [{"b64_json": TEXT}], "noise": noise}).encode())
    answer = framed(body, headers=b"Content-Encoding: %b\r\n" % coding.encode())
    with monkeypatch.context() as without:
        without.setattr(content_coding, "find_spec", lambda _: None)
        async with raw_serving(answering(answer)) as server:
            (failed,) = await ask(server, out=tmp_path)
        assert isinstance(failed, Failure)
        assert failed.unread
        (again,) = await recover_run(tmp_path)
        assert isinstance(again, Failure)
    (image,) = await recover_run(tmp_path)
    assert isinstance(image, Image)
    assert image.read() == PNG


async def test_what_still_cannot_be_read_stays(tmp_path: Path) -> None:
    failed = await kept(tmp_path, GEMINI[:-90_000])
    totals = read_run(tmp_path).totals
    for dialect in (None, "gemini", "openai_images"):
        (again,) = await recover_run(tmp_path, dialect=dialect)
        assert isinstance(again, Failure)
        assert again.unread == again.error.unread == failed.unread
        assert again.billing == failed.billing
    assert Path(failed.unread).is_file()
    assert read_run(tmp_path).totals == totals
    assert not list(tmp_path.glob("*.png"))


async def test_the_wrong_dialect_finds_nothing(tmp_path: Path) -> None:
    await kept(tmp_path)
    assert not (await recover_run(tmp_path, dialect="openai_images")).images
    assert (await recover_run(tmp_path, dialect="gemini")).images


async def test_of_many_each_gets_its_own(tmp_path: Path) -> None:
    async def handler(peer: Peer) -> None:
        request = await peer.request()
        number = int(request.partition(b"prompt ")[2][:1])
        image = png(1024, 1024, padding=number)
        part = {"inlineData": {"data": base64.b64encode(image).decode()}}
        await peer.say(
            framed(json.dumps({"candidates": [{"content": {"parts": [part]}}]}).encode())
        )

    async with raw_serving(handler) as server:
        await ask(server, "openai_images", "prompt 1", "prompt 2", out=tmp_path)
    batch = await recover_run(tmp_path)
    found = {image.prompt.text: image.read() for image in batch.images}
    assert found == {f"prompt {n}": png(1024, 1024, padding=n) for n in (1, 2)}


async def test_a_link_in_it_is_fetched(tmp_path: Path) -> None:
    async def handler(peer: Peer) -> None:
        request = await peer.request()
        assert request.startswith(b"GET /files/1 ")
        assert KEY.encode() not in request
        await peer.say(framed(PNG))

    part = {"fileData": {"fileUri": "/files/1"}}
    body = json.dumps({"candidates": [{"content": {"parts": [part]}}]}).encode()
    failed = await kept(tmp_path, body)
    async with raw_serving(handler) as server:
        _point_to(Path(failed.unread), server)
        (image,) = await recover_run(tmp_path, allow_private=True)
    assert isinstance(image, Image)
    assert image.read() == PNG


def _point_to(reply: Path, server: RawServer) -> None:
    """The server has another port by now."""
    head, _, body = reply.read_bytes().partition(b"\n")
    known = json.loads(head) | {"url": server.url}
    reply.write_bytes(json.dumps(known).encode() + b"\n" + body)


async def test_a_temporary_file_is_recovered_to_where_it_is_wanted(tmp_path: Path) -> None:
    failed = await kept(None)
    with pytest.raises(ConfigError, match="out="):
        await recover_run(failed.unread)
    (image,) = await recover_run(failed.unread, out=tmp_path)
    assert isinstance(image, Image)
    assert image.path is not None
    assert (image.read(), image.path.parent, image.prompt.text) == (PNG, tmp_path, "a red bicycle")
    assert Path(failed.unread).exists()


async def test_a_folder_without_a_journal_has_them_too(tmp_path: Path) -> None:
    async with raw_serving(answering(framed(GEMINI))) as server:
        await ask(server, "openai_images", out=tmp_path, journal=False)
    (image,) = await recover_run(tmp_path)
    assert image.ok
    assert image.spent_earlier == Decimal("0.1344")
    with pytest.raises(NoRunError):
        await recover_run(tmp_path)


async def test_one_whose_record_was_lost_to_a_kill_is_found_by_its_name(tmp_path: Path) -> None:
    failed = await kept(tmp_path)
    other = tmp_path / "unread" / "000000-1-00000000.reply"
    Path(failed.unread).rename(other)
    (image,) = await recover_run(tmp_path)
    assert image.ok
    assert read_run(tmp_path).states == {"stored": 1}


async def test_a_rebuilt_journal_names_them_still(tmp_path: Path) -> None:
    await kept(tmp_path)
    (tmp_path / "journal.sqlite3").unlink()
    rebuild_run(tmp_path)
    (image,) = await recover_run(tmp_path)
    assert image.ok
    assert read_run(tmp_path).states == {"stored": 1}


async def test_refuses_what_is_no_run_or_in_use(tmp_path: Path) -> None:
    with pytest.raises(NoRunError):
        await recover_run(tmp_path)
    await kept(tmp_path)

    async def handler(peer: Peer) -> None:
        await peer.request()
        with pytest.raises(RunBusyError):
            await recover_run(tmp_path)
        await peer.say(framed(b"{}"))

    async with raw_serving(handler) as server:
        await ask(server, "openai_images", "another", out=tmp_path)


@pytest.mark.parametrize("damage", [b"", b"no line", b"{}\n", b'{"status": 1}\nx'])
async def test_a_damaged_kept_file_is_a_failure(tmp_path: Path, damage: bytes) -> None:
    failed = await kept(tmp_path)
    Path(failed.unread).write_bytes(damage)
    (again,) = await recover_run(tmp_path)
    assert isinstance(again, Failure)
    assert "not a kept answer" in str(again.error)
