"""The transport made for held calls: asyncio's sockets, llhttp, and TLS of its own.

A call that waits costs a socket and little more: no task, no buffer, no parser. All connections
receive into one buffer, and a body stops its socket while too much of it waits.

    dial (or reuse) ── proxy ── TLS ── mark_sent ── request ── head ── body
    └────────── nothing left ────────┘ └────────── may have left ─────────┘
"""

import asyncio
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from yarl import URL

from nbp_async._base.errors import ClosedError, NbpError, ProxyRefusedError
from nbp_async._base.http import HttpRequest, ReplyHead
from nbp_async._transports.base import OWN_HEADERS
from nbp_async._transports.certificates import shared_context
from nbp_async._transports.coded_reply import CodedReply
from nbp_async._transports.dialer import Dialer
from nbp_async._transports.direct_connection import DirectConnection, SharedBuffers
from nbp_async._transports.idle_connections import IdleConnections, Route
from nbp_async._transports.network import Network
from nbp_async._transports.proxies import ProxyAddress, refused_by_proxy
from nbp_async._transports.request_urls import RequestUrls
from nbp_async._transports.response_parser import PARSER_ERROR, ResponseParser
from nbp_async._transports.stage_timer import StageTimer
from nbp_async._transports.tls_layer import TlsLayer, TlsSessions
from nbp_async._transports.transport_errors import translated, truncated, unsendable

_DEFAULTS = {name.lower(): f"{name}: {value}" for name, value in OWN_HEADERS.items()}


class DirectTransport:
    """See `base.Transport`. Opens at its first request; belongs to that event loop.

    Args:
        vendor: What messages call the other side.
        reuse: Keep connections for the next request; off, each request has its own.
        network: By which proxies requests go, and whom they trust.
    """

    def __init__(self, *, vendor: str, reuse: bool = False, network: Network | None = None) -> None:
        self.vendor = vendor
        self.reuse = reuse
        self.network = network or Network()
        self.urls = RequestUrls()
        self.idle = IdleConnections()
        trust = self.network.trust
        # What was named is read now, so that a mistake is told where it was made.
        self._context = None if trust.is_usual else shared_context(trust)
        # The system's own store is asked about each connection anew.
        self._sessions = None if trust.system else TlsSessions()
        self._dialer = Dialer()
        self._buffers = SharedBuffers()
        self._closed = False

    def send(self, request: HttpRequest, timer: StageTimer) -> "DirectReply":
        return DirectReply(self, request, timer)

    async def aclose(self) -> None:
        self._closed = True
        self.idle.close()
        await self._dialer.aclose()

    async def connect(self, url: URL, proxy: ProxyAddress | None) -> DirectConnection:
        """A connection on which the request to this address may be written.

        Raises:
            NotSentError: A proxy refused.
            Exception: What the system, the TLS library or the parser raised.
        """
        if self._closed:
            raise ClosedError("This transport is closed. Nothing was sent.")
        if self.reuse:
            # After one turn of the loop, what came unasked has been seen. And all requests that are
            # ready now leave together, and wake the server once.
            while (connection := self.idle.take((url.origin(), proxy))) is not None:
                await asyncio.sleep(0)
                if connection.is_usable:
                    return connection
                connection.abort()
        first = url if proxy is None else URL(proxy.url)
        sock = await self._dialer.dial(first.raw_host or "", first.port or 80)
        connection = DirectConnection(sock, self._buffers)
        try:
            await asyncio.get_running_loop().create_connection(lambda: connection, sock=sock)
            if proxy is not None and first.scheme == "https":
                await self._shake_hands(connection, first)
            if url.scheme == "https":
                if proxy is not None:
                    await self._open_tunnel(connection, url, proxy)
                await self._shake_hands(connection, url)
        except BaseException:
            connection.abort()
            sock.close()  # if there is no transport yet that would do it
            raise
        return connection

    async def _shake_hands(self, connection: DirectConnection, url: URL) -> None:
        if self._context is None:
            self._context = shared_context(self.network.trust)
        host, sessions = (url.raw_host or "").rstrip("."), self._sessions
        if sessions is None:
            await connection.start_tls(self._context, host, None)
            return
        key = f"{host}:{url.port}"
        session = sessions.find(key)
        try:
            layer = await connection.start_tls(self._context, host, session)
        except ssl.SSLError:
            sessions.drop(key, session)
            raise
        if session is not None and not layer.was_resumed:
            sessions.drop(key, session)  # as after a restart of the server

        def keep(layer: TlsLayer) -> None:
            if sessions.keep(key, layer, asyncio.get_running_loop().time()):
                connection.on_plain_turn = None

        connection.on_plain_turn = keep
        keep(layer)

    async def _open_tunnel(
        self, connection: DirectConnection, url: URL, proxy: ProxyAddress
    ) -> None:
        target = f"{url.host_subcomponent}:{url.port}"
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        lines += [f"{name}: {value}" for name, value in proxy.headers.items()]
        head = await connection.open_tunnel("\r\n".join([*lines, "", ""]).encode())
        if not 200 <= head.status < 300:
            raise self.refused(proxy, head.status, head.headers, str(url))

    def refused(
        self, proxy: ProxyAddress, status: int, headers: Mapping[str, str], url: str
    ) -> ProxyRefusedError:
        """The error for what a proxy answered itself."""
        return refused_by_proxy(proxy, status, headers, vendor=self.vendor, url=url)


class DirectReply(CodedReply):
    """One request and its reply, as a context."""

    __slots__ = (
        "_connection",
        "_owner",
        "_proxy",
        "_request",
        "_response",
        "_route",
        "_timer",
        "head",
    )

    _connection: DirectConnection | None
    _response: ResponseParser
    _route: Route
    head: ReplyHead

    def __init__(self, owner: DirectTransport, request: HttpRequest, timer: StageTimer) -> None:
        self._owner = owner
        self._request = request
        self._timer = timer
        self._proxy = owner.network.proxy_for(request.url)
        self._connection = None

    async def __aenter__(self) -> Self:
        self._timer.proxy = self._proxy
        problem: NbpError | None = unsendable(self._request, self._owner.vendor)
        if problem is None:
            try:
                self.head = await self._exchange()
            except NbpError as exc:
                problem = exc.with_traceback(None)
            except Exception as exc:  # noqa: BLE001  whatever it is: it may have been paid for
                problem = self._translate(exc)
            except BaseException:
                self._abort()
                raise
            else:
                if self.head.status == 407 and self._proxy is not None:
                    url, headers = self._request.url, self.head.headers
                    problem = self._owner.refused(self._proxy, 407, headers, url)
        if problem is not None:
            self._abort()
            raise problem
        self._timer.mark_first_byte()
        self.open_body(self._response.codings(), self._owner.vendor)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        connection, response = self._connection, self._response
        # The reply may be complete before the upload is; then the rest of it must not go on.
        ended = response.complete and response.keeps_open and not response.pieces
        if connection is None or not (ended and self._owner.reuse):
            self._abort()
            return
        connection.release()
        if connection.is_usable:
            self._owner.idle.keep(self._route, connection)
        else:
            self._abort()

    async def read_sent(self) -> bytes:
        """See `base.Reply`."""
        connection, response = self._connection, self._response
        assert connection is not None, "the head is here"
        try:
            while not response.pieces and not response.complete:
                await connection.progress()
        except Exception as exc:  # noqa: BLE001  the same
            problem = truncated(exc, self._owner.vendor)
        else:
            if response.pieces:
                piece = response.take()
                connection.read_on()
                return piece
            self._timer.pause()
            return b""
        raise problem

    async def _exchange(self) -> ReplyHead:
        """Send the request, and wait for the head of its response."""
        owner, request = self._owner, self._request
        url = owner.urls.parse(request.url)
        lines = self._lines(url)
        self._route = url.origin(), self._proxy
        self._connection = connection = await owner.connect(url, self._proxy)
        self._timer.mark_sent()
        connection.request(lines, request.body, self._timer.mark_uploaded)
        response = connection.response
        assert response is not None, "a request was written"
        self._response = response
        while response.head is None:
            await connection.progress()
        return response.head

    def _lines(self, url: URL) -> bytes:
        """The request line and the headers, as they are sent."""
        request, proxy = self._request, self._proxy
        own = request.headers
        # A proxy hears a plain request itself. Over TLS it hears CONNECT alone, and its
        # credentials must not go on to the vendor.
        by_proxy = proxy is not None and url.scheme == "http"
        if proxy is not None and by_proxy:
            own = own | proxy.headers
        target = f"http://{url.host_port_subcomponent}{url.raw_path_qs}"
        first = f"{request.method} {target if by_proxy else url.raw_path_qs} HTTP/1.1"
        names = {name.lower() for name in own}
        lines = [first, f"Host: {url.host_port_subcomponent}"]
        lines += [line for name, line in _DEFAULTS.items() if name not in names]
        lines += [f"{name}: {value}" for name, value in own.items()]
        if request.body or request.method != "GET":
            lines.append(f"Content-Length: {len(request.body)}")
            if "content-type" not in names and request.body:
                lines.append("Content-Type: application/json")
        if not self._owner.reuse:
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode()

    def _abort(self) -> None:
        if self._connection is not None:
            self._connection.abort()
            self._connection = None

    def _translate(self, exc: Exception) -> NbpError:
        return translated(
            exc,
            sent=self._timer.sent,
            vendor=self._owner.vendor,
            unread=isinstance(exc, PARSER_ERROR),
            proxy=self._proxy,
        )
