"""A body that breaks, stops or drips after a good head: the image was made, and is lost."""

import asyncio

import anyio
import pytest

from nbp_async._base.errors import (
    BadHeadError,
    MalformedReplyError,
    NbpError,
    ReadTimeout,
    SlowBodyError,
    TruncatedError,
)
from nbp_async._base.http import HttpRequest
from tests.contracts.transport.kit import BODY, HEADERS, Got, Line, Timeouts, near
from tests.raw_server import OK, Peer, answering, chunked, framed, lingering

pytestmark = pytest.mark.looptime

WHOLE = framed(b"a" * 100)


def paid_for(got: Got, kind: type[NbpError]) -> None:
    """The head is here, so the image was made; the body is not."""
    assert got.failed_with(kind).billing == "yes"
    assert got.head is not None
    assert got.head.status == 200


async def test_a_body_shorter_than_its_length(line: Line) -> None:
    async with line.serving(answering(WHOLE[:-50])) as server:
        got = await line.post(server.url)
    paid_for(got, TruncatedError)
    assert got.body == b"a" * 50


async def test_a_body_cut_by_a_reset(line: Line) -> None:
    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.say(WHOLE[:-50])
        await asyncio.sleep(1)
        peer.reset()

    async with line.serving(handler) as server:
        got = await line.post(server.url)
    paid_for(got, TruncatedError)
    assert got.body == b"a" * 50


async def test_chunks_without_the_last_one(line: Line) -> None:
    async with line.serving(answering(chunked(b"one", b"two", last=False))) as server:
        got = await line.post(server.url)
    paid_for(got, TruncatedError)
    assert got.body == b"onetwo"


@pytest.mark.parametrize("size", [300_000, 2_000_000])
async def test_all_that_came_before_a_body_broke_off_is_given(line: Line, size: int) -> None:
    """Also what waits for its reader when the connection ends."""
    large = bytes(size)
    long = OK + b"Content-Length: %d\r\n\r\n%b" % (size + 1, large)
    for answer in (chunked(large, last=False), long):
        async with line.serving(answering(answer)) as server:
            got = await line.post(server.url)
        paid_for(got, TruncatedError)
        assert len(got.body) == size


BAD_CHUNKS = {
    "a size of words": b"zz\r\nmore\r\n0\r\n\r\n",
    "a negative size": b"-4\r\nmore\r\n0\r\n\r\n",
    "an endless size": b"f" * 40 + b"\r\nmore\r\n0\r\n\r\n",
    "a chunk longer than told": b"4\r\nmore and more\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("chunk", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
async def test_a_broken_chunk_ends_the_body_at_the_latest_when_it_would_have_stopped(
    line: Line, chunk: bytes
) -> None:
    """aiohttp's parser closes the connection and tells nobody: there, only the timer ends it."""
    good = chunked(b"good", last=False)
    async with line.serving(lingering(good, chunk, every=1)) as server:
        got = await line.post(server.url)
    assert got.head is not None
    assert isinstance(got.error, MalformedReplyError)
    assert got.error.billing == "yes"
    assert got.body.startswith(b"good")
    assert got.took <= 30.01


@pytest.mark.parametrize("chunk", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
async def test_a_broken_chunk_that_comes_with_the_head_is_no_success(
    line: Line, chunk: bytes
) -> None:
    head = OK + b"Transfer-Encoding: chunked\r\n\r\n"
    async with line.serving(lingering(head + chunk)) as server:
        got = await line.post(server.url)
    assert isinstance(got.error, BadHeadError | MalformedReplyError)
    assert got.took <= 30.01


@pytest.mark.parametrize("length", ["99999999999999999999999", "18446744073709551616", "9" * 5000])
async def test_a_length_beyond_all_bounds_is_no_success(line: Line, length: str) -> None:
    answer = OK + b"Content-Length: %b\r\n\r\nshort" % length.encode()
    async with line.serving(answering(answer)) as server:
        got = await line.post(server.url)
    assert isinstance(got.error, BadHeadError | TruncatedError)


async def test_a_length_beside_chunks_never_smuggles_a_second_answer_in(line: Line) -> None:
    answer = OK + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
    async with line.serving(answering(answer + framed(b"of somebody else"))) as server:
        got = await line.post(server.url)
    assert b"somebody" not in got.body
    assert got.body == b"body" or isinstance(got.error, BadHeadError)


async def test_a_body_that_stops_is_left_after_its_span(line: Line) -> None:
    async with line.serving(lingering(WHOLE[:-50])) as server:
        got = await line.post(server.url)
        await asyncio.sleep(0.05)
        assert server.gone.is_set()
    paid_for(got, SlowBodyError)
    assert got.took == near(30)


async def test_a_body_that_drips_is_left_after_its_span(line: Line) -> None:
    """Each byte comes soon after the one before; all together they are far too few."""
    async with line.serving(
        lingering(framed(b"")[:-5] + b"999\r\n\r\n", *[b"a"] * 90, every=1)
    ) as s:
        got = await line.post(s.url)
    paid_for(got, SlowBodyError)
    assert got.took == near(30)


async def test_a_slow_but_steady_body_may_take_its_time(line: Line) -> None:
    """20 kB a second for 200 s: more than each span, and twice the slowest that is borne."""
    body = b"a" * 4_000_000
    answer = framed(body)
    head, pieces = answer[: -len(body)], [b"a" * 20_000] * 200
    async with line.serving(answering(head + pieces[0], *pieces[1:], every=1)) as server:
        got = await line.post(server.url)
    assert (got.error, len(got.body)) == (None, len(body))
    assert got.took == near(199)


async def test_a_whole_body_whose_end_is_not_marked_ends_by_silence(line: Line) -> None:
    """White space that still comes does not put the end off."""
    answer = [chunked(b'{"data": 1}', last=False), *[b"1\r\n \r\n"] * 60]
    async with line.serving(lingering(*answer, every=1)) as server:
        request = HttpRequest("POST", server.url, HEADERS, BODY)
        timer = line.timer(request)
        start = asyncio.get_running_loop().time()
        body = b""
        async with timer, line.transport.send(request, timer) as reply:
            while data := await reply.read():
                body += data
                timer.add_received(len(data))
                timer.expect_end()
        took = asyncio.get_running_loop().time() - start
        await asyncio.sleep(3)
        assert server.gone.is_set()
    assert timer.ended_by_silence
    assert body.rstrip() == b'{"data": 1}'
    assert took == near(4)


STAGES = {"head": b"", "body": WHOLE[:-50]}


@pytest.mark.parametrize("outer", ["asyncio", "anyio"])
@pytest.mark.parametrize("stage", STAGES)
async def test_two_time_outs_at_one_instant_are_one_error(
    line: Line, outer: str, stage: str
) -> None:
    """Whichever wins, the task is left uncancelled, and goes on as if nothing had been."""
    timeouts = Timeouts(read=1.0, body=1.0)
    ours: list[type[BaseException]] = []
    async with line.serving(lingering(STAGES[stage])) as server:
        for shift in (-2e-6, -1e-6, 0.0, 0.0, 0.0, 1e-6, 2e-6) * 3:
            try:
                if outer == "asyncio":
                    async with asyncio.timeout(1.0 + shift):
                        got = await line.post(server.url, timeouts=timeouts)
                else:
                    with anyio.fail_after(1.0 + shift):
                        got = await line.post(server.url, timeouts=timeouts)
            except TimeoutError:
                ours.append(TimeoutError)
            else:
                assert isinstance(got.error, ReadTimeout | SlowBodyError)
                ours.append(type(got.error))
            task = asyncio.current_task()
            assert task is not None
            assert task.cancelling() == 0
            await asyncio.sleep(0.01)  # a cancellation left over would come out here
    assert len(ours) == 21
