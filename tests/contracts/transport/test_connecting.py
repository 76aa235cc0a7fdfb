"""What fails before a connection stands has not been sent, provably, and says so."""

import asyncio
import os
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
import trustme

from nbp_async._base.errors import (
    CertificateError,
    ConnectError,
    ConnectTimeout,
    LocalLimitError,
    NotSentError,
)
from nbp_async._transports.aiohttp import AiohttpTransport
from nbp_async._transports.sockets import KEEPALIVE
from nbp_async._transports.transport_errors import RefusedAddressError
from tests.contracts.transport.kit import Got, Kind, Line, near
from tests.own_sockets import own_socket
from tests.raw_server import Peer, answering, framed, lingering, serving

pytestmark = pytest.mark.looptime


def unsent(got: Got, kind: type[NotSentError]) -> NotSentError:
    """The error of a request of which no byte can have left."""
    error = got.failed_with(kind)
    assert isinstance(error, NotSentError)
    assert (got.timer.sent, got.head) == (False, None)
    assert error.billing == "no"
    return error


async def test_a_closed_port_refuses(line: Line) -> None:
    async with line.serving(answering(b"")) as server:
        pass
    got = await line.post(server.url)
    assert "refused" in str(unsent(got, ConnectError))


async def test_a_name_that_does_not_resolve(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    got = await line.post("http://images.invalid/v1")
    assert "does not resolve" in str(unsent(got, ConnectError))


async def test_a_name_server_that_hangs_is_left_at_the_connect_time_out(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: object, **__: object) -> list[object]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", hang)
    got = await line.post("http://images.invalid/v1")
    unsent(got, ConnectTimeout)
    assert got.took == near(10)


@asynccontextmanager
async def deaf() -> AsyncIterator[int]:
    """A port whose queue of connections is full: the kernel answers nobody."""
    loop = asyncio.get_running_loop()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port: int = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        await asyncio.sleep(0)
        assert loop.is_running()
        yield port
        for filler in fillers:
            filler.close()


async def test_a_host_that_does_not_answer_at_all(line: Line) -> None:
    async with deaf() as port:
        got = await line.post(f"http://127.0.0.1:{port}/")
    unsent(got, ConnectTimeout)
    assert got.took == near(10)


async def test_an_address_that_does_not_answer_does_not_hold_up_the_next(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a name has an address of IPv6, and no route leads there."""
    async with deaf() as dead, line.serving(answering(framed(b"{}")), "images.example") as server:

        async def both(*_: object, **__: object) -> list[object]:
            kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
            return [(*kind, ("127.0.0.1", port)) for port in (dead, server.port)]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
        got = await line.post(server.url.replace("127.0.0.1", "images.example"))
    assert got.body == b"{}"
    assert got.took < 1


async def test_a_handshake_that_stalls_ends_at_the_connect_time_out(line: Line) -> None:
    async def handler(peer: Peer) -> None:
        await peer.until_gone()

    async with serving(handler) as server:
        got = await line.post(server.url.replace("http:", "https:"))
        await asyncio.sleep(0.1)
        assert server.gone.is_set()
    unsent(got, ConnectTimeout)
    assert got.took == near(10)


async def test_a_port_that_speaks_no_tls(line: Line) -> None:
    async def handler(peer: Peer) -> None:
        await peer.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await peer.until_gone()

    async with serving(handler) as server:
        got = await line.post(server.url.replace("http:", "https:"))
    assert "TLS" in str(unsent(got, ConnectError))


async def test_a_server_that_hangs_up_in_the_handshake(line: Line) -> None:
    async def handler(peer: Peer) -> None:
        await peer.some(10)

    async with serving(handler) as server:
        got = await line.post(server.url.replace("http:", "https:"))
    unsent(got, ConnectError)


async def test_a_certificate_for_another_name_is_refused_for_good(line: Line) -> None:
    async with serving(answering(framed(b"{}")), line.tls("elsewhere.example")) as server:
        got = await line.post(server.url)
    assert not unsent(got, CertificateError).is_transient
    assert server.requests == []


async def test_a_certificate_of_an_unknown_authority_is_refused_for_good(line: Line) -> None:
    stranger = line.make(None)
    async with serving(answering(framed(b"{}")), line.tls("127.0.0.1")) as server:
        got = await line.post(server.url, transport=stranger)
    await stranger.aclose()
    assert not unsent(got, CertificateError).is_transient
    assert server.requests == []


@contextmanager
def no_file_descriptors() -> Iterator[None]:
    """Lower this process's limit to what it has open now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_no_file_descriptor_left_is_this_machines_limit(line: Line) -> None:
    async with line.serving(answering(framed(b"{}"))) as server:
        with no_file_descriptors():
            got = await line.post(server.url)
        unsent(got, LocalLimitError)
        assert (await line.post(server.url)).body == b"{}"


async def test_cancelled_while_connecting_it_hangs_up(line: Line) -> None:
    async def handler(peer: Peer) -> None:
        await peer.until_gone()

    async with serving(handler) as server:
        task = asyncio.create_task(line.post(server.url.replace("http:", "https:")))
        await asyncio.sleep(5)
        assert not server.gone.is_set()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.05)
        assert server.gone.is_set()


async def test_a_held_connection_is_probed_by_the_kernel(line: Line) -> None:
    found: list[int] = []

    async def handler(peer: Peer) -> None:
        await peer.request()
        with own_socket(peer.client_port) as ours:
            found.extend(ours.getsockopt(level, option) for level, option, _ in KEEPALIVE)
        await peer.say(framed(b"{}"))

    async with line.serving(handler) as server:
        await line.post(server.url)
    assert found == [1, 30, 10, 3, 60_000]


class TestGuard:
    """aiohttp's alone, for downloads: asked about the address that is really dialled."""

    @pytest.fixture
    def asked(self) -> list[str]:
        return []

    @pytest.fixture
    async def guarded(
        self, asked: list[str], authority: trustme.CA, ca_file: str
    ) -> AsyncIterator[Line]:
        def guard(address: str) -> None:
            asked.append(address)
            raise PermissionError(f"{address} is not for you")

        line = Line(Kind("aiohttp"), authority, ca_file)
        await line.transport.aclose()
        line.transport = AiohttpTransport(vendor="shop", guard=guard)
        yield line
        await line.aclose()

    async def test_an_address_is_asked_about_and_not_dialled(
        self, guarded: Line, asked: list[str]
    ) -> None:
        async with guarded.serving(lingering(b"")) as server:
            got = await guarded.post(server.url)
        assert "127.0.0.1 is not for you" in str(unsent(got, RefusedAddressError))
        assert (asked, server.connections) == (["127.0.0.1"], 0)

    async def test_a_name_is_judged_by_the_address_behind_it(
        self, guarded: Line, asked: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def rebound(*_: object, **__: object) -> list[object]:
            kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
            return [(*kind, ("10.0.0.7", 443))]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", rebound)
        got = await guarded.post("https://images.example/x.png")
        unsent(got, RefusedAddressError)
        assert asked == ["10.0.0.7"]
