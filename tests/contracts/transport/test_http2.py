"""HTTP/2, which httpx alone speaks: the same contract, where requests may share a connection."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import h2.config
import h2.connection
import h2.events
import pytest
import trustme

from nbp_async._base.errors import DisconnectedError, ReadTimeout, TruncatedError
from nbp_async._transports.httpx import HttpxTransport
from nbp_async._transports.network import network_of
from tests.contracts.transport.kit import BODY, Kind, Line, near
from tests.raw_server import Handler, Peer, RawServer, framed, keeping, serving

pytestmark = pytest.mark.looptime

H2 = h2.connection.H2Connection
CLOSED = h2.connection.ConnectionState.CLOSED
Answer = Callable[[H2, int], Awaitable[None]]


async def with_ok(connection: H2, stream: int) -> None:
    connection.send_headers(stream, [(":status", "200"), ("x-request-id", f"r{stream}")])
    connection.send_data(stream, b"{}", end_stream=True)


async def with_half(connection: H2, stream: int) -> None:
    connection.send_headers(stream, [(":status", "200")])
    connection.send_data(stream, b"half")
    connection.reset_stream(stream)


async def with_reset(connection: H2, stream: int) -> None:
    connection.reset_stream(stream)


async def with_goodbye(connection: H2, stream: int) -> None:
    """Answer the first; say of the next that it was not looked at, which HTTP lets us repeat."""
    if stream == 1:
        await with_ok(connection, stream)
    else:
        connection.close_connection(last_stream_id=1)


async def with_nothing(connection: H2, stream: int) -> None:
    pass


def speaking(answer: Answer) -> Handler:
    """Read HTTP/2, and answer each request once it is whole."""

    async def handler(peer: Peer) -> None:
        connection = H2(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        await peer.say(connection.data_to_send())
        bodies: dict[int, bytes] = {}
        while (data := await peer.any()) and connection.state_machine.state != CLOSED:
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.DataReceived):
                    assert event.stream_id is not None
                    assert event.data is not None
                    assert event.flow_controlled_length is not None
                    so_far = bodies.get(event.stream_id, b"")
                    bodies[event.stream_id] = so_far + event.data
                    size = event.flow_controlled_length
                    connection.acknowledge_received_data(size, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    assert event.stream_id is not None
                    peer.arrived(bodies.get(event.stream_id, b""))
                    await answer(connection, event.stream_id)
            await peer.say(connection.data_to_send())
        peer.gone()

    return handler


class Http2Line(Line):
    """A transport that speaks HTTP/2, and servers that speak nothing else."""

    def __init__(self, authority: trustme.CA, ca_file: str, *, reuse: bool) -> None:
        super().__init__(Kind("httpx", tls=True), authority, ca_file)
        self.transport = HttpxTransport(
            vendor="shop",
            http2=True,
            reuse=reuse,
            network=network_of(None, ca_file, None, trust_env=False),
        )

    def tls(self, name: str) -> ssl.SSLContext:
        context = super().tls(name)
        context.set_alpn_protocols(["h2"])
        return context

    def answering(self, answer: Answer) -> AbstractAsyncContextManager[RawServer]:
        return self.serving(speaking(answer))


@pytest.fixture(params=[False, True], ids=["own", "shared"])
async def shared(request: pytest.FixtureRequest) -> bool:
    """Whether requests share a connection."""
    return bool(request.param)


@pytest.fixture
async def line(shared: bool, authority: trustme.CA, ca_file: str) -> AsyncIterator[Http2Line]:
    line = Http2Line(authority, ca_file, reuse=shared)
    yield line
    await line.aclose()


async def test_requests_share_a_connection_only_if_that_was_asked_for(
    line: Http2Line, shared: bool
) -> None:
    async with line.answering(with_ok) as server:
        for _ in range(3):
            got = await line.post(server.url)
            assert (got.body, got.error, got.timer.sent) == (b"{}", None, True)
            assert got.head is not None
            assert got.head.request_id.startswith("r")
    assert server.requests == [BODY] * 3
    assert server.connections == (1 if shared else 3)


async def test_a_large_upload_leaves_whole(line: Http2Line) -> None:
    body = b"x" * 3_000_000
    async with line.answering(with_ok) as server:
        got = await line.post(server.url, body)
    assert got.error is None
    assert server.requests == [body]


async def test_a_request_that_is_turned_away_is_lost(line: Http2Line) -> None:
    async with line.answering(with_reset) as server:
        got = await line.post(server.url)
        await asyncio.sleep(5)
    got.failed_with(DisconnectedError)
    assert (got.timer.sent, len(server.requests), server.connections) == (True, 1, 1)


@pytest.mark.parametrize("shared", [True], indirect=True)
async def test_a_request_that_was_not_looked_at_is_not_sent_twice(line: Http2Line) -> None:
    async with line.answering(with_goodbye) as server:
        assert (await line.post(server.url)).body == b"{}"
        got = await line.post(server.url)
        await asyncio.sleep(5)
    got.failed_with(DisconnectedError)
    assert len(server.requests) == 2


async def test_a_body_that_is_cut_is_truncated(line: Http2Line) -> None:
    async with line.answering(with_half) as server:
        got = await line.post(server.url)
    got.failed_with(TruncatedError)
    assert got.head is not None


async def test_no_answer_ends_at_the_read_time_out(line: Http2Line, shared: bool) -> None:
    async with line.answering(with_nothing) as server:
        got = await line.post(server.url)
        await asyncio.sleep(0.05)
        assert server.gone.is_set() is not shared  # others may still be using it
    got.failed_with(ReadTimeout)
    assert got.took == near(300)


async def test_one_that_is_cancelled_leaves_the_others_alone(line: Http2Line) -> None:
    async def slowly(connection: H2, stream: int) -> None:
        if len(server.requests) == 2:
            await asyncio.sleep(10)
            await with_ok(connection, stream)

    async with line.answering(slowly) as server:
        first = asyncio.create_task(line.post(server.url))
        await asyncio.sleep(1)
        second = asyncio.create_task(line.post(server.url))
        await asyncio.sleep(1)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert (await second).body == b"{}"


async def test_a_server_without_it_is_spoken_to_in_http_1(line: Http2Line) -> None:
    async with serving(keeping(framed(b"{}")), Line.tls(line, "127.0.0.1")) as server:
        for _ in range(2):
            assert (await line.post(server.url)).body == b"{}"
    assert server.connections == 2
