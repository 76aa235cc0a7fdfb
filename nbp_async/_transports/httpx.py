"""The other transport, over httpx; with HTTP/2 on request.

It stands one level below `httpx.AsyncClient`, on httpx's own transport, so there are no redirects,
cookies or time-outs to switch off. httpcore's pool goes through all its connections for
every request (encode/httpx#3215, encode/httpcore#929), which costs more than the calls when
hundreds are in flight. So each call has a pool of its own, unless HTTP/2 connections are shared.
A connection of HTTP/1.1 is never used twice: stray bytes after a response would be taken for the
next one.

httpcore's trace proves whether bytes may have left: `send_request_headers.started` comes once
there is a connection, and before the first byte of the request is written to it.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import anyio
import httpx

from nbp_async._base.errors import ClosedError, NbpError
from nbp_async._base.http import HttpRequest, ReplyHead
from nbp_async._transports.base import OWN_HEADERS
from nbp_async._transports.certificates import new_context
from nbp_async._transports.coded_reply import CodedReply
from nbp_async._transports.header_logs import unlogged_headers
from nbp_async._transports.network import Network
from nbp_async._transports.proxies import ProxyAddress, refused_by_proxy
from nbp_async._transports.sockets import KEEPALIVE, MOST_IDLE, probe
from nbp_async._transports.stage_timer import StageTimer
from nbp_async._transports.transport_errors import translated, truncated, unsendable

_SHARED = httpx.Limits(
    max_connections=None, max_keepalive_connections=None, keepalive_expiry=MOST_IDLE
)
_ONE_CALL = httpx.Limits(max_connections=1, max_keepalive_connections=0)
_HEADERS = {
    **OWN_HEADERS,
    "Connection": "close",  # HTTP/2 has no such header, and leaves it out
}
# What httpcore's trace says of a head: version, status, reason, headers.
_ProxyHead = tuple[bytes, int, bytes, list[tuple[bytes, bytes]]]
# Errors whose class alone proves that nothing left. They decide where there is no trace, as with a
# mock.
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)


class HttpxTransport:
    """See `base.Transport`. Opens at its first request; belongs to that event loop.

    httpx reads the response only after the request is out. If a server refuses a large upload
    early and closes the connection, the refusal is lost (DisconnectedError).

    Args:
        vendor: What messages call the other side.
        reuse: Requests may share an HTTP/2 connection, and then fail together if it breaks; off,
            each request has its own. HTTP/1.1 is not affected.
        http2: Speak HTTP/2 where the server does (https only).
        network: By which proxies requests go, and whom they trust.
        through: An httpx transport to use instead, such as a mock.
    """

    def __init__(
        self,
        *,
        vendor: str,
        reuse: bool = False,
        http2: bool = False,
        network: Network | None = None,
        through: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.vendor = vendor
        self._share = reuse and http2
        self._http2 = http2
        self.network = network or Network()
        self._context = None if through is not None else new_context(self.network.trust)
        self._through = through
        self._shared: dict[ProxyAddress | None, httpx.AsyncHTTPTransport] = {}
        self._closed = False

    def send(self, request: HttpRequest, timer: StageTimer) -> "HttpxReply":
        return HttpxReply(self, request, timer)

    async def aclose(self) -> None:
        self._closed = True
        for pool in (self._through, *self._shared.values()):
            if pool is not None:
                await pool.aclose()

    def pool(self, proxy: ProxyAddress | None) -> httpx.AsyncBaseTransport:
        """The pool to send through: one for all requests, or a fresh one."""
        if self._closed:
            raise ClosedError("This transport is closed. Nothing was sent.")
        if self._through is not None:
            return self._through
        if not self._share:
            return self._make(_ONE_CALL, proxy)
        if proxy not in self._shared:
            self._shared[proxy] = self._make(_SHARED, proxy)
        return self._shared[proxy]

    async def leave(self, pool: httpx.AsyncBaseTransport) -> None:
        """Close a pool that served one request."""
        if pool is not self._through and not self._share:
            await pool.aclose()

    def build(self, request: HttpRequest, trace: object) -> httpx.Request:
        """The request as httpx wants it."""
        headers = httpx.Headers(_HEADERS)
        headers.update(request.headers)
        return httpx.Request(
            request.method,
            request.url,
            headers=headers,
            content=request.body or None,
            extensions={"trace": trace},
        )

    def _make(self, limits: httpx.Limits, proxy: ProxyAddress | None) -> httpx.AsyncHTTPTransport:
        assert self._context is not None
        by = None
        if proxy is not None:
            tls = self._context if proxy.url.startswith("https:") else None
            by = httpx.Proxy(proxy.url, ssl_context=tls, headers=proxy.headers)
        return httpx.AsyncHTTPTransport(
            verify=self._context,
            trust_env=False,
            http2=self._http2,
            limits=limits,
            proxy=by,
            socket_options=KEEPALIVE,
        )


class HttpxReply(CodedReply):
    """One request and its reply, as a context."""

    __slots__ = (
        "_has_trace",
        "_is_built",
        "_owner",
        "_pieces",
        "_pool",
        "_proxy",
        "_proxy_head",
        "_request",
        "_response",
        "_socket",
        "_timer",
        "head",
    )

    def __init__(self, owner: HttpxTransport, request: HttpRequest, timer: StageTimer) -> None:
        self._owner = owner
        self._request = request
        self._timer = timer
        self._proxy = owner.network.proxy_for(request.url)
        self._proxy_head: _ProxyHead | None = None
        self._response: httpx.Response | None = None
        self._pieces: AsyncIterator[bytes] | None = None
        self._socket: Any = None
        self._is_built = False
        self._has_trace = False

    async def __aenter__(self) -> Self:
        self._pool = self._owner.pool(self._proxy)
        self._timer.proxy = self._proxy
        problem: NbpError | None = unsendable(self._request, self._owner.vendor)
        if problem is None:
            try:
                built = self._owner.build(self._request, self._trace)
                self._is_built = True
                with unlogged_headers():
                    response = await self._pool.handle_async_request(built)
            except Exception as exc:  # noqa: BLE001  whatever it is: it may have been paid for
                problem = self._translate(exc)
            except BaseException:
                await self._close()
                raise
            else:
                if response.status_code == 407 and self._proxy is not None:
                    self._response = response
                    problem = self._refused(self._proxy, 407, response.headers.raw)
        if problem is not None:
            await self._close()
            raise problem
        if not self._timer.sent:
            self._timer.mark_sent()  # through a transport without a trace
        self._timer.mark_first_byte()
        self._response = response
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self._pieces = aiter(response.stream)
        self.head = ReplyHead(response.status_code, _first_values(response.headers))
        codings = response.headers.get("content-encoding", "")
        self.open_body(codings, self._owner.vendor)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._close()

    async def read_sent(self) -> bytes:
        """See `base.Reply`."""
        assert self._pieces is not None
        try:
            async for piece in self._pieces:
                if piece:
                    break
            else:
                self._timer.pause()
                piece = b""
        except Exception as exc:  # noqa: BLE001  the same
            problem = truncated(exc, self._owner.vendor)
        else:
            return piece
        raise problem

    async def _trace(self, event: str, info: dict[str, Any]) -> None:
        self._has_trace = True
        if getattr(info.get("request"), "method", b"") == b"CONNECT":
            return  # to a proxy: nothing of the request itself is in it
        if event == "connection.connect_tcp.complete":
            self._socket = info["return_value"]
            if self._proxy is not None:  # httpcore does not pass socket options on to a proxy's
                probe(self._socket.get_extra_info("socket"))
        elif event.endswith(".receive_response_headers.complete") and not self._timer.sent:
            self._proxy_head = info["return_value"]  # what CONNECT was answered
        elif event.endswith(".send_request_headers.started"):
            if self._timer.sent:
                # The pool is about to send it a second time, as HTTP/2 allows after GOAWAY.
                raise httpx.RemoteProtocolError("the server went away")
            self._timer.mark_sent()
        elif event.endswith(".send_request_body.complete"):
            self._timer.mark_uploaded()

    async def _close(self) -> None:
        """Free the connection, although the task is cancelled, even a second time meanwhile."""
        with anyio.CancelScope(shield=True), suppress(Exception):
            if isinstance(self._pieces, AsyncGenerator):
                await self._pieces.aclose()
            if self._response is not None:
                await self._response.aclose()
            if self._socket is not None and not self._timer.sent:
                await self._socket.aclose()
            await self._owner.leave(self._pool)

    def _translate(self, exc: Exception) -> NbpError:
        timer = self._timer
        if self._is_built and not self._has_trace and not isinstance(exc, _NEVER_SENT):
            timer.mark_sent()
        if isinstance(exc, httpx.ProxyError) and self._proxy and self._proxy_head:
            return self._refused(self._proxy, self._proxy_head[1], self._proxy_head[3])
        unread = isinstance(exc, httpx.ProtocolError) and _is_from_parser(exc)
        return translated(
            exc, sent=timer.sent, vendor=self._owner.vendor, unread=unread, proxy=self._proxy
        )

    def _refused(
        self, proxy: ProxyAddress, status: int, headers: list[tuple[bytes, bytes]]
    ) -> NbpError:
        found, url, vendor = httpx.Headers(headers), self._request.url, self._owner.vendor
        return refused_by_proxy(proxy, status, found, vendor=vendor, url=url)


def _is_from_parser(exc: BaseException) -> bool:
    """The HTTP parser refused bytes that came. Otherwise the connection ended."""
    cause: BaseException | None = exc
    while cause is not None:
        if type(cause).__module__.partition(".")[0] in ("h11", "h2"):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _first_values(headers: httpx.Headers) -> httpx.Headers:
    """The first value of each header; httpx would join repeated ones."""
    first: dict[bytes, bytes] = {}
    for name, value in headers.raw:
        first.setdefault(name.lower(), value)
    return httpx.Headers(list(first.items()))
