"""A server that is as cheap as Python allows: it holds every request, then sends the same answer.

It runs in a process of its own, so that the client alone is measured. It parses no more HTTP than
it must, and is no example of a server.
"""

import asyncio
import contextlib
import ssl
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from bench.fresh_process import started

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


@dataclass(frozen=True)
class Served:
    """What is served.

    Attributes:
        body: Of the answer.
        hold: Seconds to hold each request.
        certificate: Its file, or "" for plain HTTP.
        free: So many requests before are answered at once: they warm a client up.
    """

    body: bytes
    hold: float
    certificate: str
    free: int = 0


class HoldingConnection(asyncio.Protocol):
    """One connection: read a request, wait, answer, and again."""

    answer = b""
    hold = 0.0
    free = 0

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._buffer[:end]).lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._buffer) < end + 4 + length:
            return
        del self._buffer[: end + 4 + length]
        if HoldingConnection.free > 0:
            HoldingConnection.free -= 1
            self._reply()
        elif self.hold:
            asyncio.get_running_loop().call_later(self.hold, self._reply)
        else:
            self._reply()

    def _reply(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self.answer)


async def serve(served: Served) -> None:
    """Serve until stdin ends; reports the port."""
    HoldingConnection.hold, HoldingConnection.free = served.hold, served.free
    HoldingConnection.answer = HEAD % len(served.body) + served.body
    context = None
    if served.certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(served.certificate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(HoldingConnection, "127.0.0.1", 0, backlog=65535, ssl=context)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()
    server.close()


def serve_in_child(served: Served) -> None:
    """Serve on the fastest loop that is installed."""
    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(serve(served))


@contextlib.asynccontextmanager
async def light_server(
    body: bytes, *, hold: float = 0.0, certificate: str = "", free: int = 0
) -> AsyncIterator[str]:
    """A server in a process of its own; yields its base URL."""
    async with started(serve_in_child, Served(body, hold, certificate, free)) as child:
        port = int(await child.line())
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{port}/v1"


def self_signed(folder: Path) -> tuple[str, str]:
    """A certificate authority and a certificate for 127.0.0.1, as two files: (ca, certificate)."""
    import trustme

    authority = trustme.CA()
    ca, certificate = folder / "ca.pem", folder / "server.pem"
    authority.cert_pem.write_to_path(str(ca))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    return str(ca), str(certificate)
