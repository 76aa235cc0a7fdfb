"""A server that says exactly the bytes it is told, and can misbehave in every way a socket can."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from tests.listening import listening

OK = b"HTTP/1.1 200 OK\r\n"


def framed(body: bytes, *, status: bytes = b"200 OK", headers: bytes = b"") -> bytes:
    """A whole answer whose length is told."""
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, headers, len(body), body)


def chunked(*chunks: bytes, last: bool = True) -> bytes:
    """A whole answer in chunks; without `last`, its end never comes."""
    head = OK + b"Transfer-Encoding: chunked\r\n\r\n"
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head + body + (b"0\r\n\r\n" if last else b"")


class Peer:
    """One connection, as the server has it."""

    def __init__(
        self, server: "RawServer", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer

    @property
    def client_port(self) -> int:
        port: int = self._writer.get_extra_info("peername")[1]
        return port

    async def request(self) -> bytes:
        """Read one whole request; it counts as arrived."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        body = await self._reader.readexactly(length)
        self._server.requests.append(head + body)
        return head + body

    async def some(self, size: int) -> bytes:
        """Read `size` bytes, whatever they are."""
        return await self._reader.readexactly(size)

    async def any(self) -> bytes:
        """Read what there is; nothing at the end."""
        return await self._reader.read(65536)

    def arrived(self, request: bytes) -> None:
        """Count a request that was read in another way."""
        self._server.requests.append(request)

    async def say(self, *pieces: bytes, every: float = 0.0) -> None:
        """Send the pieces, `every` so many seconds."""
        for number, piece in enumerate(pieces):
            if every and number:
                await asyncio.sleep(every)
            self._writer.write(piece)
            await self._writer.drain()

    def stop_reading(self) -> None:
        """Take nothing more: what the client sends fills up the buffers between."""
        assert isinstance(self._writer.transport, asyncio.Transport)
        self._writer.transport.pause_reading()

    def read_again(self) -> None:
        """Take what the client sends again."""
        assert isinstance(self._writer.transport, asyncio.Transport)
        self._writer.transport.resume_reading()

    def reset(self) -> None:
        """Cut the connection with a reset instead of an end."""
        raw: socket.socket = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def until_gone(self) -> None:
        """Wait until the client has hung up."""
        with suppress(ConnectionError, ssl.SSLError):
            while data := await self._reader.read(65536):
                self._server.left_over += len(data)
        self.gone()

    def gone(self) -> None:
        """The client has hung up."""
        self._server.gone.set()

    def close(self) -> None:
        self._writer.close()


Handler = Callable[[Peer], Awaitable[None]]


class RawServer:
    """What arrived: connections, whole requests, and whether a client has hung up."""

    def __init__(self) -> None:
        self.url = ""
        self.port = 0
        self.connections = 0
        self.requests: list[bytes] = []
        self.gone = asyncio.Event()
        self.left_over = 0  # bytes that came while a handler waited for the client to hang up
        self.failures: list[BaseException] = []


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """Serve on a free port of 127.0.0.1 until the block ends; a failed handler fails the test."""
    raw = RawServer()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raw.connections += 1
        try:
            await handler(Peer(raw, reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            raw.gone.set()
        except Exception as exc:  # noqa: BLE001
            raw.failures.append(exc)
        finally:
            writer.close()

    try:
        async with listening(serve, tls) as raw.port:
            raw.url = f"{'https' if tls else 'http'}://127.0.0.1:{raw.port}/v1/images"
            yield raw
    finally:
        await asyncio.sleep(0)
    if raw.failures:
        raise raw.failures[0]


def answering(*pieces: bytes, hold: float = 0.0, every: float = 0.0) -> Handler:
    """Read a request, hold it for `hold` seconds, send the pieces, and hang up."""

    async def handler(peer: Peer) -> None:
        await peer.request()
        if hold:
            await asyncio.sleep(hold)
        await peer.say(*pieces, every=every)

    return handler


def lingering(*pieces: bytes, every: float = 0.0) -> Handler:
    """Read a request, send the pieces, and wait for the client to hang up."""

    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.say(*pieces, every=every)
        await peer.until_gone()

    return handler


def keeping(*answers: bytes) -> Handler:
    """Answer request after request on the same connection, the last answer again and again."""

    async def handler(peer: Peer) -> None:
        number = 0
        while True:
            await peer.request()
            await peer.say(answers[min(number, len(answers) - 1)])
            number += 1

    return handler
