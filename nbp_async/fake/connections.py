"""The HTTP server: counts connections, and tells when one has ended."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from nbp_async.fake.counters import Counters

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_MOST_BODY = 110_000_000  # bytes: the vendors take 100 MB


class ConnectionServer(web.Server):
    """aiohttp's server; a handler works on when its client has left."""

    def __init__(self, handler: Handler, counters: Counters) -> None:
        # aiohttp's default, handler_cancellation=False, lets a handler finish for a client that has
        # left: a vendor renders and bills such a request as well.
        super().__init__(self._serve, request_factory=self._request, access_log=None)
        self._handler = handler
        self._counters = counters
        self._waiting: dict[object, list[asyncio.Future[None]]] = {}

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._counters.open_connection()

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._counters.close_connection()
        for waiter in self._waiting.pop(handler, ()):
            if not waiter.done():
                waiter.set_result(None)

    async def wait_for_disconnect(self, request: web.BaseRequest) -> None:
        """Return when the connection of `request` has ended."""
        if request.transport is None:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(request.protocol, []).append(waiter)
        await waiter

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer, and measure how long the connection was busy with it."""
        counters, loop = self._counters, asyncio.get_running_loop()
        counters.change_busy(loop.time(), 1)
        try:
            return await self._handler(request)
        finally:
            counters.change_busy(loop.time(), -1)

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        return web.BaseRequest(
            message, payload, protocol, writer, task, self._loop, client_max_size=_MOST_BODY
        )
