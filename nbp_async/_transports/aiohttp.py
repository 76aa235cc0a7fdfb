"""The default transport, over aiohttp.

aiohttp's own time-outs, limits, redirects, retries, cookies and decompression are all off, and it
reads no variable of the environment: the stage timer is the only timer, the gate the only bound.
`aiohttp_internals` holds what aiohttp does not document, the proof that nothing was sent among it.
"""

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp

from nbp_async._base.errors import ClosedError, NbpError
from nbp_async._base.http import HttpRequest, ReplyHead
from nbp_async._transports.aiohttp_internals import (
    PARSER_ERRORS,
    Body,
    ObservedRequest,
    abort,
    be_lenient,
    has_ended,
    read_larger_chunks,
    receive_less,
    take_left_over,
)
from nbp_async._transports.base import OWN_HEADERS
from nbp_async._transports.certificates import shared_context
from nbp_async._transports.coded_reply import CodedReply
from nbp_async._transports.network import Network, check_link
from nbp_async._transports.proxies import ProxyAddress, refused_by_proxy
from nbp_async._transports.request_urls import RequestUrls
from nbp_async._transports.response_heads import MAX_FIELD
from nbp_async._transports.sockets import MOST_IDLE, make_socket
from nbp_async._transports.stage_timer import StageTimer
from nbp_async._transports.transport_errors import (
    bad_head,
    translated,
    truncated,
    unsendable,
)

READ_BUFFER = 64 * 1024  # bytes; aiohttp stops reading a connection at twice this
MAX_HEADERS = 1000
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)


class AiohttpTransport:
    """See `base.Transport`. Opens at its first request; belongs to that event loop.

    Args:
        vendor: What messages call the other side.
        reuse: Keep connections for the next request; off, each request has its own.
        guard: Gets each address before it is dialled; raises PermissionError to refuse it. Behind
            a proxy it gets those that a link names, and not the proxy's own.
        network: By which proxies requests go, and whom they trust.
    """

    def __init__(
        self,
        *,
        vendor: str,
        reuse: bool = False,
        guard: Callable[[str], None] | None = None,
        network: Network | None = None,
    ) -> None:
        self.vendor = vendor
        self.reuse = reuse
        self.network = network or Network()
        self.guard = guard
        trust = self.network.trust
        # aiohttp has made a context of its own, which is as good where nothing else is named.
        self._tls = True if trust.is_usual else shared_context(trust)
        self._closed = False
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self.urls = RequestUrls()

    def send(self, request: HttpRequest, timer: StageTimer) -> "AiohttpReply":
        return AiohttpReply(self, request, timer)

    async def aclose(self) -> None:
        self._closed = True
        for session in self._sessions.values():
            await session.close()

    def session(self, *, guarded: bool) -> aiohttp.ClientSession:
        """A session, made in the event loop that uses it; the guard is asked in a guarded one."""
        if self._closed:
            raise ClosedError("This transport is closed. Nothing was sent.")
        session = self._sessions.get(guarded)
        if session is None:
            session = self._sessions[guarded] = self._open(self.guard if guarded else None)
        return session

    def _open(self, guard: Callable[[str], None] | None) -> aiohttp.ClientSession:
        idle: dict[str, Any] = {"keepalive_timeout": MOST_IDLE} if self.reuse else {}
        close = {} if self.reuse else {"Connection": "close"}
        connector = aiohttp.TCPConnector(
            limit=0,
            force_close=not self.reuse,
            ssl=self._tls,
            ttl_dns_cache=60,
            resolver=aiohttp.ThreadedResolver(),
            socket_factory=lambda address: make_socket(address, guard),
            **idle,
        )
        be_lenient(connector)
        return aiohttp.ClientSession(
            connector=connector,
            request_class=ObservedRequest,
            timeout=_NO_TIMEOUT,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=OWN_HEADERS | close,
            auto_decompress=False,
            trust_env=False,
            read_bufsize=READ_BUFFER,
            max_field_size=MAX_FIELD,
            max_headers=MAX_HEADERS,
        )


class AiohttpReply(CodedReply):
    """One request and its reply, as a context."""

    __slots__ = (
        "_body_accepted",
        "_has_read",
        "_owner",
        "_proxy",
        "_request",
        "_response",
        "_timer",
        "_transport",
        "head",
        "session",
    )

    def __init__(self, owner: AiohttpTransport, request: HttpRequest, timer: StageTimer) -> None:
        self._owner = owner
        self._request = request
        self._timer = timer
        self._proxy = owner.network.proxy_for(request.url)
        self._has_read = False
        self._body_accepted = not request.body
        self._transport: asyncio.Transport | None = None

    async def __aenter__(self) -> Self:
        request = self._request
        self.session = self._owner.session(guarded=self._proxy is None)
        self._timer.proxy = self._proxy
        problem: NbpError | None = unsendable(request, self._owner.vendor)
        if problem is None:
            body = Body(request.body, self) if request.body else None
            try:
                response = await self.session.request(
                    request.method,
                    self._owner.urls.parse(request.url),
                    data=body,
                    allow_redirects=False,
                    middlewares=None if body is not None else (self._send_once,),
                    **self._route(),
                )
            except Exception as exc:  # noqa: BLE001  whatever it is: it may have been paid for
                problem = self._translate(exc)
            except BaseException:
                self._abort()
                raise
            else:
                problem = self._check_head(response)
        if problem is not None:
            self._abort()
            raise problem
        self._timer.mark_first_byte()
        self._response = response
        codings = ",".join(response.headers.getall("Content-Encoding", ()))
        self.open_body(codings, self._owner.vendor)
        self.head = ReplyHead(response.status, response.headers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        response = self._response
        # aiohttp takes the connection back by itself once the body was read to its end. The reply
        # may be complete before the upload is; then the rest of the upload must not go on.
        ended = response.connection is None and self._body_accepted
        if not (ended and self._owner.reuse):
            self._abort()
            response.close()

    async def read_sent(self) -> bytes:
        """See `base.Reply`."""
        content = self._response.content
        try:
            ended = has_ended(content)
            if self._has_read and not ended:
                # From the second chunk on the caller holds a decode turn, so read larger chunks.
                read_larger_chunks(content)
            piece = b"" if ended else await content.readany()
            self._has_read = True
        except Exception as exc:  # noqa: BLE001  the same
            if rest := take_left_over(content):
                return rest
            problem = truncated(exc, self._owner.vendor)
        else:
            if not piece:
                self._timer.pause()
            return piece
        raise problem

    def connected(self, transport: asyncio.Transport | None) -> None:
        """See `SendObserver`."""
        self._transport = transport
        self._timer.mark_sent()
        if transport is not None:
            receive_less(transport)

    def accepted_body(self) -> None:
        """See `SendObserver`."""
        self._timer.mark_uploaded()
        self._body_accepted = True

    async def _send_once(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Observe a request without a body, and keep aiohttp from sending it a second time.

        aiohttp repeats a GET or PUT whose reused connection broke (aio-libs/aiohttp#7363), and has
        no switch for it (#10790). It goes by the class of the error; so another class leaves here.
        """
        assert isinstance(request, ObservedRequest)
        request.observer = self
        try:
            return await handler(request)
        except (aiohttp.ClientError, OSError) as exc:
            raise _NoSecondAttempt from exc

    def _route(self) -> dict[str, Any]:
        """The headers of the request, and the proxy that it goes by.

        A proxy hears a plain request itself, so that its credentials are in the request; over TLS
        it hears CONNECT alone, and they must not go on to the vendor.
        """
        url, headers, proxy = self._request.url, self._request.headers, self._proxy
        if proxy is None:
            return {"headers": headers}
        if self._owner.guard is not None:
            check_link(url, self._owner.guard)
        if url.startswith("http:"):
            return {"headers": headers | proxy.headers, "proxy": proxy.url}
        own = {"Connection": "keep-alive"} | proxy.headers
        return {"headers": headers, "proxy": proxy.url, "proxy_headers": own}

    def _check_head(self, response: aiohttp.ClientResponse) -> NbpError | None:
        """Refuse a head that aiohttp's parser in Python accepts, and its parser in C does not."""
        version, lengths = response.version, response.headers.getall("Content-Length", ())
        if response.status == 407 and self._proxy is not None:
            response.close()
            return self._refused(self._proxy, 407, response.headers)
        if version is not None and version.major == 1 and len(set(lengths)) < 2:
            return None
        response.close()
        return bad_head(self._owner.vendor)

    def _abort(self) -> None:
        if self._transport is not None:
            abort(self._transport)

    def _translate(self, exc: Exception) -> NbpError:
        cause = exc.__cause__ if isinstance(exc, _NoSecondAttempt) else None
        cause = cause or exc
        if isinstance(cause, aiohttp.ClientHttpProxyError) and self._proxy is not None:
            return self._refused(self._proxy, cause.status, cause.headers or {})
        return translated(
            cause,
            sent=self._timer.sent,
            vendor=self._owner.vendor,
            unread=isinstance(cause, PARSER_ERRORS),
            proxy=self._proxy,
        )

    def _refused(self, proxy: ProxyAddress, status: int, headers: Mapping[str, str]) -> NbpError:
        url, vendor = self._request.url, self._owner.vendor
        return refused_by_proxy(proxy, status, headers, vendor=vendor, url=url)


class _NoSecondAttempt(aiohttp.ClientError):
    """Carries an error past aiohttp's own repetition."""
