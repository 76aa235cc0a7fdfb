"""The default transport, over aiohttp.

All of aiohttp's own time-outs, limits, redirects, repetitions, cookies, decompression and proxies
are off: the watch is the one timer, the gate the one bound. Whether bytes may have left is told
by `_Request.send`, which aiohttp calls once it has a connection and before it writes: refused
ports, unknown names, failed handshakes and cancelled connects never come so far.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import http_exceptions
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http_writer import StreamWriter
from aiohttp.payload import Payload
from multidict import CIMultiDict
from yarl import URL

from nbp_async._errors import ClosedError, NbpError
from nbp_async._http import HttpRequest, ReplyHead
from nbp_async._transports.base import LARGE, Watch
from nbp_async._transports.errors import bad_head, compressed, translated, truncated, unsendable
from nbp_async._transports.sockets import RECEIVE, make_socket, receive_less, tls_context

READ_BUFFER = 64 * 1024  # bytes; aiohttp stops reading a connection at twice this
_SLICE = 64 * 1024  # bytes; a larger upload leaves in such slices, so that its end is seen
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)
_IDLE = 2.0  # seconds that a reused connection may have been idle


class AiohttpTransport:
    """See `base.Transport`. Opens at its first request; belongs to that event loop.

    Args:
        vendor: What messages call the other side.
        reuse: Keep connections for the next request; off, each request has its own.
        guard: Asked about each address before it is dialled; raises PermissionError to refuse.
        ca: File of certificate authorities to trust instead of the system's.
    """

    def __init__(
        self,
        *,
        vendor: str,
        reuse: bool = False,
        guard: Callable[[str], None] | None = None,
        ca: str | None = None,
    ) -> None:
        self.vendor = vendor
        self.reuse = reuse
        self._guard = guard
        self._tls = tls_context(ca) if ca else True
        self._closed = False
        self._session: aiohttp.ClientSession | None = None
        self._urls: dict[str, URL] = {}

    def send(self, request: HttpRequest, watch: Watch) -> "_Exchange":
        return _Exchange(self, request, watch)

    async def aclose(self) -> None:
        self._closed = True
        if self._session is not None:
            await self._session.close()

    def session(self) -> aiohttp.ClientSession:
        """The session, made in the event loop that uses it."""
        if self._closed:
            raise ClosedError("This transport is closed. Nothing was sent.")
        if self._session is None:
            self._session = self._open()
        return self._session

    def url(self, text: str) -> URL:
        """Parsed once: a client asks the same few addresses, but for image links."""
        url = self._urls.get(text)
        if url is None:
            if len(self._urls) >= 100:
                self._urls.clear()
            url = self._urls[text] = URL(text)
        return url

    def _open(self) -> aiohttp.ClientSession:
        idle: dict[str, Any] = {"keepalive_timeout": _IDLE} if self.reuse else {}
        close = {} if self.reuse else {"Connection": "close"}
        connector = aiohttp.TCPConnector(
            limit=0,
            force_close=not self.reuse,
            ssl=self._tls,
            ttl_dns_cache=60,
            resolver=aiohttp.ThreadedResolver(),
            socket_factory=lambda address: make_socket(address, self._guard),
            **idle,
        )
        return aiohttp.ClientSession(
            connector=connector,
            request_class=_Request,
            timeout=_NO_TIMEOUT,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity", "User-Agent": "nbp-async", **close},
            auto_decompress=False,
            trust_env=False,
            read_bufsize=READ_BUFFER,
            max_field_size=16 * 1024,
        )


class _Exchange:
    """One request and its reply, as a context."""

    __slots__ = (
        "_begun", "_coding", "_owner", "_request", "_response", "_wire", "accepted", "head",
        "session", "watch",
    )  # fmt: skip

    def __init__(self, owner: AiohttpTransport, request: HttpRequest, watch: Watch) -> None:
        self._owner = owner
        self._request = request
        self.watch = watch
        self._begun = False
        self.accepted = not request.body
        """All of the body has been taken from us."""
        self._wire: asyncio.Transport | None = None

    async def __aenter__(self) -> Self:
        request, self.session = self._request, self._owner.session()
        problem: NbpError | None = unsendable(request, self._owner.vendor)
        if problem is None:
            body = _Body(request.body, self) if request.body else None
            try:
                response = await self.session.request(
                    request.method,
                    self._owner.url(request.url),
                    data=body,
                    headers=request.headers,
                    allow_redirects=False,
                    middlewares=None if body is not None else (self._once,),
                )
            except Exception as exc:  # noqa: BLE001  whatever it is: it may have been paid for
                problem = self._translate(exc)
            except BaseException:
                self._drop()
                raise
            else:
                problem = self._unread(response)
        if problem is not None:
            self._drop()
            raise problem
        self.watch.first_byte()
        self._response = response
        self._coding = response.headers.get("Content-Encoding", "identity").strip().lower()
        self.head = ReplyHead(response.status, response.headers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        response = self._response
        # A body that was read to its end has given its connection back by itself.
        ended = response.connection is None and self.accepted
        if not (ended and self._owner.reuse):
            self._drop()
            response.close()

    async def read(self) -> bytes:
        """See `base.Reply`."""
        if self._coding not in ("identity", ""):
            raise compressed(self._coding, self._owner.vendor)
        content = self._response.content
        try:
            ended = content.at_eof() and content.exception() is None
            if self._begun and not ended:
                # Who comes for a second piece has a turn: its socket need not be stopped for each.
                content.set_read_chunk_size(RECEIVE)
            piece = b"" if ended else await content.readany()
            self._begun = True
        except Exception as exc:  # noqa: BLE001  the same
            problem = truncated(exc, self._owner.vendor)
        else:
            if not piece:
                self.watch.rest()
            return piece
        raise problem

    def may_send(self, wire: asyncio.Transport | None) -> None:
        """There is a connection, and nothing was written to it yet."""
        self._wire = wire
        self.watch.may_send()
        if wire is not None:
            receive_less(wire)

    async def _once(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Carry a request that has no body to carry us."""
        assert isinstance(request, _Request)
        request.exchange = self
        try:
            return await handler(request)
        except (aiohttp.ClientError, OSError) as exc:
            raise _FailedOnce from exc

    def _unread(self, response: aiohttp.ClientResponse) -> NbpError | None:
        """A head that aiohttp's parser in Python lets pass, and the one in C does not."""
        version, lengths = response.version, response.headers.getall("Content-Length", ())
        if version is not None and version.major == 1 and len(set(lengths)) < 2:
            return None
        response.close()
        return bad_head(self._owner.vendor)

    def _drop(self) -> None:
        """Close the socket now.

        aiohttp closes politely: what was not taken yet is still to be sent, and TLS waits for the
        other side's farewell, both for as long as it takes.
        """
        if self._wire is not None:
            # A TLS transport that was closed twice has nothing to abort any more; Python 3.11.2
            # stumbles over that.
            with suppress(AttributeError):
                self._wire.abort()

    def _translate(self, exc: Exception) -> NbpError:
        if isinstance(exc, _FailedOnce) and exc.__cause__ is not None:
            return self._translate_cause(exc.__cause__)
        return self._translate_cause(exc)

    def _translate_cause(self, exc: BaseException) -> NbpError:
        # The parser written in Python lets its own errors out, unwrapped.
        unread = isinstance(exc, aiohttp.ClientResponseError | http_exceptions.HttpProcessingError)
        sent, vendor = self.watch.sent, self._owner.vendor
        return translated(exc, sent=sent, vendor=vendor, unread=unread)


class _Request(aiohttp.ClientRequest):
    """A request that tells its exchange when its bytes may leave.

    Before Python 3.12 aiohttp makes a task for each body, which costs as much as all that is done
    with a small answer. A small body leaves here, in one piece with its head.
    """

    exchange: _Exchange

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        body = self.body
        if isinstance(body, _Body) and body.size <= LARGE:
            return await self._send_at_once(conn, body)
        exchange = body.exchange if isinstance(body, _Body) else self.exchange
        _check_clean(conn)
        exchange.may_send(conn.transport)
        return await super().send(conn)

    async def _send_at_once(self, conn: Connection, body: "_Body") -> aiohttp.ClientResponse:
        """What aiohttp's `send` does for a body in memory; nothing can fail once it is written."""
        # All that is ready in this turn of the loop leaves together, and wakes the other side once.
        await asyncio.sleep(0)
        writer = StreamWriter(_check_clean(conn), self.loop)
        await writer.write_headers(f"{self.method} {self.url.raw_path_qs} HTTP/1.1", self.headers)
        response = aiohttp.ClientResponse(
            self.method,
            self.original_url,
            writer=None,
            continue100=None,
            timer=self._timer,
            request_info=self.request_info,
            traces=[],
            loop=self.loop,
            session=body.exchange.session,
            stream_writer=writer,
        )
        body.exchange.may_send(conn.transport)
        await writer.write(body.data, drain=False)
        body.exchange.accepted = True
        return response


def _check_clean(conn: Connection) -> ResponseHandler:
    """The connection's protocol, if a request may be written to it."""
    protocol, wire = conn.protocol, conn.transport
    if protocol is None or protocol.should_close or wire is None or wire.is_closing():
        # Bytes that nobody asked for are waiting, and would be taken for the answer; or it broke.
        raise aiohttp.ClientConnectionError("the connection is not clean")
    return protocol


class _Body(Payload):
    """A body in memory. A large one is written in slices, and tells when the last was accepted."""

    _headers = CIMultiDict({"Content-Type": "application/json"})

    def __init__(self, data: bytes, exchange: _Exchange) -> None:
        # The base's would make a table of headers for each body.
        self.data = data
        self.exchange = exchange

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
        self.exchange.watch.uploaded()
        self.exchange.accepted = True


class _FailedOnce(aiohttp.ClientError):
    """Takes an error past the loop in aiohttp that sends a GET a second time."""
