"""Other libraries' exceptions in our words, by how far the request got. Pure: no I/O, no aiohttp.

`sent` is proved by the transport and never guessed from the exception, and the status that
aiohttp puts into errors of its parser is not looked at. A new error has no cause, and repeats
nothing that a library wrote: some print all request headers, and the key is one of them.
"""

import errno
import os
import re
import socket
import ssl
from collections.abc import Iterator

from nbp_async._errors import (
    BadHeadError,
    CertificateError,
    ConnectError,
    DisconnectedError,
    LocalLimitError,
    MalformedReplyError,
    NbpError,
    NotSentError,
    TruncatedError,
)
from nbp_async._http import HttpRequest

_LOCAL_LIMITS = {
    errno.EMFILE: "this process has no file descriptor left",
    errno.ENFILE: "this machine has no file descriptor left",
    errno.ENOBUFS: "this machine has no socket buffer left",
    errno.ENOMEM: "this machine has no memory left for a socket",
    errno.EADDRNOTAVAIL: "this machine has no local port left for this address",
}
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def translated(exc: BaseException, *, sent: bool, vendor: str, unread: bool) -> NbpError:
    """Say what ended a request before the head of its answer was here.

    Args:
        exc: What the HTTP library raised.
        sent: Bytes of the request may have left.
        vendor: What messages call the other side.
        unread: Bytes came back, and the library could not read them.
    """
    if not sent:
        return _not_sent(exc, vendor)
    if unread:
        return bad_head(vendor)
    return DisconnectedError(f"{vendor}: the connection ended before an answer came{_why(exc)}.")


def bad_head(vendor: str) -> BadHeadError:
    """Bytes came back that are no head of an answer."""
    return BadHeadError(f"{vendor}: what came back is no HTTP answer.")


def truncated(exc: BaseException, vendor: str) -> TruncatedError:
    """The head came, and the body did not come whole."""
    return TruncatedError(f"{vendor}: the answer was cut off{_why(exc)}.")


def compressed(coding: str, vendor: str) -> MalformedReplyError:
    """The body is packed, and nobody asked for it."""
    return MalformedReplyError(f"{vendor}: the answer is compressed ({coding[:40]!r}), unasked.")


def unsendable(request: HttpRequest, vendor: str) -> NotSentError | None:
    """A header that no library would send; found here, while nothing can have left."""
    for name, value in request.headers.items():
        if value.isprintable() and name.isprintable():
            continue  # most are: half the work
        if _CONTROL.search(value) or _CONTROL.search(name):
            return NotSentError(f"{vendor}: the header {name!r} has a control character in it.")
    return None


def _not_sent(exc: BaseException, vendor: str) -> NotSentError:
    for cause in _causes(exc):
        if isinstance(cause, ssl.SSLCertVerificationError | ssl.CertificateError):
            reason = getattr(cause, "verify_message", "") or "it is for another name"
            return CertificateError(
                f"{vendor}: its certificate was refused ({reason}).",
                hint="Is the address right? Behind a company's proxy, give its CA: Client(ca=...).",
            )
        if isinstance(cause, OSError) and cause.errno in _LOCAL_LIMITS:
            return LocalLimitError(
                f"{vendor}: no connection: {_LOCAL_LIMITS[cause.errno]}.",
                hint="Raise the file limit (ulimit -n), or lower max_in_flight.",
            )
    return ConnectError(f"{vendor}: no connection{_why(exc)}.")


def _why(exc: BaseException) -> str:
    """The reason that the system, the TLS library or a guard gave; or nothing."""
    for cause in _causes(exc):
        if isinstance(cause, socket.gaierror):
            return ": its name does not resolve"
        if isinstance(cause, ssl.SSLError):
            # Its number is none of the system's; a library's copy of it has no reason.
            if reason := getattr(cause, "reason", None):
                return f": TLS failed ({reason.lower().replace('_', ' ')})"
        elif isinstance(cause, PermissionError) and cause.errno is None:
            return f": {cause}"  # a guard's, in our own words
        elif isinstance(cause, OSError) and cause.errno and cause.errno > 0:
            return f": {os.strerror(cause.errno).lower()}"
    return ""


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """The error and all that is behind it, each once: causes, contexts, members of groups."""
    seen: set[int] = set()
    rest: list[BaseException | None] = [exc]
    while rest:
        one = rest.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        rest += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            rest += one.exceptions
