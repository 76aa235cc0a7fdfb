"""A body that something on the way compressed arrives as it was, or is an error: never a part."""

import gzip
import zlib
from collections.abc import Callable

import pytest

from nbp_async._base.errors import BodyTooLargeError, MalformedReplyError, NbpError, TruncatedError
from nbp_async._transports import content_coding
from tests.contracts.transport.kit import Line
from tests.raw_server import answering, framed

pytestmark = pytest.mark.looptime

BODY = b'{"data": [{"b64_json": "iVBORw0KGgo' + bytes(range(48, 58)) * 900 + b'"}]}'


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


def brotli(data: bytes) -> bytes:
    packed: bytes = pytest.importorskip("brotli").compress(data)
    return packed


def zstd(data: bytes) -> bytes:
    packed: bytes = pytest.importorskip("zstandard").compress(data)
    return packed


Pack = Callable[[bytes], bytes]
CODINGS: dict[str, tuple[bytes, Pack]] = {
    "gzip": (b"gzip", gzip.compress),
    "x-gzip": (b"X-GZip", gzip.compress),
    "two members": (b"gzip", lambda data: gzip.compress(data[:99]) + gzip.compress(data[99:])),
    "deflate": (b"deflate", zlib.compress),
    "raw deflate": (b"deflate", raw_deflate),
    "br": (b"br", brotli),
    "zstd": (b"zstd", zstd),
    "two frames": (b"zstd", lambda data: zstd(data[:99]) + zstd(data[99:])),
    "twice": (b"gzip, br", lambda data: brotli(gzip.compress(data))),
    "gzip without a label": (b"identity", gzip.compress),
    "zstd without a label": (b"none", zstd),
}
coded = pytest.mark.parametrize(("label", "pack"), CODINGS.values(), ids=CODINGS.keys())


def answer(label: bytes, body: bytes) -> bytes:
    return framed(body, headers=b"Content-Encoding: %b\r\n" % label)


@coded
async def test_a_compressed_body_arrives_as_it_was(line: Line, label: bytes, pack: Pack) -> None:
    async with line.serving(answering(answer(label, pack(BODY)))) as server:
        got = await line.post(server.url)
    assert (got.body, got.error) == (BODY, None)
    assert b"accept-encoding: identity" in server.requests[0].lower()


@coded
async def test_it_arrives_in_any_pieces(line: Line, label: bytes, pack: Pack) -> None:
    whole = answer(label, pack(BODY))
    at = whole.index(b"\r\n\r\n") + 4
    pieces = [whole[:at], *(whole[n : n + 1] for n in range(at, len(whole)))]
    async with line.serving(answering(*pieces, every=0.001)) as server:
        got = await line.post(server.url)
    assert (got.body, got.error) == (BODY, None)


@coded
async def test_cut_it_is_truncated_although_its_length_is_right(
    line: Line, label: bytes, pack: Pack
) -> None:
    packed = pack(BODY)
    for share in (0.2, 0.5, 0.9, 0.99):
        cut = packed[: int(len(packed) * share)]
        async with line.serving(answering(answer(label, cut))) as server:
            got = await line.post(server.url)
        got.failed_with(TruncatedError)
        assert BODY.startswith(got.body)


@pytest.mark.parametrize(
    "label",
    [
        b"Identity",
        b"none",
        b"utf-8",
        b"aws-chunked",
        b"gzip",
        b"deflate",
        b"br",
        b"zstd",
        b"",
        b",",
    ],
)
@pytest.mark.parametrize("body", [BODY, b"{}", b"[1]", b"", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" * 3])
async def test_plain_bytes_are_plain_whatever_the_label_says(
    line: Line, label: bytes, body: bytes
) -> None:
    async with line.serving(answering(answer(label, body))) as server:
        got = await line.post(server.url)
    assert (got.body, got.error) == (body, None)


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
async def test_what_inflates_beyond_all_measure_is_refused(line: Line, name: str) -> None:
    label, pack = CODINGS[name]
    bomb = pack(bytes(64 * 1024 * 1024))
    async with line.serving(answering(answer(label, bomb))) as server:
        got = await line.post(server.url)
    assert "200 times" in str(got.failed_with(BodyTooLargeError))
    assert len(got.body) <= content_coding.FREE + content_coding.MOST_RATIO * len(bomb)


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
async def test_damaged_data_says_so(line: Line, name: str) -> None:
    label, pack = CODINGS[name]
    packed = bytearray(pack(BODY))
    packed[len(packed) // 2 :] = bytes(len(packed) - len(packed) // 2)
    async with line.serving(answering(answer(label, bytes(packed)))) as server:
        got = await line.post(server.url)
    assert isinstance(got.error, MalformedReplyError)


@pytest.mark.parametrize(("label", "package"), [(b"br", "brotli"), (b"zstd", "zstandard")])
async def test_a_missing_package_is_named_with_what_to_do(
    line: Line, label: bytes, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = CODINGS[label.decode()][1](BODY)
    monkeypatch.setattr(content_coding, "find_spec", lambda _: None)
    async with line.serving(answering(answer(label, packed))) as server:
        got = await line.post(server.url)
    error = got.failed_with(MalformedReplyError)
    assert package in str(error)
    assert "is billed" in str(error)
    assert "pip install 'nbp-async[compression]'" in str(error)


async def test_a_refusal_may_be_compressed_too(line: Line) -> None:
    body = gzip.compress(b'{"error": "no"}')
    refusal = framed(body, status=b"400 No", headers=b"Content-Encoding: gzip\r\n")
    async with line.serving(answering(refusal)) as server:
        got = await line.post(server.url)
    assert got.head is not None
    assert (got.head.status, got.body) == (400, b'{"error": "no"}')
    assert not isinstance(got.error, NbpError)
