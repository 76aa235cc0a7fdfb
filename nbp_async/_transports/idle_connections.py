"""Connections that wait for their next request, for a moment."""

import asyncio

from yarl import URL

from nbp_async._transports.direct_connection import DirectConnection
from nbp_async._transports.proxies import ProxyAddress
from nbp_async._transports.sockets import MOST_IDLE

Route = tuple[URL, ProxyAddress | None]
"""Where a connection leads: scheme, host and port, and the proxy on the way."""


class IdleConnections:
    """Belongs to one event loop. One timer serves all of them."""

    def __init__(self) -> None:
        self._waiting: dict[Route, list[DirectConnection]] = {}
        self._sweep: asyncio.TimerHandle | None = None

    def take(self, route: Route) -> DirectConnection | None:
        """The connection that was used last, or None. It may have ended meanwhile."""
        waiting = self._waiting.get(route)
        oldest = asyncio.get_running_loop().time() - MOST_IDLE
        while waiting:
            connection = waiting.pop()
            if connection.is_usable and connection.idle_since >= oldest:
                return connection
            connection.abort()
        return None

    def keep(self, route: Route, connection: DirectConnection) -> None:
        """Let it wait for the next request, at most `MOST_IDLE` seconds."""
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._waiting.setdefault(route, []).append(connection)
        if self._sweep is None:
            self._sweep = loop.call_later(MOST_IDLE, self._close_old)

    def close(self) -> None:
        """Close all of them."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for waiting in self._waiting.values():
            for connection in waiting:
                connection.abort()
        self._waiting.clear()

    def _close_old(self) -> None:
        loop = asyncio.get_running_loop()
        oldest = loop.time() - MOST_IDLE
        self._sweep = None
        for route, waiting in list(self._waiting.items()):
            for connection in waiting:
                if connection.idle_since <= oldest:
                    connection.abort()
            left = [one for one in waiting if one.is_usable]
            if left:
                self._waiting[route] = left
            else:
                del self._waiting[route]
        if self._waiting:
            first = min(one.idle_since for left in self._waiting.values() for one in left)
            self._sweep = loop.call_at(first + MOST_IDLE, self._close_old)
