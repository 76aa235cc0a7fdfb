"""The default transport, over aiohttp.

All of aiohttp's own time-outs, limits, redirects, cookies, decompression and proxies are off: the
watch is the one timer, the gate the one bound. Whether bytes may have left is told by its trace
events, which fire just before the first byte can and never when none could.
"""

import ssl
from collections.abc import Callable
from types import SimpleNamespace, TracebackType
from typing import Any

import aiohttp
from aiohttp import http_exceptions
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from nbp_async._errors import MalformedReplyError, NbpError
from nbp_async._http import HttpRequest, ReplyHead
from nbp_async._transports.base import Watch
from nbp_async._transports.errors import no_reply, not_sent, truncated
from nbp_async._transports.sockets import make_socket

READ_BUFFER = 32 * 1024  # bytes; aiohttp stops reading a connection at twice this
RECEIVE = 64 * 1024  # bytes that asyncio takes from a socket at once; its own 256 KiB a call add up
_SLICE = 64 * 1024  # bytes; a larger upload leaves in such slices, so that its end is seen
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)
_IDLE = 2.0  # seconds that a reused connection may have been idle
_FAILURES = (aiohttp.ClientError, http_exceptions.HttpProcessingError, OSError, ValueError)


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
        self._vendor = vendor
        self._reuse = reuse
        self._guard = guard
        self._ca = ca
        self._session: aiohttp.ClientSession | None = None
        self._urls: dict[str, URL] = {}

    def send(self, request: HttpRequest, watch: Watch) -> "_Exchange":
        session = self._session or self._open()
        return _Exchange(session, self._url(request.url), request, watch, self._vendor)

    async def aclose(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(_connected)
        trace.on_connection_reuseconn.append(_connected)
        idle: dict[str, Any] = {"keepalive_timeout": _IDLE} if self._reuse else {}
        connector = aiohttp.TCPConnector(
            limit=0,
            force_close=not self._reuse,
            ssl=ssl.create_default_context(cafile=self._ca) if self._ca else True,
            ttl_dns_cache=60,
            socket_factory=lambda address: make_socket(address, self._guard),
            **idle,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=_NO_TIMEOUT,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity", "User-Agent": "nbp-async"},
            auto_decompress=False,
            trust_env=False,
            read_bufsize=READ_BUFFER,
            max_field_size=16 * 1024,
            trace_configs=[trace],
        )
        return self._session

    def _url(self, text: str) -> URL:
        """Parsed once: a client asks the same few addresses, but for image links."""
        url = self._urls.get(text)
        if url is None:
            if len(self._urls) >= 100:
                self._urls.clear()
            url = self._urls[text] = URL(text)
        return url


async def _connected(
    session: aiohttp.ClientSession,  # noqa: ARG001
    context: SimpleNamespace,
    event: object,  # noqa: ARG001
) -> None:
    context.trace_request_ctx.may_send()


class _Exchange:
    """One request and its reply, as a context."""

    __slots__ = ("_request", "_response", "_session", "_url", "_vendor", "_watch")

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: URL,
        request: HttpRequest,
        watch: Watch,
        vendor: str,
    ) -> None:
        self._session = session
        self._url = url
        self._request = request
        self._watch = watch
        self._vendor = vendor
        self._response: aiohttp.ClientResponse | None = None

    async def __aenter__(self) -> "AiohttpReply":
        request, watch = self._request, self._watch
        body: Any = request.body or None
        if len(request.body) > _SLICE:
            body = _Upload(request.body, watch)
        try:
            response = await self._session.request(
                request.method,
                self._url,
                data=body,
                headers=request.headers,
                allow_redirects=False,
                trace_request_ctx=watch,
            )
        except _FAILURES as exc:
            problem: NbpError = self._translate(exc)
        else:
            self._response = response
            watch.first_byte()
            _receive_less(response)
            return AiohttpReply(response, self._vendor)
        raise problem

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        response = self._response
        if response is not None:
            # A body that was read to its end has given its connection back by itself.
            response.close()

    def _translate(self, exc: BaseException) -> NbpError:
        if not self._watch.sent:
            return not_sent(exc, self._vendor)
        bad_head = isinstance(exc, http_exceptions.HttpProcessingError) or (
            isinstance(exc, aiohttp.ClientResponseError)
            and isinstance(exc.__cause__, http_exceptions.HttpProcessingError)
        )
        return no_reply(exc, self._vendor, bad_head=bad_head)


class AiohttpReply:
    """See `base.Reply`."""

    __slots__ = ("_content", "_vendor", "head")

    def __init__(self, response: aiohttp.ClientResponse, vendor: str) -> None:
        self.head = ReplyHead(response.status, response.headers)
        self._content = response.content
        self._vendor = vendor
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            raise MalformedReplyError(f"{vendor}: the body is compressed, which was not asked for.")

    async def read(self) -> bytes:
        try:
            return await self._content.readany()
        except _FAILURES as exc:
            problem = truncated(exc, self._vendor)
        raise problem


class _Upload(aiohttp.BytesPayload):
    """A body that leaves in slices, and tells when the last one was accepted."""

    def __init__(self, body: bytes, watch: Watch) -> None:
        super().__init__(memoryview(body)[:0])
        self._body = memoryview(body)
        self._size = len(body)
        self._watch = watch

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        body = self._body if content_length is None else self._body[:content_length]
        for start in range(0, len(body), _SLICE):
            await writer.write(body[start : start + _SLICE])
        await writer.drain()
        self._watch.uploaded()


def _receive_less(response: aiohttp.ClientResponse) -> None:
    """Take smaller pieces from this socket: with hundreds of bodies arriving, pieces are memory.

    `max_size` is a plain attribute of asyncio's own transports; where a loop has none (uvloop),
    nothing is changed.
    """
    connection = response.connection
    transport = connection.transport if connection is not None else None
    raw = getattr(transport, "_ssl_protocol", None)
    raw = getattr(raw, "_transport", None) if raw is not None else transport
    if raw is not None and hasattr(raw, "max_size"):
        raw.max_size = RECEIVE
