"""A proxy that stands between a client and a server, and cuts or delays what passes through it."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.listening import listening


@dataclass
class Between:
    """What is done to each connection, and what passed.

    Attributes:
        url: The address to use instead of the server's, without a path.
        cut_up: Bytes from the client after which both sides are reset; None for no cut.
        piece: Bytes that go to the client at once; None for as they come.
        up: Bytes that came from clients, for each connection.
        refuse: A connection is reset as soon as its client says this; b"" for none.
        clients: The connections that are open.
        most_open: The most that were open at once.
    """

    url: str = ""
    cut_up: int | None = None
    piece: int | None = None
    up: list[int] = field(default_factory=list)
    refuse: bytes = b""
    clients: set[asyncio.StreamWriter] = field(default_factory=set)
    most_open: int = 0

    def cut(self) -> None:
        """Reset every connection that is open."""
        for client in list(self.clients):
            reset(client)


@asynccontextmanager
async def between(
    server: str, *, cut_up: int | None = None, piece: int | None = None
) -> AsyncIterator[Between]:
    """Stand before the server at this address until the block ends."""
    rules = Between(cut_up=cut_up, piece=piece)
    host, port = server.rpartition("/")[2].split(":")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _pass(rules, (host, int(port)), reader, writer)

    async with listening(serve) as own_port:
        rules.url = f"http://127.0.0.1:{own_port}"
        yield rules


async def _pass(
    rules: Between,
    server: tuple[str, int],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    number = len(rules.up)
    rules.up.append(0)
    rules.clients.add(writer)
    rules.most_open = max(rules.most_open, len(rules.clients))
    there, back = await asyncio.open_connection(*server)
    up = asyncio.create_task(_upwards(rules, number, reader, back))
    down = asyncio.create_task(_downwards(rules, there, writer))
    try:
        done, _ = await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
        if up in done and up.result():
            for side in (writer, back):
                reset(side)
            return
        await down
    except ConnectionError:
        pass
    finally:
        rules.clients.discard(writer)
        for task in (up, down):
            task.cancel()
        await asyncio.gather(up, down, return_exceptions=True)
        for side in (writer, back):
            side.close()


async def _upwards(
    rules: Between, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    """Pass on what the client says; true if it has to be cut off now."""
    while data := await reader.read(65536):
        rules.up[number] += len(data)
        if rules.cut_up is not None and rules.up[number] >= rules.cut_up:
            return True
        if rules.refuse and rules.refuse in data:
            return True
        writer.write(data)
        await writer.drain()
    writer.close()  # the client is gone
    return False


async def _downwards(
    rules: Between, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    while data := await reader.read(65536):
        step = rules.piece or len(data)
        for at in range(0, len(data), step):
            writer.write(data[at : at + step])
            await writer.drain()
            if rules.piece is not None:
                await asyncio.sleep(0)


def reset(writer: asyncio.StreamWriter) -> None:
    """Cut a connection with a reset instead of an end."""
    raw: socket.socket = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert isinstance(writer.transport, asyncio.Transport)
    writer.transport.abort()
