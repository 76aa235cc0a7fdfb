"""Sockets that notice a dead peer: keep-alive on, and no waiting for acknowledgements for ever.

A held call is silent for minutes. NATs and load balancers forget such a flow (after 240 to 350 s
at the large clouds), and nobody is told. A probe every 30 s keeps it alive, and ends the wait
within a minute if the peer is gone.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any

from nbp_async._errors import ConfigError

IDLE, INTERVAL, COUNT = 30, 10, 3  # seconds, seconds, probes
# It overrides the number of probes, so it is what they take together.
USER_TIMEOUT = 60_000  # milliseconds
RECEIVE = 160 * 1024  # bytes that are taken from a socket at once
RECEIVE_TLS = 32 * 1024  # bytes; two records

KEEPALIVE: list[tuple[int, int, int]] = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
for _name, _value in (
    ("TCP_KEEPIDLE", IDLE),
    ("TCP_KEEPALIVE", IDLE),  # what macOS calls it
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

    `guard` is asked about the address that is really dialled, after all name look-ups, and
    raises PermissionError to refuse it.
    """
    family, kind, protocol, _, peer = address
    if guard is not None:
        guard(str(peer[0]))
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        for level, option, value in KEEPALIVE:
            sock.setsockopt(level, option, value)
    except OSError:
        sock.close()
        raise
    return sock


def receive_less(wire: asyncio.Transport) -> None:
    """Make one of asyncio's transports take smaller pieces; one of another loop stays as it is.

    It takes 256 KiB at once, and two such pieces may wait for each of a hundred bodies that arrive
    together. Over TLS each connection also keeps a buffer of that size while it waits, and a held
    call does nothing but wait. There is no official way to set it for a single connection, so
    what is not found is left alone.
    """
    tls = getattr(wire, "_ssl_protocol", None)
    if tls is None:
        if hasattr(wire, "max_size"):
            wire.max_size = RECEIVE
    elif hasattr(tls, "max_size") and hasattr(tls, "_ssl_buffer"):
        tls.max_size = RECEIVE_TLS
        # Made anew, and smaller, when something arrives.
        tls._ssl_buffer = bytearray()  # noqa: SLF001


def tls_context(ca: str | None) -> ssl.SSLContext:
    """Trust the authorities in the file `ca`, or those of this system.

    Raises:
        ConfigError: There is no such file, or no certificate in it.
    """
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise ConfigError(f"ca={ca!r} cannot be used: {reason}.") from exc
