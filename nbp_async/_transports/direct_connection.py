"""One connection of the direct transport: a socket, TLS on it if need be, one response at a time.

    socket ──► shared buffer ──► TLS layers ──► ResponseParser ──► whoever reads
                                                    │
                      stops reading the socket ◄────┘  when too much waits

No task runs for it: the loop calls it with what came, and it wakes the one who waits.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from nbp_async._base.http import ReplyHead
from nbp_async._transports.response_parser import ResponseParser
from nbp_async._transports.stage_timer import LARGE
from nbp_async._transports.tls_layer import RECORD, TlsLayer

RECEIVE = 128 * 1024  # bytes that are taken from a socket at once
# Until the first piece of a body has been read, it is less: a hundred bodies may wait for their
# turn with it. From then on the caller holds a decode turn.
_RECEIVE_FIRST = 32 * 1024
_FIRST_WAITING = _RECEIVE_FIRST // 2
_LAST_READS = 16
_SLICE = 64 * 1024  # bytes of a large upload that are written at once


class SharedBuffers:
    """Where bytes are received and deciphered; what is in them is used up in the same call.

    They are memoryviews: into a bytearray, asyncio may receive zeros (python/cpython#156275).
    """

    __slots__ = ("first", "plain", "received")

    def __init__(self) -> None:
        self.received = memoryview(bytearray(RECEIVE))
        self.first = self.received[:_RECEIVE_FIRST]
        self.plain = memoryview(bytearray(RECORD))


class DirectConnection(asyncio.BufferedProtocol):
    """A connection, and how far the request on it got.

    Attributes:
        failure: Why nothing more can come, or None.
        response: The response to the request that is on its way, or None between two.
        tls: The TLS layer that the response comes through, or None.
        on_plain_turn: Called when bytes came by TLS after its handshake; a ticket may be in them.
        idle_since: When the last response ended, in the loop's time.
    """

    __slots__ = (
        "_buffers",
        "_is_paused",
        "_is_stopped",
        "_layers",
        "_most_waiting",
        "_on_uploaded",
        "_socket",
        "_transport",
        "_upload",
        "_view",
        "_waiter",
        "failure",
        "idle_since",
        "on_plain_turn",
        "response",
    )

    def __init__(self, sock: socket.socket, buffers: SharedBuffers) -> None:
        self._socket = sock
        self._buffers = buffers
        self._most_waiting = _FIRST_WAITING  # bytes of a body; with more, the socket is not read
        self._view = buffers.first  # what is received next goes here
        self._transport: asyncio.Transport | None = None
        self._layers: list[TlsLayer] = []
        self._waiter: asyncio.Future[None] | None = None
        self._is_paused = False  # we do not read
        self._is_stopped = False  # we do not write: the socket's buffer is full
        self._upload: memoryview | None = None  # what is still to be written
        self._on_uploaded: Callable[[], None] | None = None
        self.failure: BaseException | None = None
        self.response: ResponseParser | None = None
        self.on_plain_turn: Callable[[TlsLayer], None] | None = None
        self.idle_since = 0.0

    @property
    def tls(self) -> TlsLayer | None:
        return self._layers[-1] if self._layers else None

    @property
    def is_usable(self) -> bool:
        """Another request may be written to it."""
        return (
            self.failure is None
            and self.response is None
            and self._upload is None
            and self._transport is not None
            and not self._transport.is_closing()
        )

    async def start_tls(
        self, context: ssl.SSLContext, host: str, session: ssl.SSLSession | None
    ) -> TlsLayer:
        """Put a layer of TLS on what there is, and shake hands.

        Raises:
            ssl.SSLError: The handshake failed.
            EOFError, OSError: The connection ended in it.
        """
        below = self.tls
        layer = TlsLayer(
            context,
            host,
            session,
            buffer=self._buffers.plain if below is None else memoryview(bytearray(RECORD)),
            send=self._write if below is None else below.send,
            receive=self._receive,
        )
        self._layers.append(layer)
        if below is not None:
            below.receive_plain = layer.receive
        layer.start()
        while not layer.is_established:
            await self.progress()
        return layer

    async def open_tunnel(self, request: bytes) -> ReplyHead:
        """Ask a proxy for a tunnel, and return what it answers.

        Raises:
            PARSER_ERROR: It answered something else than HTTP.
            EOFError, OSError: The connection ended before it answered.
        """
        answer = self.response = ResponseParser()
        self.send(request)
        while answer.head is None:
            await self.progress()
        answer.close()
        self.response = None
        return answer.head

    def send(self, data: bytes | memoryview) -> None:
        """Write bytes, by TLS if there is any."""
        if self._layers:
            self._layers[-1].send(data)
        else:
            self._write(data)

    def request(self, head: bytes, body: bytes, on_uploaded: Callable[[], None]) -> None:
        """Write a request; `on_uploaded` is called once the system has taken all of it.

        A large body is written as the socket takes it, while the response may already come.
        """
        self.response = ResponseParser()
        if len(body) <= LARGE:
            self.send(head + body)
            on_uploaded()
            return
        self._upload = memoryview(body)
        self._on_uploaded = on_uploaded
        self.send(head)
        self._write_on()

    async def progress(self) -> None:
        """Wait until something has come, or the connection has failed: look first, then wait again.

        Raises:
            BaseException: It has failed before, by an error of a library or of the system.
        """
        if self.failure is not None:
            raise self.failure
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def read_on(self) -> None:
        """What waited has been taken: read the socket again if it was stopped, and more at once."""
        self._view = self._buffers.received
        self._most_waiting = RECEIVE
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()

    def release(self) -> None:
        """The response is over, and the next request may come."""
        if self.response is not None:
            self.response.close()
            self.response = None
        self.read_on()
        self._view = self._buffers.first
        self._most_waiting = _FIRST_WAITING

    def abort(self) -> None:
        """Close the socket now, and drop what was not sent."""
        if self.failure is None:
            self.failure = EOFError()
        if self.response is not None:
            self.response.close()
        self._layers.clear()  # they hold this object
        self.on_plain_turn = None
        self._upload = None
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has another base

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  asyncio's signature
        """See asyncio."""
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        """See asyncio."""
        if self.failure is not None:
            return
        data = self._buffers.received[:nbytes]
        try:
            if self._layers:
                self._receive_tls(data)
            else:
                self._receive(data)
        except Exception as exc:  # noqa: BLE001  whatever it is: nothing after it can be trusted
            self._fail(exc)

    def eof_received(self) -> None:
        """See asyncio. A missing close_notify is not held against a server: many send none.

        A cut is found out all the same, by the length of the body, by its chunks or in its JSON.
        """
        self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.

        Who refuses a request and resets the connection has said why. If a write of ours meets the
        reset first, asyncio reads no more; what came before is still in the socket.
        """
        if exc is not None and self.failure is None:
            with suppress(OSError):
                for _ in range(_LAST_READS):
                    size = self._socket.recv_into(self._buffers.received)
                    if not size:
                        break
                    self.buffer_updated(size)
        self._end(exc)

    def pause_writing(self) -> None:
        """See asyncio."""
        self._is_stopped = True

    def resume_writing(self) -> None:
        """See asyncio."""
        self._is_stopped = False
        if self._upload is not None and self.failure is None:
            try:
                self._write_on()
            except Exception as exc:  # noqa: BLE001  of the TLS library
                self._fail(exc)

    def _write(self, data: bytes | memoryview) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _write_on(self) -> None:
        """Write slices of the upload, until the socket takes no more or all is written."""
        rest = self._upload
        while rest and not self._is_stopped:
            self._upload = rest[_SLICE:]
            self.send(rest[:_SLICE])
            rest = self._upload  # None, if the connection was closed meanwhile
        if rest is not None and not rest and not self._is_stopped:
            self._upload = None
            if self._on_uploaded is not None:
                self._on_uploaded()

    def _receive_tls(self, data: memoryview) -> None:
        layers = self._layers
        layers[0].receive(data)
        if self.on_plain_turn is not None and layers and layers[-1].is_established:
            self.on_plain_turn(layers[-1])
        if any(layer.has_ended for layer in layers):
            self._end(None)
        elif self._waiter is not None and self.response is None:
            self._wake()  # it shakes hands

    def _receive(self, data: memoryview) -> None:
        response = self.response
        if response is None:
            raise EOFError  # unasked for: it would be taken for the next response
        response.feed(data)
        # One piece may wait: who keeps up takes it before the next is here, and to stop a socket
        # and read it again costs two calls of the system.
        if response.waiting > self._most_waiting and not self._is_paused:
            assert self._transport is not None
            self._is_paused = True
            self._transport.pause_reading()
        if response.head is not None:
            self._wake()

    def _end(self, exc: Exception | None) -> None:
        if self.failure is not None:
            return
        response = self.response
        if exc is None and response is not None:
            try:
                if response.end():
                    response.keeps_open = False
            except Exception as problem:  # noqa: BLE001  of the parser
                exc = problem
        self._fail(exc or EOFError())

    def _fail(self, exc: BaseException) -> None:
        self.failure = exc
        self._wake()
        if self.response is None:
            self.abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
