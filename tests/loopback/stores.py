"""An image store that answers with exact bytes, and notes each request as it was spelled."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Seen:
    """One request: its target as it came, and its headers by lower-case names."""

    target: str
    headers: dict[str, str]


class StoreServer:
    """`answer` gets each request and returns the whole response; then the connection is closed.

    Attributes:
        seen: The requests, in order.
    """

    def __init__(self, answer: Callable[[Seen], bytes]) -> None:
        self._answer = answer
        self.seen: list[Seen] = []
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in head[1:] if line)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        self.seen.append(Seen(head[0].split(" ")[1], headers))
        writer.write(self._answer(self.seen[-1]))
        await writer.drain()
        writer.close()


def found(body: bytes, *, status: str = "200 OK", etag: str = "", content_range: str = "") -> bytes:
    """A response with this body."""
    more = {"ETag": etag, "Content-Range": content_range}
    lines = [f"{name}: {value}" for name, value in more.items() if value]
    head = [f"HTTP/1.1 {status}", "Connection: close", f"Content-Length: {len(body)}", *lines]
    return "\r\n".join([*head, "", ""]).encode() + body


def redirect(location: str, status: str = "302 Found") -> bytes:
    """A response that leads to this place; what is not ASCII is sent as UTF-8."""
    head = [f"HTTP/1.1 {status}", "Connection: close", "Content-Length: 0"]
    return "\r\n".join([*head, f"Location: {location}", "", ""]).encode()
