"""The other transport, over httpx; with HTTP/2 if asked.

It works one floor below `httpx.AsyncClient`, on httpx's own transport: so there are no redirects,
cookies, proxies or time-outs to switch off. Its pool goes through all connections for every
request, which with hundreds of calls in flight costs more than the calls. So each call gets a
pool for itself, but where HTTP/2 connections are to be shared. A connection of HTTP/1.1 is never
used twice: stray bytes after an answer would be taken for the next one.

Whether bytes may have left is told by httpcore's trace: the headers' event comes once there is a
connection, and before the first byte of the request is written to it.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import anyio
import httpx

from nbp_async._errors import ClosedError, NbpError
from nbp_async._http import HttpRequest, ReplyHead
from nbp_async._transports.base import Watch
from nbp_async._transports.errors import compressed, translated, truncated, unsendable
from nbp_async._transports.sockets import KEEPALIVE, tls_context

_IDLE = 2.0  # seconds that a reused connection may have been idle
_SHARED = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=_IDLE)
_ONE_CALL = httpx.Limits(max_connections=1, max_keepalive_connections=0)
_HEADERS = {
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Connection": "close",  # HTTP/2 has no such header, and leaves it out
    "User-Agent": "nbp-async",
}
# What says by its class alone that nothing left, where no trace tells.
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)


class HttpxTransport:
    """See `base.Transport`. Opens at its first request; belongs to that event loop.

    The answer is read only once the request is out: where a server refuses a large upload before
    it has taken it, and hangs up, the refusal is lost (DisconnectedError).

    Args:
        vendor: What messages call the other side.
        reuse: Let requests share a connection of HTTP/2, and end together if it breaks; off, each
            request has its own. HTTP/1.1 is not affected.
        http2: Speak HTTP/2 where the server does (https only).
        ca: File of certificate authorities to trust instead of the system's.
        through: An httpx transport to use instead: a mock, or one that goes through a proxy.
    """

    def __init__(
        self,
        *,
        vendor: str,
        reuse: bool = False,
        http2: bool = False,
        ca: str | None = None,
        through: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.vendor = vendor
        self._share = reuse and http2
        self._http2 = http2
        self._context = None if through is not None else tls_context(ca)
        self._shared = through
        self._closed = False

    def send(self, request: HttpRequest, watch: Watch) -> "_Exchange":
        return _Exchange(self, request, watch)

    async def aclose(self) -> None:
        self._closed = True
        if self._shared is not None:
            await self._shared.aclose()

    def pool(self) -> httpx.AsyncBaseTransport:
        """What to send through: one pool for all requests, or a fresh one."""
        if self._closed:
            raise ClosedError("This transport is closed. Nothing was sent.")
        if self._shared is None and not self._share:
            return self._make(_ONE_CALL)
        if self._shared is None:
            self._shared = self._make(_SHARED)
        return self._shared

    async def leave(self, pool: httpx.AsyncBaseTransport) -> None:
        """Close a pool that served one request."""
        if pool is not self._shared:
            await pool.aclose()

    def spell(self, request: HttpRequest, trace: object) -> httpx.Request:
        """The request in httpx's words."""
        return httpx.Request(
            request.method,
            request.url,
            headers=_HEADERS | request.headers,
            content=request.body or None,
            extensions={"trace": trace},
        )

    def _make(self, limits: httpx.Limits) -> httpx.AsyncHTTPTransport:
        assert self._context is not None
        return httpx.AsyncHTTPTransport(
            verify=self._context,
            trust_env=False,
            http2=self._http2,
            limits=limits,
            socket_options=KEEPALIVE,
        )


class _Exchange:
    """One request and its reply, as a context."""

    __slots__ = (
        "_coding", "_owner", "_pieces", "_pool", "_request", "_response", "_socket",
        "_spelled", "_traced", "_watch", "head",
    )  # fmt: skip

    def __init__(self, owner: HttpxTransport, request: HttpRequest, watch: Watch) -> None:
        self._owner = owner
        self._request = request
        self._watch = watch
        self._response: httpx.Response | None = None
        self._pieces: AsyncIterator[bytes] | None = None
        self._socket: Any = None
        self._spelled = False
        self._traced = False

    async def __aenter__(self) -> Self:
        self._pool = self._owner.pool()
        problem: NbpError | None = unsendable(self._request, self._owner.vendor)
        if problem is None:
            try:
                spelled = self._owner.spell(self._request, self._trace)
                self._spelled = True
                response = await self._pool.handle_async_request(spelled)
            except Exception as exc:  # noqa: BLE001  whatever it is: it may have been paid for
                problem = self._translate(exc)
            except BaseException:
                await self._close()
                raise
        if problem is not None:
            await self._close()
            raise problem
        if not self._watch.sent:
            self._watch.may_send()  # through something that tells nothing
        self._watch.first_byte()
        self._response = response
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self._pieces = aiter(response.stream)
        self.head = ReplyHead(response.status_code, _first_values(response.headers))
        self._coding = response.headers.get("content-encoding", "identity").strip().lower()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._close()

    async def read(self) -> bytes:
        """See `base.Reply`."""
        if self._coding not in ("identity", ""):
            raise compressed(self._coding, self._owner.vendor)
        assert self._pieces is not None
        try:
            async for piece in self._pieces:
                if piece:
                    break
            else:
                self._watch.rest()
                piece = b""
        except Exception as exc:  # noqa: BLE001  the same
            problem = truncated(exc, self._owner.vendor)
        else:
            return piece
        raise problem

    async def _trace(self, event: str, info: dict[str, Any]) -> None:
        self._traced = True
        if event == "connection.connect_tcp.complete":
            self._socket = info["return_value"]
        elif event.endswith(".send_request_headers.started"):
            if self._watch.sent:
                # The pool would send it again where HTTP/2 says that it was not looked at.
                raise httpx.RemoteProtocolError("the server went away")
            self._watch.may_send()
        elif event.endswith(".send_request_body.complete"):
            self._watch.uploaded()

    async def _close(self) -> None:
        """Free the connection; also when cancelled, and once more while at it."""
        with anyio.CancelScope(shield=True), suppress(Exception):
            if isinstance(self._pieces, AsyncGenerator):
                await self._pieces.aclose()
            if self._response is not None:
                await self._response.aclose()
            if self._socket is not None and not self._watch.sent:
                await self._socket.aclose()
            await self._owner.leave(self._pool)

    def _translate(self, exc: Exception) -> NbpError:
        watch = self._watch
        if self._spelled and not self._traced and not isinstance(exc, _NEVER_SENT):
            watch.may_send()
        unread = isinstance(exc, httpx.ProtocolError) and _is_from_parser(exc)
        return translated(exc, sent=watch.sent, vendor=self._owner.vendor, unread=unread)


def _is_from_parser(exc: BaseException) -> bool:
    """Bytes came that the HTTP parser refused; else the connection just ended."""
    one: BaseException | None = exc
    while one is not None:
        if type(one).__module__.partition(".")[0] in ("h11", "h2"):
            return True
        one = one.__cause__ or one.__context__
    return False


def _first_values(headers: httpx.Headers) -> httpx.Headers:
    """Of a repeated header, the first value; httpx would join them."""
    first: dict[bytes, bytes] = {}
    for name, value in headers.raw:
        first.setdefault(name.lower(), value)
    return httpx.Headers(list(first.items()))
