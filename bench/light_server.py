"""A server that costs as little as Python can: every request is held, then gets the same answer.

It stands in a process of its own, so that what is measured is the client. It parses no more HTTP
than it must, and is no example of a server. Run by `bench.process.light_server`.
"""

import argparse
import asyncio
import contextlib
import ssl
import sys
from typing import cast

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class Held(asyncio.Protocol):
    """One connection: read a request, wait, answer, and again."""

    answer = b""
    hold = 0.0

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
        if self.hold:
            asyncio.get_running_loop().call_later(self.hold, self._reply)
        else:
            self._reply()

    def _reply(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self.answer)


async def serve(hold: float, body: bytes, certificate: str) -> None:
    Held.hold = hold
    Held.answer = HEAD % len(body) + body
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Held, "127.0.0.1", 0, backlog=65535, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    # The end of our standard input is the end of whoever started us.
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hold", type=float, default=0.0)
    parser.add_argument("--body", help="file with the answer's body")
    parser.add_argument("--certificate", default="")
    options = parser.parse_args()
    with open(options.body, "rb") as file:  # noqa: PTH123
        body = file.read()
    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(serve(options.hold, body, options.certificate))


if __name__ == "__main__":
    from bench.meter import raise_file_limit

    raise_file_limit()
    main()
