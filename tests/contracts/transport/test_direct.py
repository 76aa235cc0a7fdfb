"""What the transport made for held calls adds to the contract: its own TLS, its own sockets."""

import asyncio
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import trustme

from nbp_async._base.errors import ConfigError, NbpError, TruncatedError
from nbp_async._base.http import HttpRequest
from nbp_async._client.transport_choice import choose_transport
from nbp_async._transports.certificates import USUAL, TrustSource, shared_context
from nbp_async._transports.dialer import Dialer
from nbp_async._transports.network import Network
from tests.contracts.transport.kit import BODY, HEADERS, Kind, Line, Timeouts
from tests.raw_server import OK, Peer, answering, chunked, framed, keeping, lingering, serving

pytest.importorskip("httptools")

virtual = pytest.mark.looptime
SOON = Timeouts(read=10.0)  # where seconds are real
LARGE = bytes(range(256)) * 32 * 1024  # 8 MiB


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
async def line(
    request: pytest.FixtureRequest, authority: trustme.CA, ca_file: str
) -> AsyncIterator[Line]:
    line = Line(Kind("direct", tls=request.param), authority, ca_file)
    yield line
    await line.aclose()


@pytest.fixture
async def secure(authority: trustme.CA, ca_file: str) -> AsyncIterator[Line]:
    line = Line(Kind("direct", tls=True), authority, ca_file)
    yield line
    await line.aclose()


@virtual
@pytest.mark.parametrize(
    "answer", [framed(b'{"data": 1}'), chunked(b'{"da', b'ta": 1}')], ids=["framed", "chunked"]
)
async def test_cut_at_any_byte_it_is_no_success(line: Line, answer: bytes) -> None:
    for size in range(len(answer)):
        async with line.serving(answering(answer[:size])) as server:
            got = await line.post(server.url)
        assert isinstance(got.error, NbpError), size
        assert got.took < 1
        assert (got.head is not None) is isinstance(got.error, TruncatedError)
        assert len(server.requests) == 1
    async with line.serving(answering(answer)) as server:
        got = await line.post(server.url)
    assert (got.error, got.body) == (None, b'{"data": 1}')


@virtual
async def test_what_nobody_reads_stops_the_sender(line: Line) -> None:
    """And what waits in memory meanwhile is less than two pieces."""
    taken = 0

    async def handler(peer: Peer) -> None:
        nonlocal taken
        await peer.request()
        await peer.say(OK + b"Content-Length: %d\r\n\r\n" % (8 * len(LARGE)))
        for _ in range(8 * len(LARGE) // 65536):
            await peer.say(LARGE[:65536])
            taken += 65536

    async with line.serving(handler) as server:
        request = HttpRequest("POST", server.url, HEADERS, BODY)
        timer = line.timer(request)
        async with timer, line.transport.send(request, timer) as reply:
            await asyncio.sleep(20)
            assert taken < 2 * len(LARGE), "the buffers of two sockets, and little more"
            assert len(await reply.read()) <= 64 * 1024
            size = 0
            timer.pause()
            while data := await reply.read():
                size += len(data)
                assert len(data) <= 264 * 1024
    assert size > 7 * len(LARGE)


@virtual
async def test_idle_connections_are_closed_after_a_moment(
    authority: trustme.CA, ca_file: str
) -> None:
    line = Line(Kind("direct", reuse=True), authority, ca_file)
    async with line.serving(keeping(framed(b"{}"))) as server:
        await line.post(server.url)
        await asyncio.sleep(1.9)
        await line.post(server.url)
        assert server.connections == 1
        await asyncio.sleep(4.1)
        assert server.gone.is_set()
        await line.post(server.url)
        assert server.connections == 2
        server.gone.clear()
        await line.aclose()
        await asyncio.sleep(0.05)
        assert server.gone.is_set()


@virtual
async def test_one_look_up_serves_all_and_outlives_the_one_who_began_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = 0

    async def slowly(host: str, port: int, **_: object) -> list[object]:
        nonlocal asked
        asked += 1
        await asyncio.sleep(5)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    async with serving(lingering(b"")) as server:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", slowly)
        dialer = Dialer()
        tasks = [asyncio.create_task(dialer.dial("shop.example", server.port)) for _ in range(5)]
        await asyncio.sleep(1)
        tasks[0].cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(found[0], asyncio.CancelledError)
        for sock in found[1:]:
            assert isinstance(sock, socket.socket)
            sock.close()
        assert asked == 1
        await dialer.aclose()


Start = Callable[[int, ssl.TLSVersion], Awaitable[asyncio.Server]]


def resumptions(line: Line) -> tuple[list[bool], Start]:
    """Whether each connection of a server resumed a session; and what starts it."""
    seen: list[bool] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(bool(writer.get_extra_info("ssl_object").session_reused))
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(BODY)
            writer.write(framed(b"{}"))
        writer.close()

    async def start(port: int, version: ssl.TLSVersion) -> asyncio.Server:
        context = line.tls("127.0.0.1")
        context.maximum_version = version
        return await asyncio.start_server(serve, "127.0.0.1", port, ssl=context)

    return seen, start


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_session_is_resumed_also_after_a_restart_of_the_server(
    secure: Line, version: ssl.TLSVersion
) -> None:
    seen, start = resumptions(secure)
    port = 0
    for _ in range(2):
        server = await start(port, version)
        port = server.sockets[0].getsockname()[1]
        for _ in range(3):
            got = await secure.post(f"https://127.0.0.1:{port}/v1")
            assert (got.error, got.body) == (None, b"{}")
        server.close()
        await server.wait_closed()
    assert seen == [False, True, True] * 2


async def test_no_session_is_resumed_where_the_systems_store_is_asked(
    secure: Line, ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("truststore")
    monkeypatch.setenv("SSL_CERT_FILE", ca_file)
    seen, start = resumptions(secure)
    server = await start(0, ssl.TLSVersion.TLSv1_3)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    transport = secure.kind.transport(Network(trust=TrustSource(system=True)))
    for _ in range(2):
        assert (await secure.post(url, transport=transport)).body == b"{}"
    await transport.aclose()
    server.close()
    assert seen == [False, False]


@contextmanager
def rude(context: ssl.SSLContext, answer: bytes) -> Iterator[str]:
    """A server that ends the connection of TCP, and says nothing of it in TLS."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(65536)
            secured.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        thread.join()
        listener.close()


@pytest.mark.parametrize(
    ("answer", "is_whole"),
    [(framed(b"{}"), True), (OK + b"\r\n{}", True), (framed(b"{}")[:-1], False)],
    ids=["framed", "to the end", "cut"],
)
async def test_a_missing_close_notify_harms_only_what_was_cut(
    secure: Line, answer: bytes, is_whole: bool
) -> None:
    with rude(secure.tls("127.0.0.1"), answer) as url:
        got = await secure.post(url)
    if is_whole:
        assert (got.error, got.body) == (None, b"{}")
    else:
        got.failed_with(TruncatedError)


@asynccontextmanager
async def openssl(folder: Path, authority: trustme.CA) -> AsyncIterator[tuple[Any, int]]:
    """`openssl s_server`, which can ask for a renegotiation of TLS 1.2."""
    tool = which("openssl")
    if tool is None:
        pytest.skip("needs openssl")
    pem = folder / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(pem))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *(tool, "s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(pem), "-tls1_2"),
        *("-naccept", "1"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    await process.stdout.readuntil(b"ACCEPT")
    try:
        yield process, port
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_a_renegotiation_is_refused(
    secure: Line, authority: trustme.CA, tmp_path: Path
) -> None:
    async with openssl(tmp_path, authority) as (process, port):
        call = asyncio.create_task(secure.post(f"https://127.0.0.1:{port}/v1"))
        await process.stdout.readuntil(BODY)
        process.stdin.write(b"R\n")
        got = await asyncio.wait_for(call, 20)
    assert isinstance(got.error, NbpError)
    assert (got.error.billing, got.head) == ("maybe", None)


def test_the_shared_context_refuses_to_renegotiate() -> None:
    assert shared_context(USUAL).options & ssl.OP_NO_RENEGOTIATION


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_it_keeps_its_contract_on_uvloop(tls: bool, authority: trustme.CA, ca_file: str) -> None:
    uvloop = pytest.importorskip("uvloop", reason="no uvloop here: Windows has none")

    async def main() -> None:
        for reuse in (False, True):
            line = Line(Kind("direct", tls=tls, reuse=reuse), authority, ca_file)
            async with line.serving(keeping(framed(LARGE), chunked(b"a", b"b"))) as server:
                got = await line.post(server.url, LARGE, timeouts=SOON)
                assert (got.error, got.body == LARGE) == (None, True)
                assert (await line.post(server.url, timeouts=SOON)).body == (
                    b"ab" if reuse else LARGE
                )
            async with line.serving(answering(framed(b"{}")[:-1])) as server:
                (await line.post(server.url)).failed_with(TruncatedError)
            async with line.serving(lingering(b"")) as server:
                call = asyncio.create_task(line.post(server.url))
                while not server.requests:
                    await asyncio.sleep(0.01)
                call.cancel()
                await asyncio.wait([call])
                await asyncio.wait_for(server.gone.wait(), 10)
            await line.aclose()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def test_without_its_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("direct", "response_parser", "direct_connection", "idle_connections"):
        monkeypatch.delitem(sys.modules, f"nbp_async._transports.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "httptools", None)
    with pytest.raises(ConfigError, match=r"pip install 'nbp-async\[direct\]'"):
        choose_transport("direct", "shop", Network(), reuse=False)


async def test_no_descriptor_is_left_open(line: Line) -> None:
    def descriptors() -> set[str]:
        return set(os.listdir("/proc/self/fd"))

    async with line.serving(answering(framed(b"{}"))) as server:
        await line.post(server.url)
        before = descriptors()
        for _ in range(20):
            await line.post(server.url)
        await asyncio.sleep(0.05)
        assert len(descriptors()) <= len(before) + 2
