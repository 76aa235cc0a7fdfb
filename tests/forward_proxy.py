"""A forward proxy as companies have them: CONNECT and plain requests, names and passwords."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.listening import listening

_Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class ForwardProxy:
    """How it answers, and what it was told.

    Attributes:
        leads_to: The port of 127.0.0.1 that every host name leads to; None for the port named.
        user: "name:password" that it wants; "" for none.
        status: What it answers to every CONNECT; None to connect.
        challenge: Its `Proxy-Authenticate`.
        heads: The head of each request, without its line breaks.
    """

    leads_to: int | None = None
    user: str = ""
    status: int | None = None
    challenge: str = 'Basic realm="office"'
    port: int = 0
    scheme: str = "http"
    heads: list[list[str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def with_user(self, user: str) -> str:
        """Its address with credentials in it."""
        return f"{self.scheme}://{user}@127.0.0.1:{self.port}"

    @property
    def lines(self) -> list[str]:
        """The first line of each request."""
        return [head[0] for head in self.heads]


@asynccontextmanager
async def forward_proxy(
    rules: ForwardProxy, tls: ssl.SSLContext | None = None
) -> AsyncIterator[ForwardProxy]:
    """Run it until the block ends."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _serve(rules, reader, writer)

    async with listening(serve, tls) as port:
        rules.port = port
        rules.scheme = "http" if tls is None else "https"
        yield rules


async def _serve(
    rules: ForwardProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        rules.heads.append(head[:-2])
        method, target, _ = head[0].split(" ")
        status = _refusal(rules, method, head)
        if status is not None:
            challenge = f"Proxy-Authenticate: {rules.challenge}\r\n" if status == 407 else ""
            writer.write(f"HTTP/1.1 {status} No\r\n{challenge}Content-Length: 2\r\n\r\nno".encode())
            await writer.drain()
            return
        there = await _dial(rules, method, target)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            path = target.partition("://")[2].partition("/")[2]
            kept = [line for line in head[1:] if not line.lower().startswith("proxy-")]
            there[1].write("\r\n".join([f"{method} /{path} HTTP/1.1", *kept]).encode("latin-1"))
        await _both_ways((reader, writer), there)
    except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
        pass
    finally:
        writer.close()


def _refusal(rules: ForwardProxy, method: str, head: list[str]) -> int | None:
    wanted = base64.b64encode(rules.user.encode()).decode()
    if rules.user and f"Proxy-Authorization: Basic {wanted}" not in head:
        return 407
    return rules.status if method == "CONNECT" else None


async def _dial(rules: ForwardProxy, method: str, target: str) -> _Pair:
    netloc = target if method == "CONNECT" else urlsplit(target).netloc
    port = rules.leads_to or int(netloc.rpartition(":")[2])
    return await asyncio.open_connection("127.0.0.1", port)


async def _both_ways(client: _Pair, server: _Pair) -> None:
    ways = [
        asyncio.create_task(_pass_on(client[0], server[1])),
        asyncio.create_task(_pass_on(server[0], client[1])),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        server[1].close()
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
