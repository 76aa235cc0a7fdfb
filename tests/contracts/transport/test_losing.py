"""What ends after the request may have left, and before the head of an answer, may be billed."""

import asyncio

import pytest
from aiohttp import http_parser

from nbp_async._base.errors import (
    BadHeadError,
    DisconnectedError,
    NoReplyError,
    ReadTimeout,
    UploadTimeout,
)
from nbp_async._base.http import HttpRequest
from tests.contracts.transport.kit import HEADERS, Got, Line, near
from tests.raw_server import Peer, RawServer, answering, framed, keeping, lingering

pytestmark = pytest.mark.looptime

LARGE = b"x" * 8_000_000
# aiohttp's own parser in Python, which is used where there is none in C.
IN_PYTHON = http_parser.HttpResponseParser is http_parser.HttpResponseParserPy


def ambiguous(got: Got, kind: type[NoReplyError], server: RawServer) -> None:
    """It may be billed, nobody knows; it was sent once."""
    assert got.failed_with(kind).billing == "maybe"
    assert (got.timer.sent, got.head) == (True, None)
    assert server.connections == 1


async def test_the_server_hangs_up_without_an_answer(line: Line) -> None:
    async with line.serving(answering(b"", hold=30)) as server:
        got = await line.post(server.url)
        await asyncio.sleep(5)
    ambiguous(got, DisconnectedError, server)
    assert got.took == near(30)
    assert len(server.requests) == 1


async def test_the_server_resets_the_connection(line: Line) -> None:
    async def handler(peer: Peer) -> None:
        await peer.request()
        peer.reset()

    async with line.serving(handler) as server:
        got = await line.post(server.url)
        await asyncio.sleep(5)
    ambiguous(got, DisconnectedError, server)
    assert len(server.requests) == 1


async def test_the_server_hangs_up_amid_the_head(line: Line) -> None:
    async with line.serving(answering(b"HTTP/1.1 200 OK\r\nContent-Le")) as server:
        got = await line.post(server.url)
    ambiguous(got, DisconnectedError, server)


async def test_no_answer_comes(line: Line) -> None:
    async with line.serving(lingering()) as server:
        got = await line.post(server.url)
        await asyncio.sleep(0.05)
        assert server.gone.is_set()
    ambiguous(got, ReadTimeout, server)
    assert got.took == near(300)


async def test_a_head_that_drips_does_not_put_the_read_time_out_off(line: Line) -> None:
    drips = [b"HTTP/1.1 200 OK\r\n", *[b"X: %d\r\n" % number for number in range(90)]]
    async with line.serving(lingering(*drips, every=4)) as server:
        got = await line.post(server.url)
    ambiguous(got, ReadTimeout, server)
    assert got.took == near(300)


async def test_provisional_answers_without_end_do_not_put_the_read_time_out_off(
    line: Line,
) -> None:
    early = [b"HTTP/1.1 102 Processing\r\n\r\n"] * 90
    async with line.serving(lingering(*early, every=4)) as server:
        got = await line.post(server.url)
    ambiguous(got, ReadTimeout, server)
    assert got.took == near(300)


async def test_a_server_that_never_takes_a_large_upload(line: Line) -> None:
    """15 s and 40 s for 8 MB; then the socket is closed, and what nobody took is dropped."""

    async def handler(peer: Peer) -> None:
        await peer.some(1000)
        peer.stop_reading()
        await asyncio.sleep(60)
        peer.read_again()
        await peer.until_gone()

    async with line.serving(handler) as server:
        got = await line.post(server.url, LARGE)
        await asyncio.sleep(10)
        assert server.gone.is_set()
        assert server.left_over < len(LARGE) - 1000
    ambiguous(got, UploadTimeout, server)
    assert got.took == near(55)


async def test_the_connection_is_cut_amid_an_upload(line: Line) -> None:
    async def handler(peer: Peer) -> None:
        await peer.some(100_000)
        peer.reset()

    async with line.serving(handler) as server:
        got = await line.post(server.url, LARGE)
        await asyncio.sleep(5)
    ambiguous(got, DisconnectedError, server)


async def test_a_refusal_that_comes_before_the_upload_ends_is_heard(line: Line) -> None:
    """The server answers early, and takes the rest without looking at it."""

    async def handler(peer: Peer) -> None:
        await peer.some(100_000)
        await peer.say(framed(b'{"error": 1}', status=b"429 Too Many"))
        await peer.until_gone()

    async with line.serving(handler) as server:
        got = await line.post(server.url, LARGE)
        await asyncio.sleep(0.05)
        assert server.gone.is_set()
    assert got.head is not None
    assert (got.head.status, got.body, got.error) == (429, b'{"error": 1}', None)
    assert server.connections == 1


async def test_a_refusal_before_the_upload_ends_that_hangs_up_at_once(line: Line) -> None:
    """aiohttp hears it; httpx may lose it, and then says that nobody knows."""

    async def handler(peer: Peer) -> None:
        await peer.some(100_000)
        await peer.say(framed(b'{"error": 1}', status=b"429 Too Many"))
        await asyncio.sleep(0.05)

    async with line.serving(handler) as server:
        got = await line.post(server.url, LARGE)
    if line.kind.library == "httpx" and got.head is None:
        ambiguous(got, DisconnectedError, server)
    else:
        assert got.head is not None
        assert (got.head.status, got.body) == (429, b'{"error": 1}')
    assert server.connections == 1


async def test_a_refusal_whose_server_stops_reading_is_heard_by_aiohttp(line: Line) -> None:
    """And what nobody will take is dropped with the socket."""

    async def handler(peer: Peer) -> None:
        await peer.some(100_000)
        peer.stop_reading()
        await peer.say(framed(b'{"error": 1}', status=b"429 Too Many"))
        await asyncio.sleep(20)
        peer.read_again()
        await peer.until_gone()

    async with line.serving(handler) as server:
        got = await line.post(server.url, LARGE)
        await asyncio.sleep(21)
        assert server.gone.is_set()
    if line.kind.library == "httpx":
        return
    assert server.left_over < len(LARGE) - 100_000
    assert got.head is not None
    assert (got.head.status, got.took) == (429, near(0))


GARBAGE = {
    "no http at all": b"garbage\r\n\r\n",
    "a page without a head": b"<html><body>502 Bad Gateway</body></html>\r\n\r\n",
    "tls on a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20,
    "a short status": b"HTTP/1.1 20 OK\r\n\r\n",
    "a status of words": b"HTTP/1.1 abc OK\r\n\r\n",
    "a header without a name": b"HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 0\r\n\r\n",
    "a nul in a header": b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "a header that is too large": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}}",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}",
    "a length of words": b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n{}",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
async def test_a_head_that_is_no_http_is_no_answer(line: Line, garbage: bytes) -> None:
    async with line.serving(lingering(garbage)) as server:
        got = await line.post(server.url)
    if IN_PYTHON and line.kind.library == "aiohttp" and b"\n" not in garbage:
        ambiguous(got, ReadTimeout, server)  # it waits for the end of a line
        return
    ambiguous(got, BadHeadError, server)
    assert got.took == near(0)


@pytest.mark.parametrize("stage", ["head", "body"])
async def test_cancelled_while_it_waits_it_hangs_up_at_once(line: Line, stage: str) -> None:
    beginning = framed(b"a" * 1000)[:-500] if stage == "body" else b""
    async with line.serving(lingering(beginning)) as server:
        task = asyncio.create_task(line.post(server.url))
        await asyncio.sleep(20)
        assert not server.gone.is_set()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.05)
        assert server.gone.is_set()


async def test_cancelled_in_the_turn_before_it_leaves_it_was_not_sent(line: Line) -> None:
    if not line.kind.reuse:
        pytest.skip("a connection has to be there already")
    async with line.serving(keeping(framed(b"{}"))) as server:
        await line.post(server.url)
        request = HttpRequest("POST", server.url, HEADERS, b"{}")
        timer = line.timer(request)

        async def send() -> None:
            async with timer, line.transport.send(request, timer):
                pass

        task = asyncio.create_task(send())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.05)
        assert len(server.requests) == 1
        assert not timer.sent


async def test_cancelled_amid_an_upload_it_hangs_up_at_once(line: Line) -> None:
    async def handler(peer: Peer) -> None:
        await peer.some(1000)
        peer.stop_reading()
        await asyncio.sleep(21)
        peer.read_again()
        await peer.until_gone()

    async with line.serving(handler) as server:
        task = asyncio.create_task(line.post(server.url, LARGE))
        await asyncio.sleep(20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(2)
        assert server.gone.is_set()
        assert server.left_over < len(LARGE) - 1000


async def test_a_body_that_raises_in_the_callers_block_frees_the_connection(line: Line) -> None:
    request = HttpRequest("POST", "", HEADERS, b"{}")
    async with line.serving(lingering(framed(b"a" * 1000)[:-500])) as server:
        request = HttpRequest("POST", server.url, HEADERS, b"{}")
        timer = line.timer(request)
        with pytest.raises(ZeroDivisionError):
            async with timer, line.transport.send(request, timer) as reply:
                await reply.read()
                raise ZeroDivisionError
        await asyncio.sleep(0.05)
        assert server.gone.is_set()
