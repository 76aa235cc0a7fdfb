"""A server of its own for a receiver, that nobody keeps busy by being slow.

aiohttp waits for ever for the end of a request's head, and takes as many connections as come. What
stands before us may see to that; where nothing does, this does.
"""

import asyncio
import logging
from typing import cast

from aiohttp import web

from nbp_async._errors import ConfigError
from nbp_async._webhooks.app import Receiver

HEAD_PATIENCE = 10.0  # seconds from the connection to the end of the first request's head
IDLE = 15.0  # seconds between two requests on a connection
MOST = 500  # connections at once; more are closed as they come
_SHUT = 5.0  # seconds that a webhook which is being taken in may still take
_END_OF_HEAD = b"\r\n\r\n"
# What strangers send to any open port is no news: our own words go to the receiver's log.
_silent = logging.Logger("nbp_async.webhooks.http", logging.CRITICAL)


class Door:
    """Listens for a receiver. Belongs to one event loop."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._visits: set[_Visit] = set()

    async def open(self) -> None:
        """Listen. Safe to call more than once.

        Raises:
            ConfigError: The port or the inbox cannot be used.
        """
        if self._runner is not None:
            return
        self._runner = runner = web.AppRunner(
            self.receiver.app(), access_log=None, logger=_silent, keepalive_timeout=IDLE,
            lingering_time=1.0, auto_decompress=False, shutdown_timeout=_SHUT,
        )  # fmt: skip
        webhook = self.receiver.webhook
        loop = asyncio.get_running_loop()
        try:
            await runner.setup()
            self._server = await loop.create_server(self._visit, webhook.host, webhook.port)
        except OSError as exc:
            await self.aclose()
            where = f"{webhook.host}:{webhook.port}"
            raise ConfigError(f"Webhooks cannot be listened for at {where}: {exc}.") from exc
        except BaseException:
            await self.aclose()
            raise
        self.receiver.port = self._server.sockets[0].getsockname()[1]

    async def aclose(self) -> None:
        """Take no more in, finish what is under way, and close the inbox."""
        server, self._server = self._server, None
        runner, self._runner = self._runner, None
        if server is not None:
            server.close()
        if runner is not None:
            await runner.cleanup()
        for visit in list(self._visits):
            visit.abort()

    def _visit(self) -> asyncio.Protocol:
        assert self._runner is not None and self._runner.server is not None
        inner = cast("asyncio.Protocol", self._runner.server())
        return _Visit(inner, self._visits)


class _Visit(asyncio.Protocol):
    """A connection: aiohttp's own protocol, and a timer until it has read a head."""

    def __init__(self, inner: asyncio.Protocol, visits: "set[_Visit]") -> None:
        self._inner = inner
        self._visits = visits
        self._end = b""
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._inner.connection_made(transport)
        self._visits.add(self)
        if len(self._visits) > MOST:
            self.abort()
        else:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(HEAD_PATIENCE, self.abort)

    def data_received(self, data: bytes) -> None:
        if self._timer is not None:
            seen = self._end + data
            if _END_OF_HEAD in seen:
                self._at_ease()
            self._end = seen[-3:]
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._at_ease()
        self._visits.discard(self)
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def abort(self) -> None:
        self._at_ease()
        if self._transport is not None:
            self._transport.abort()

    def _at_ease(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
