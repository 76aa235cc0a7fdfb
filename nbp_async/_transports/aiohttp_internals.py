"""Every part of aiohttp and asyncio that we use and that is not in their documentation.

Nothing else in the package touches such a part. `tests/unit/transports/test_aiohttp_internals.py`
compares each one with the installed library; when a part has moved, it fails and says what to do.
"""

import asyncio
from contextlib import suppress
from functools import partial
from typing import Protocol

import aiohttp
from aiohttp import http_exceptions
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http_writer import StreamWriter
from aiohttp.payload import Payload
from multidict import CIMultiDict

from nbp_async._transports.response_heads import HeadReader
from nbp_async._transports.stage_timer import LARGE

RECEIVE = 160 * 1024  # bytes that are taken from a socket at once
RECEIVE_TLS = 32 * 1024  # bytes; two TLS records
_SLICE = 64 * 1024  # bytes; a larger upload leaves in such slices, so that its end is seen

PARSER_ERRORS = (aiohttp.ClientResponseError, http_exceptions.HttpProcessingError)
"""What aiohttp raises for a head that is not HTTP. The parser in Python does not wrap its own."""


class SendObserver(Protocol):
    """Learns how far one request got."""

    session: aiohttp.ClientSession

    def connected(self, transport: asyncio.Transport | None) -> None:
        """There is a connection, and nothing was written to it yet."""
        ...

    def accepted_body(self) -> None:
        """The socket, or its buffer, has taken all of the body."""
        ...


class ObservedRequest(aiohttp.ClientRequest):
    """A request that tells its observer when its bytes may leave.

    aiohttp calls `send` exactly once per attempt, after the connection (name, TCP, TLS) and
    before the first byte:

        resolve ── connect ── TLS ── send() ── head ── body ── reply
        └───────── nothing left ────┘ └──── may have left ────┘

    So a failure before `send` proves that nothing left, and everything after it may have been
    paid for.
    """

    observer: SendObserver

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        body = self.body
        if isinstance(body, Body) and body.size <= LARGE:
            return await self._send_at_once(conn, body)
        observer = body.observer if isinstance(body, Body) else self.observer
        check_unused(conn)
        observer.connected(conn.transport)
        return await super().send(conn)

    async def _send_at_once(self, conn: Connection, body: "Body") -> aiohttp.ClientResponse:
        """Send head and body in one write; does what aiohttp's `send` does for a body in memory.

        Before Python 3.12, which can start tasks eagerly, aiohttp makes a task for each body. It
        costs as much as everything else that is done for a small reply.
        """
        # One turn of the loop: all requests that are ready now leave together, and wake the
        # server once.
        await asyncio.sleep(0)
        writer = StreamWriter(check_unused(conn), self.loop)
        # A proxy is told the whole address of a plain request.
        target = self.url if self.proxy and not self.is_ssl() else self.url.raw_path_qs
        await writer.write_headers(f"{self.method} {target} HTTP/1.1", self.headers)
        # The response is made before the write: once bytes have left, nothing here may fail.
        response = aiohttp.ClientResponse(
            self.method,
            self.original_url,
            writer=None,
            continue100=None,
            timer=self._timer,
            request_info=self.request_info,
            traces=[],
            loop=self.loop,
            session=body.observer.session,
            stream_writer=writer,
        )
        body.observer.connected(conn.transport)
        await writer.write(body.data, drain=False)
        body.observer.accepted_body()
        return response


class Body(Payload):
    """A body in memory. A large one is written in slices; the observer hears when all is taken."""

    _headers = CIMultiDict({"Content-Type": "application/json"})

    def __init__(self, data: bytes, observer: SendObserver) -> None:
        # `Payload.__init__` is not called: it would build a table of headers for each body.
        self.data = data
        self.observer = observer

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def autoclose(self) -> bool:
        return True

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self.data.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        body = memoryview(self.data)
        for start in range(0, len(body), _SLICE):
            await writer.write(body[start : start + _SLICE])
        await writer.drain()
        self.observer.accepted_body()


class LenientHandler(ResponseHandler):
    """Reads responses as aiohttp does, once `HeadReader` has put their heads right."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._heads = HeadReader()

    def begin(self) -> None:
        """A request is about to be written."""
        self._heads.begin()

    def data_received(self, data: bytes) -> None:
        ready = self._heads.feed(data)
        if self._heads.chunks_won:
            self.force_close()  # who sends both lengths may mean the other one next time
        if ready or not data:  # aiohttp itself comes with nothing, when it reads on after a pause
            super().data_received(ready)

    def connection_lost(self, exc: BaseException | None) -> None:
        if rest := self._heads.rest():
            super().data_received(rest)
        super().connection_lost(exc)


def be_lenient(connector: aiohttp.TCPConnector) -> None:
    """Let the connector's connections take heads that are odd and harmless."""
    connector._factory = partial(_lenient, asyncio.get_running_loop())  # noqa: SLF001


def _lenient(loop: asyncio.AbstractEventLoop) -> ResponseHandler:
    return LenientHandler(loop)


def check_unused(conn: Connection) -> ResponseHandler:
    """The connection's protocol, if a request may be written to it.

    Raises:
        aiohttp.ClientConnectionError: It broke, or it holds bytes that nobody asked for, which
            would be taken for our reply.
    """
    protocol, transport = conn.protocol, conn.transport
    if protocol is None or protocol.should_close or transport is None or transport.is_closing():
        raise aiohttp.ClientConnectionError("the connection is not clean")
    if isinstance(protocol, LenientHandler):
        protocol.begin()
    return protocol


def has_ended(content: aiohttp.StreamReader) -> bool:
    """All of the body was read, and it ended as it should."""
    return content.at_eof() and content.exception() is None


def take_left_over(content: aiohttp.StreamReader) -> bytes:
    """What came before the body broke off: aiohttp's readers raise instead of giving it."""
    return content._read_nowait(-1) if content._buffer else b""  # noqa: SLF001


def read_larger_chunks(content: aiohttp.StreamReader) -> None:
    """Let one read return more than aiohttp's limit, which stops the socket each time."""
    content.set_read_chunk_size(RECEIVE)


def receive_less(transport: asyncio.Transport) -> None:
    """Make one of asyncio's transports take smaller pieces; one of another loop stays as it is.

    By default it takes 256 KiB at once, and two such pieces may wait for each of a hundred bodies
    that arrive together. Over TLS each connection also holds a buffer of that size from its first
    moment (python/cpython#109534), and a held call does nothing but wait. There is no public way to
    set it for one connection, so a part that is missing is left alone.
    """
    tls = getattr(transport, "_ssl_protocol", None)
    if tls is None:
        if hasattr(transport, "max_size"):
            transport.max_size = RECEIVE
    elif hasattr(tls, "max_size") and hasattr(tls, "_ssl_buffer"):
        tls.max_size = RECEIVE_TLS
        # An empty buffer is replaced, by one of the new size, when the first bytes arrive.
        tls._ssl_buffer = bytearray()  # noqa: SLF001


def abort(transport: asyncio.Transport) -> None:
    """Close the socket now.

    aiohttp closes politely: the transport first sends what is still in its buffer, and TLS then
    waits for the peer's close_notify. Both take as long as the peer likes. An abort drops the
    buffer, so that a cancelled upload does not go on.
    """
    # In Python 3.11.2 `abort` of a TLS transport that was closed before raises AttributeError
    # (python/cpython#98539).
    with suppress(AttributeError):
        transport.abort()
