"""A server for a receiver, which slow or many clients cannot keep busy.

aiohttp waits without limit for the end of a request's head, and accepts any number of connections.
A proxy in front of us may limit both; this server does so where there is none:

    connected ──► head complete ──► body complete ──► response ──► next request, or closed
        HEAD_TIMEOUT      receiver.BODY_TIMEOUT          IDLE_TIMEOUT (aiohttp's keep-alive)
"""

import asyncio
import logging
from typing import cast

from aiohttp import web

from nbp_async._base.errors import ConfigError
from nbp_async._webhooks.receiver import Receiver

HEAD_TIMEOUT = 10.0  # seconds from the connection to the end of the first request's head
IDLE_TIMEOUT = 15.0  # seconds between two requests on a connection
MAX_CONNECTIONS = 500  # at once; more are closed as they come
_SHUTDOWN_TIMEOUT = 5.0  # seconds that a webhook which is being received may still take
_END_OF_HEAD = b"\r\n\r\n"
# Strangers send garbage to any open port, which is not worth a log line: aiohttp stays silent, and
# what concerns us goes to the receiver's log.
_silent_logger = logging.Logger("nbp_async.webhooks.http", logging.CRITICAL)


class HookServer:
    """Listens for a receiver. Belongs to one event loop."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._connections: set[HookConnection] = set()

    async def open(self) -> None:
        """Listen. Safe to call more than once.

        Raises:
            ConfigError: The port or the inbox cannot be used.
        """
        if self._runner is not None:
            return
        self._runner = runner = web.AppRunner(
            self.receiver.app(),
            access_log=None,
            logger=_silent_logger,
            keepalive_timeout=IDLE_TIMEOUT,
            lingering_time=1.0,
            auto_decompress=False,
            shutdown_timeout=_SHUTDOWN_TIMEOUT,
        )
        host, port = self.receiver.webhook.host, self.receiver.webhook.port
        loop = asyncio.get_running_loop()
        try:
            await runner.setup()
            self._server = await loop.create_server(self._new_connection, host, port)
        except OSError as exc:
            await self.aclose()
            raise ConfigError(f"Cannot listen for webhooks on {host}:{port}: {exc}.") from exc
        except BaseException:
            await self.aclose()
            raise
        self.receiver.port = self._server.sockets[0].getsockname()[1]

    async def aclose(self) -> None:
        """Accept nothing more, finish what is being received, and close the inbox."""
        server, self._server = self._server, None
        runner, self._runner = self._runner, None
        if server is not None:
            server.close()
        if runner is not None:
            await runner.cleanup()
        for connection in list(self._connections):
            connection.abort()

    def _new_connection(self) -> asyncio.Protocol:
        assert self._runner is not None and self._runner.server is not None
        inner = cast("asyncio.Protocol", self._runner.server())
        return HookConnection(inner, self._connections)


class HookConnection(asyncio.Protocol):
    """A connection: aiohttp's protocol, and a timer that runs until the first head is complete."""

    def __init__(self, inner: asyncio.Protocol, connections: "set[HookConnection]") -> None:
        self._inner = inner
        self._connections = connections
        self._tail = b""  # the last bytes, for the end of the head may come in two pieces
        self._head_timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._inner.connection_made(transport)
        self._connections.add(self)
        if len(self._connections) > MAX_CONNECTIONS:
            self.abort()
        else:
            loop = asyncio.get_running_loop()
            self._head_timer = loop.call_later(HEAD_TIMEOUT, self.abort)

    def data_received(self, data: bytes) -> None:
        if self._head_timer is not None:
            head = self._tail + data
            if _END_OF_HEAD in head:
                self._stop_timer()
            self._tail = head[-3:]
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._connections.discard(self)
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def abort(self) -> None:
        """Close it at once, whatever is under way."""
        self._stop_timer()
        if self._transport is not None:
            self._transport.abort()

    def _stop_timer(self) -> None:
        timer, self._head_timer = self._head_timer, None
        if timer is not None:
            timer.cancel()
