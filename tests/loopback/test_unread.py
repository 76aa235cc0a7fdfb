"""A paid reply whose images cannot be delivered is kept as it came, and named."""

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from nbp_async._client.client import Client
from nbp_async._journal.reader import read_run
from nbp_async._models.outcomes import Failure
from nbp_async._models.settings import Limits
from nbp_async._transports import content_coding
from nbp_async._vendors.profiles import DialectName, Profile
from tests.pictures import png
from tests.raw_server import answering, framed
from tests.raw_server import serving as raw_serving

pytestmark = pytest.mark.looptime

KEY = "sk-canary-key-that-must-never-be-seen-0001"
PNG = png(1024, 1024)
LARGE = png(1024, 1024, padding=3_000_000)


def document(image: bytes, **more: Any) -> bytes:
    return json.dumps({"data": [{"b64_json": base64.b64encode(image).decode()}], **more}).encode()


async def failure(
    answer: bytes,
    dialect: DialectName = "openai_images",
    *,
    limits: Limits | None = None,
    **options: Any,
) -> Failure:
    """The failure of one prompt that is answered so."""
    async with raw_serving(answering(answer)) as server:
        url = server.url.removesuffix("/images")
        vendor = Profile(name="relay", base_url=url, dialect=dialect, model="gemini-3-pro-image")
        async with Client(vendor, KEY, limits=limits) as gen:
            (outcome,) = await gen.many(["a red bicycle"], size="1K", **options)
    assert isinstance(outcome, Failure)
    return outcome


def kept(failed: Failure) -> tuple[dict[str, Any], bytes]:
    """What is known of the kept reply, and its body."""
    head, _, body = Path(failed.unread).read_bytes().partition(b"\n")
    return json.loads(head), body


CUT = document(LARGE)[:-50]
UNREADABLE = {
    "a web page": b"<html>welcome</html>",
    "another API": b'{"picture": "%b"}' % base64.b64encode(PNG),
    "no image": b'{"data": []}',
    "cut": CUT,
    "damaged": document(PNG[:-900]),
    "not an image": document(b"GIF?" * 9999),
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=list(UNREADABLE))
async def test_it_is_kept_in_the_runs_folder_as_it_came(tmp_path: Path, body: bytes) -> None:
    failed = await failure(framed(body), out=tmp_path)
    head, came = kept(failed)
    assert came == body
    assert (head["status"], head["prompt"]) == (200, "a red bicycle")
    path = Path(failed.unread)
    assert re.fullmatch(r"000000-1-[0-9a-f]{8}\.reply", path.name)
    assert path.parent == tmp_path / "unread"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert not list(tmp_path.glob("*.part"))


async def test_error_journal_manifest_and_rows_name_it(tmp_path: Path) -> None:
    failed = await failure(framed(CUT), out=tmp_path)
    name = str(Path(failed.unread).relative_to(tmp_path))
    assert failed.error.unread == failed.unread
    assert failed.unread in str(failed.error)
    (line,) = (tmp_path / "manifest.jsonl").read_bytes().splitlines()
    assert json.loads(line)["unread"] == name
    report = read_run(tmp_path)
    assert [row.unread for row in report.rows()] == [name]
    assert [outcome.unread for outcome in report.outcomes()] == [failed.unread]


async def test_a_run_made_again_names_it_still(tmp_path: Path) -> None:
    first = await failure(framed(CUT), out=tmp_path)
    again = await failure(framed(document(PNG)), out=tmp_path)
    assert (type(again.error).__name__, again.unread) == ("ParkedError", first.unread)


async def test_without_a_folder_it_is_a_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    failed = await failure(framed(CUT))
    path = Path(failed.unread)
    assert path.parent == tmp_path
    assert path.name.startswith("nbp-unread-")
    assert path.stat().st_mode & 0o777 == 0o600
    assert kept(failed)[1] == CUT


async def test_where_the_folder_cannot_take_it_it_is_a_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, other = tmp_path / "run", tmp_path / "tmp"
    other.mkdir()
    folder.mkdir()
    (folder / "unread").write_bytes(b"a file is in the way")
    monkeypatch.setattr("tempfile.tempdir", str(other))
    failed = await failure(framed(CUT), out=folder)
    assert Path(failed.unread).parent == other
    assert kept(failed)[1] == CUT


def packed(body: bytes, coding: str = "gzip") -> bytes:
    """The answer, with this body as it was compressed on the way."""
    return framed(body, headers=b"Content-Encoding: %b\r\n" % coding.encode())


@pytest.mark.parametrize("status", [b"200 OK", b"203 Else"])
async def test_what_cannot_be_inflated_is_kept_as_it_was_sent(
    tmp_path: Path, status: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = pytest.importorskip("brotli").compress(document(LARGE))
    monkeypatch.setattr(content_coding, "find_spec", lambda _: None)
    failed = await failure(packed(body, "br").replace(b"200 OK", status, 1), out=tmp_path)
    head, came = kept(failed)
    assert came == body
    assert head["headers"]["content-encoding"] == "br"
    assert failed.billing != "no"


@pytest.mark.parametrize("at", [0.1, 0.6, 0.95])
async def test_what_is_damaged_in_its_compression_is_kept_to_its_end(
    tmp_path: Path, at: float
) -> None:
    body = bytearray(gzip.compress(document(LARGE)))
    where = int(len(body) * at)
    body[where : where + 50] = bytes(50)
    failed = await failure(packed(bytes(body)), out=tmp_path)
    assert "compressed" in str(failed.error)
    assert kept(failed)[1] == body


async def test_what_inflates_beyond_all_measure_is_kept_small(tmp_path: Path) -> None:
    body = gzip.compress(bytes(64 * 1024 * 1024))
    failed = await failure(packed(body), out=tmp_path)
    assert kept(failed)[1] == body


async def test_what_inflates_is_kept_inflated_and_without_the_key(tmp_path: Path) -> None:
    body = document(PNG[:-900], echo=KEY)
    failed = await failure(packed(gzip.compress(body)), out=tmp_path)
    assert kept(failed)[1] == body.replace(KEY.encode(), b"[hidden]")


@pytest.mark.parametrize("echo", [KEY, KEY.replace("-", "%2D"), json.dumps({"k": KEY})])
async def test_the_key_is_in_no_kept_reply(tmp_path: Path, echo: str) -> None:
    body = b"<p>" + b"x" * 1_048_500 + echo.encode() * 20_000
    answer = framed(body).replace(b"\r\n\r\n", f"\r\nX-Echo: {KEY}\r\n\r\n".encode(), 1)
    failed = await failure(answer, out=tmp_path)
    whole = Path(failed.unread).read_bytes()
    assert KEY.encode() not in whole
    assert whole.count(b"[hidden]") in (20_001, 1)


async def test_it_is_bounded_by_max_body(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + document(LARGE)
    failed = await failure(answer, limits=Limits(max_body=2_000_000), out=tmp_path)
    assert type(failed.error).__name__ == "BodyTooLargeError"
    came = kept(failed)[1]
    assert len(came) <= 2_000_000
    assert document(LARGE).startswith(came)
    assert len(came) > 1_500_000


async def test_a_success_that_is_none_of_the_apis_is_kept(tmp_path: Path) -> None:
    body = document(LARGE)
    failed = await failure(framed(body).replace(b"200 OK", b"203 Else", 1), out=tmp_path)
    assert failed.billing != "no"
    head, came = kept(failed)
    assert (head["status"], came) == (203, body)


async def test_refusals_and_images_leave_nothing(tmp_path: Path) -> None:
    refused = await failure(framed(b"{}").replace(b"200 OK", b"400 Bad", 1), out=tmp_path / "a")
    assert (refused.unread, refused.error.unread) == ("", "")
    assert not (tmp_path / "a" / "unread").exists()
    async with raw_serving(answering(framed(document(LARGE)))) as server:
        url = server.url.removesuffix("/images")
        async with Client(Profile(name="relay", base_url=url), KEY) as gen:
            (image,) = await gen.many(["a red bicycle"], size="1K", out=tmp_path / "b")
    assert image.ok
    assert not (tmp_path / "b" / "unread").exists()
    assert not list((tmp_path / "b").glob(".*"))
