"""Sockets that notice a dead peer: with keep-alive, and a limit on waiting for acknowledgements.

A held call is silent for minutes. NATs and load balancers forget such a flow (after 240 to 350 s at
the large clouds) and tell neither side. A probe every 30 s keeps it alive, and ends the wait within
a minute if the peer is gone.
"""

import socket
from collections.abc import Callable
from typing import Any

MOST_IDLE = 2.0  # seconds between two requests of a connection; some servers close it after 5 s
IDLE, INTERVAL, COUNT = 30, 10, 3  # seconds, seconds, probes
# On Linux it overrides the number of probes, so it is as long as they take together.
USER_TIMEOUT = 60_000  # milliseconds

KEEPALIVE: list[tuple[int, int, int]] = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
for _name, _value in (
    ("TCP_KEEPIDLE", IDLE),
    ("TCP_KEEPALIVE", IDLE),  # the same on macOS
    ("TCP_KEEPINTVL", INTERVAL),
    ("TCP_KEEPCNT", COUNT),
    ("TCP_USER_TIMEOUT", USER_TIMEOUT),
):
    if hasattr(socket, _name):
        KEEPALIVE.append((socket.IPPROTO_TCP, getattr(socket, _name), _value))


def make_socket(
    address: tuple[Any, ...], guard: Callable[[str], None] | None = None
) -> socket.socket:
    """A non-blocking socket for an entry of getaddrinfo.

    `guard` gets the address that is really dialled, after all name look-ups, and raises
    PermissionError to refuse it.
    """
    family, kind, protocol, _, peer = address
    if guard is not None:
        guard(str(peer[0]))
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        probe(sock)
    except OSError:
        sock.close()
        raise
    return sock


def probe(sock: socket.socket) -> None:
    """Let the kernel find out whether the peer is still there."""
    for level, option, value in KEEPALIVE:
        sock.setsockopt(level, option, value)
