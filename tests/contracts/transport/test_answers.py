"""What a server answers arrives as it was sent, once, and nothing is added or followed."""

import asyncio
import socket
from typing import Any

import pytest

from nbp_async._base.errors import (
    BadHeadError,
    ClosedError,
    ConnectError,
    DisconnectedError,
    NotSentError,
)
from nbp_async._base.http import HttpRequest
from tests.contracts.transport.kit import BODY, HEADERS, KEY, Line, near
from tests.raw_server import OK, Peer, answering, chunked, framed, keeping, lingering

pytestmark = pytest.mark.looptime

LARGE = bytes(range(256)) * 32 * 1024  # 8 MiB


async def test_a_framed_answer_arrives_whole(line: Line) -> None:
    answer = framed(b'{"data": 1}', headers=b"X-Request-Id: r7\r\n")
    async with line.serving(answering(answer)) as server:
        got = await line.post(server.url)
    assert got.head is not None
    assert (got.head.status, got.head.length, got.head.request_id) == (200, 11, "r7")
    assert (got.body, got.error) == (b'{"data": 1}', None)
    assert got.timer.sent
    assert len(server.requests) == 1


async def test_a_chunked_answer_arrives_whole_and_tells_no_length(line: Line) -> None:
    async with line.serving(answering(chunked(b"one ", b"two"))) as server:
        got = await line.post(server.url)
    assert got.head is not None
    assert got.head.length is None
    assert (got.body, got.error) == (b"one two", None)


async def test_an_answer_without_framing_ends_with_the_connection(line: Line) -> None:
    async with line.serving(answering(OK + b"\r\n", b'{"half', every=1)) as server:
        got = await line.post(server.url)
    assert got.head is not None
    assert got.head.length is None
    assert (got.body, got.error) == (b'{"half', None)


async def test_pieces_are_handed_on_as_they_come(line: Line) -> None:
    pieces = [framed(b"a" * 30)[:-30], b"a" * 10, b"b" * 10, b"c" * 10]
    times: list[float] = []
    loop = asyncio.get_running_loop()
    async with line.serving(lingering(*pieces, every=5)) as server:
        request = HttpRequest("POST", server.url, HEADERS, BODY)
        timer = line.timer(request)
        start = loop.time()
        async with timer, line.transport.send(request, timer) as reply:
            while await reply.read():
                times.append(loop.time() - start)
    assert times == [near(5), near(10), near(15)]


async def test_an_answer_in_single_bytes_arrives_whole(line: Line) -> None:
    answer = chunked(b"first", b"second")
    async with line.serving(answering(*[bytes([byte]) for byte in answer], every=0.1)) as server:
        got = await line.post(server.url)
    assert (got.body, got.error) == (b"firstsecond", None)


async def test_a_large_answer_arrives_whole(line: Line) -> None:
    async with line.serving(answering(framed(LARGE))) as server:
        got = await line.post(server.url)
    assert got.error is None
    assert got.body == LARGE
    assert max(map(len, got.pieces)) <= 264 * 1024, "memory a call follows the size of a piece"


async def test_a_request_leaves_as_it_was_asked_and_asks_for_no_compression(line: Line) -> None:
    async with line.serving(answering(framed(b"{}"))) as server:
        await line.post(server.url)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert lines[0] == b"post /v1/images http/1.1"
    assert body == BODY
    assert b"content-length: %d" % len(BODY) in lines
    assert b"authorization: bearer " + KEY.encode() in lines
    assert b"accept-encoding: identity" in lines
    assert (b"connection: close" in lines) is not line.kind.reuse
    names = {line.partition(b":")[0] for line in lines}
    assert not names & {b"expect", b"cookie", b"transfer-encoding"}


async def test_a_small_request_leaves_in_one_piece_and_needs_no_task(line: Line) -> None:
    if line.kind.library != "aiohttp":
        pytest.skip("httpx writes a head and a body one after the other")
    pieces: list[bytes] = []
    tasks: list[object] = []

    async def handler(peer: Peer) -> None:
        pieces.append(await peer.any())
        await peer.say(framed(b"{}"))

    def counting(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> "asyncio.Task[Any]":
        tasks.append(work)
        return asyncio.Task(work, loop=loop, **options)

    async with line.serving(handler) as server:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(counting)
        got = await line.post(server.url)
        loop.set_task_factory(None)
    assert (got.body, got.error, got.timer.sent) == (b"{}", None, True)
    assert pieces[0].startswith(b"POST /v1/images HTTP/1.1\r\n")
    assert pieces[0].endswith(b"\r\n\r\n" + BODY)
    assert (b"Connection: close" in pieces[0]) is not line.kind.reuse
    assert not [work for work in tasks if "write" in repr(work)]


async def test_a_large_upload_leaves_whole_with_its_length(line: Line) -> None:
    async with line.serving(answering(framed(b"{}"))) as server:
        got = await line.post(server.url, LARGE)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert got.error is None
    assert body == LARGE
    assert b"content-length: %d" % len(LARGE) in head.lower().split(b"\r\n")
    assert b"transfer-encoding" not in head.lower()


async def test_the_read_span_starts_when_a_large_upload_was_taken(line: Line) -> None:
    """An answer after 100 s is in time, though an upload must end within 57 s."""
    async with line.serving(answering(framed(b"{}"), hold=100)) as server:
        got = await line.post(server.url, LARGE)
    assert got.error is None
    assert got.took == near(100)


async def test_a_get_has_no_body(line: Line) -> None:
    async with line.serving(answering(framed(b"png"))) as server:
        got = await line.exchange(HttpRequest("GET", server.url, {"Accept": "image/*"}))
    assert (got.body, got.error, got.timer.sent) == (b"png", None, True)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"GET /v1/images HTTP/1.1")
    assert body == b""
    assert b"accept: image/*" in head.lower()
    assert b"content-" not in head.lower()


@pytest.mark.parametrize(
    "path", ["/a%2Fb/c%20d%27.png?sign=a%2Fb%2B%3D&who=x%40y", "/a'b(1).png?x=1+2&y=a/b:c@d"]
)
async def test_an_address_is_sent_as_it_is_spelled(line: Line, path: str) -> None:
    async with line.serving(answering(framed(b"png"))) as server:
        url = server.url.removesuffix("/v1/images") + path
        got = await line.exchange(HttpRequest("GET", url, {"Accept": "image/*"}))
    assert got.body == b"png"
    assert server.requests[0].startswith(f"GET {path} HTTP/1.1\r\n".encode())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_is_not_followed(line: Line, status: int) -> None:
    async with line.serving(answering(framed(b"{}"))) as other:
        location = b"Location: %b\r\n" % other.url.encode()
        answer = framed(b"moved", status=b"%d Moved" % status, headers=location)
        async with line.serving(answering(answer)) as server:
            got = await line.post(server.url)
    assert got.head is not None
    assert (got.head.status, got.body) == (status, b"moved")
    assert (len(server.requests), other.connections) == (1, 0)


@pytest.mark.parametrize("status", [204, 304, 400, 429, 599, 999])
async def test_any_status_is_an_answer(line: Line, status: int) -> None:
    answer = b"HTTP/1.1 %d What\r\nContent-Length: 0\r\n\r\n" % status
    async with line.serving(answering(answer)) as server:
        got = await line.post(server.url)
    assert got.head is not None
    assert (got.head.status, got.body, got.error) == (status, b"", None)


async def test_a_change_of_protocol_that_nobody_asked_for_is_no_success(line: Line) -> None:
    head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    async with line.serving(lingering(head)) as server:
        got = await line.post(server.url)
    assert got.took <= 30.01
    if got.head is None:
        got.failed_with(BadHeadError)
    else:
        assert (got.head.status, got.body) == (101, b"")


async def test_no_time_out_takes_back_a_body_that_has_ended(line: Line) -> None:
    async with line.serving(answering(framed(b"{}"))) as server:
        request = HttpRequest("POST", server.url, HEADERS, BODY)
        timer = line.timer(request)
        async with timer, line.transport.send(request, timer) as reply:
            while await reply.read():
                pass
            await asyncio.sleep(1000)


async def test_provisional_answers_are_passed_over(line: Line) -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    async with line.serving(answering(early, framed(b"{}"), every=3)) as server:
        got = await line.post(server.url)
    assert got.head is not None
    assert (got.head.status, got.body) == (200, b"{}")


async def test_of_a_repeated_header_the_first_value_counts(line: Line) -> None:
    answer = framed(b"", status=b"429 No", headers=b"Retry-After: 7\r\nretry-after: 90\r\n")
    async with line.serving(answering(answer)) as server:
        got = await line.post(server.url)
    assert got.head is not None
    assert got.head.headers.get("retry-after") == "7"
    assert got.head.headers.get("Retry-After") == "7"


HARMLESS = {
    "a long header": b"X-Policy: " + b"a" * 17_000 + b"\r\n",
    "many headers": b"".join(b"X-%d: a\r\n" % number for number in range(200)),
}


@pytest.mark.parametrize("headers", HARMLESS.values(), ids=HARMLESS.keys())
async def test_a_large_head_is_read(line: Line, headers: bytes) -> None:
    async with line.serving(answering(framed(b"{}", headers=headers))) as server:
        got = await line.post(server.url)
    assert (got.body, got.error) == (b"{}", None)


FAULTY = {
    "too long": (b"X: " + b"a" * 200_000 + b"\r\nContent-Length: 2", "too long"),
    "other lengths": (b"Content-Length: 2\r\nContent-Length: 3", "two Content-Length"),
    "no number": (b"Content-Length: two", "not a number"),
}


@pytest.mark.parametrize(("headers", "says"), FAULTY.values(), ids=FAULTY.keys())
async def test_a_head_that_is_refused_says_which_fault_it_has(
    line: Line, headers: bytes, says: str
) -> None:
    async with line.serving(answering(OK + headers + b"\r\n\r\n{}")) as server:
        got = await line.post(server.url)
    error = got.failed_with(BadHeadError)
    if line.kind.library == "aiohttp" or says != "too long":
        assert says in str(error)


CHUNKS = b"2\r\n{}\r\n0\r\n\r\n"
ODD = {
    "both lengths": OK + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "chunks first": OK + b"transfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n" + CHUNKS,
    "equal lengths": OK + b"Content-Length: 2\r\ncontent-length:2\r\n\r\n{}",
    "equal lengths in one": OK + b"Content-Length: 2, 2\r\n\r\n{}",
    "after early hints": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    + OK
    + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "many headers": OK
    + b"".join(b"X-%d: a\r\n" % n for n in range(200))
    + b"Content-Length: 2\r\n\r\n{}",
    "a long header": OK + b"X: " + b"a" * 17_000 + b"\r\nContent-Length: 2\r\n\r\n{}",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
    "chunks after bare line feeds": b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n" + CHUNKS,
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}",
}


@pytest.mark.parametrize("piece", [0, 1, 7], ids=["at once", "byte by byte", "in pieces"])
@pytest.mark.parametrize("answer", ODD.values(), ids=ODD.keys())
async def test_a_head_that_is_odd_and_harmless_is_read(
    line: Line, answer: bytes, piece: int
) -> None:
    step = max(piece, len(answer) // 400) if piece else len(answer)
    pieces = [answer[at : at + step] for at in range(0, len(answer), step)]
    async with line.serving(answering(*pieces)) as server:
        got = await line.post(server.url)
    assert (got.error, got.body) == (None, b"{}")


async def test_a_connection_with_both_lengths_is_not_used_again(line: Line) -> None:
    async with line.serving(keeping(ODD["both lengths"])) as server:
        for _ in range(2):
            assert (await line.post(server.url)).body == b"{}"
    assert server.connections == 2


async def test_a_cookie_is_not_sent_back(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    async def here(host: str, port: int, *_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port))]

    answer = framed(b"{}", headers=b"Set-Cookie: who=me; Path=/\r\n")
    async with line.serving(keeping(answer), name="shop.example") as server:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", here)
        for _ in range(2):
            got = await line.post(server.url.replace("127.0.0.1", "shop.example"))
            assert got.body == b"{}"
    assert len(server.requests) == 2
    assert not any(b"cookie" in request.lower() for request in server.requests)


async def test_connections_are_used_again_only_if_that_was_asked_for(line: Line) -> None:
    async with line.serving(keeping(framed(b"{}"))) as server:
        for _ in range(3):
            got = await line.post(server.url, LARGE)
            assert (got.body, got.timer.sent) == (b"{}", True)
    assert server.connections == (1 if line.kind.reuse else 3)


async def test_a_connection_whose_answer_was_not_read_to_its_end_is_not_used_again(
    line: Line,
) -> None:
    async with line.serving(keeping(framed(LARGE), framed(b"second"))) as server:
        request = HttpRequest("POST", server.url, HEADERS, BODY)
        timer = line.timer(request)
        async with timer, line.transport.send(request, timer) as reply:
            await reply.read()
        await line.post(server.url)
    assert server.connections == 2


async def test_an_answer_that_nobody_asked_for_never_reaches_the_next_request(line: Line) -> None:
    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.say(framed(b"mine"), framed(b"of somebody else"), every=0.5)
        await peer.request()
        await peer.say(framed(b"mine"))
        await peer.until_gone()

    async with line.serving(handler) as server:
        assert (await line.post(server.url)).body == b"mine"
        await asyncio.sleep(1)
        got = await line.post(server.url)
        if got.error is not None:  # the connection was found unclean, before anything left
            got.failed_with(ConnectError)
            assert not got.timer.sent
            got = await line.post(server.url)
        assert got.body == b"mine"


async def test_two_answers_at_once_are_not_taken_for_one(line: Line) -> None:
    async with line.serving(keeping(framed(b"mine") + framed(b"of somebody else"))) as server:
        for _ in range(2):
            got = await line.post(server.url)
            assert got.body == b"mine"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_nothing_is_ever_sent_twice(line: Line, method: str) -> None:
    """Not even what HTTP allows to be repeated, nor on a connection that was used before."""

    async def handler(peer: Peer) -> None:
        await peer.request()
        if len(server.requests) == 1:
            await peer.say(framed(b"{}"))
            await peer.request()

    async with line.serving(handler) as server:
        request = HttpRequest("GET" if method == "GET" else "POST", server.url, HEADERS)
        assert (await line.exchange(request)).body == b"{}"
        got = await line.exchange(request)
        got.failed_with(DisconnectedError)
        await asyncio.sleep(5)
    assert len(server.requests) == 2


async def test_a_header_with_a_line_break_is_refused_before_anything_is_opened(line: Line) -> None:
    async with line.serving(answering(framed(b"{}"))) as server:
        headers = {"X-Prompt": "a\r\nX-Evil: 1", "Authorization": KEY}
        got = await line.exchange(HttpRequest("POST", server.url, headers, BODY))
    got.failed_with(NotSentError)
    assert not got.timer.sent
    assert server.connections == 0


async def test_a_closed_transport_sends_nothing(line: Line) -> None:
    async with line.serving(answering(framed(b"{}"))) as server:
        await line.post(server.url)
        await line.transport.aclose()
        got = await line.post(server.url)
    got.failed_with(ClosedError)
    assert server.connections == 1
