"""Opens sockets to a host: its name is resolved once a minute, its addresses are tried in turn."""

import asyncio
import socket
from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Any

from nbp_async._transports.sockets import make_socket

_KNOWN_FOR = 60.0  # seconds that the addresses of a name are used again
_NEXT_AFTER = 0.25  # seconds; RFC 8305 advises this much between two addresses

_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV

_Address = tuple[int, int, int, str, tuple[Any, ...]]


class Dialer:
    """Opens sockets; belongs to one event loop."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], tuple[list[_Address], float]] = {}
        self._lookups: dict[tuple[str, int], asyncio.Task[list[_Address]]] = {}

    async def dial(self, host: str, port: int) -> socket.socket:
        """A connected socket, which the kernel probes.

        Raises:
            OSError: The name does not resolve, or none of its addresses answers.
        """
        addresses = await self._resolve(host, port)
        if len(addresses) == 1:
            return await _connect(addresses[0])
        return await _race(addresses)

    async def aclose(self) -> None:
        """End the look-ups that nobody waits for any more."""
        for lookup in list(self._lookups.values()):
            lookup.cancel()
            await asyncio.wait([lookup])

    async def _resolve(self, host: str, port: int) -> list[_Address]:
        now = asyncio.get_running_loop().time()
        key = host, port
        known = self._known.get(key)
        if known is not None and now < known[1]:
            return known[0]
        addresses = _spelled_out(host, port)
        if not addresses:
            # One look-up serves all who wait for it, also if one of them is cancelled.
            lookup = self._lookups.get(key)
            if lookup is None:
                lookup = self._lookups[key] = asyncio.create_task(_look_up(host, port))
                lookup.add_done_callback(lambda done: self._forget(key, done))
            addresses = await asyncio.shield(lookup)
        self._known[key] = addresses, now + _KNOWN_FOR
        return addresses

    def _forget(self, key: tuple[str, int], lookup: "asyncio.Task[list[_Address]]") -> None:
        self._lookups.pop(key, None)
        if not lookup.cancelled():
            lookup.exception()  # those who waited have it, if there are any left


def _spelled_out(host: str, port: int) -> list[_Address]:
    """The address that the host is spelled as; none if it is a name."""
    try:
        return _of(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=_NUMERIC))
    except (OSError, UnicodeError):
        return []


async def _look_up(host: str, port: int) -> list[_Address]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    if not found:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return _of(found)


def _of(found: Sequence[_Address]) -> list[_Address]:
    """IPv6 and IPv4 in turn, beginning with what the system puts first."""
    entries = list(found)
    first = [entry for entry in entries if entry[0] == entries[0][0]]
    others = [entry for entry in entries if entry[0] != entries[0][0]]
    return [entry for entry in chain(*zip_longest(first, others)) if entry is not None]


async def _connect(address: _Address) -> socket.socket:
    sock = make_socket(address)
    try:
        await asyncio.get_running_loop().sock_connect(sock, address[4])
    except BaseException:
        sock.close()
        raise
    return sock


async def _race(addresses: list[_Address]) -> socket.socket:
    """The next address is tried when one has failed, or has not answered for a moment."""
    rest = list(reversed(addresses))
    running: set[asyncio.Task[socket.socket]] = set()
    failure: BaseException | None = None
    try:
        while rest or running:
            if rest:
                running.add(asyncio.create_task(_connect(rest.pop())))
            done, _ = await asyncio.wait(
                running,
                timeout=_NEXT_AFTER if rest else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for one in done:
                running.discard(one)
                error = one.exception()
                if error is None:
                    return one.result()
                failure = failure or error
    finally:
        for one in running:
            one.add_done_callback(_hang_up)
            one.cancel()
        if running:
            await asyncio.wait(running)
    assert failure is not None, "each address has failed"
    raise failure


def _hang_up(dialled: "asyncio.Task[socket.socket]") -> None:
    """Another address was faster."""
    if not dialled.cancelled() and dialled.exception() is None:
        dialled.result().close()
