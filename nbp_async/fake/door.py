"""Where connections come in: counts them, and tells when one is gone."""

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


class Door(web.Server):
    """aiohttp's server, which lets a handler work on when its client has left."""

    def __init__(self, handler: Handler, counters: Counters) -> None:
        super().__init__(self._carried, request_factory=self._request, access_log=None)
        self._answer = handler
        self._counters = counters
        self._leaving: dict[object, list[asyncio.Future[None]]] = {}

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._counters.opened()

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._counters.closed()
        for waiter in self._leaving.pop(handler, ()):
            if not waiter.done():
                waiter.set_result(None)

    async def _carried(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer, and note how long a connection was taken by that."""
        counters, loop = self._counters, asyncio.get_running_loop()
        counters.carries(loop.time(), 1)
        try:
            return await self._answer(request)
        finally:
            counters.carries(loop.time(), -1)

    async def gone(self, request: web.BaseRequest) -> None:
        """Return when the connection of `request` has ended."""
        if request.transport is None:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._leaving.setdefault(request.protocol, []).append(waiter)
        await waiter

    def _request(
        self, message: RawRequestMessage, payload: StreamReader, protocol: RequestHandler,
        writer: AbstractStreamWriter, task: "asyncio.Task[None]",
    ) -> web.BaseRequest:  # fmt: skip
        return web.BaseRequest(
            message, payload, protocol, writer, task, self._loop, client_max_size=_MOST_BODY
        )
