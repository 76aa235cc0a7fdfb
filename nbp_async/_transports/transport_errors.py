"""Translates the exceptions of HTTP libraries into ours, by how far the request got. Pure.

The transport proves `sent`; it is never guessed from the exception, and the status that aiohttp
puts into errors of its parser is ignored. Our error has no cause, and repeats no text of a library:
some print all request headers, and the key is one of them.
"""

import errno
import os
import re
import socket
import ssl
from collections.abc import Iterator

from nbp_async._base.errors import (
    BadHeadError,
    CertificateError,
    ConnectError,
    DisconnectedError,
    LocalLimitError,
    NbpError,
    NotSentError,
    TruncatedError,
)
from nbp_async._base.http import HttpRequest

_LOCAL_LIMITS = {
    errno.EMFILE: "this process has no file descriptor left",
    errno.ENFILE: "this machine has no file descriptor left",
    errno.ENOBUFS: "this machine has no socket buffer left",
    errno.ENOMEM: "this machine has no memory left for a socket",
    errno.EADDRNOTAVAIL: "this machine has no local port left for this address",
}
_LESS_STRICT = "For the next calls: Client(transport='httpx') is less strict."
_LENGTHS = "Only those who run the server, or a proxy on the way, can repair it."
# What aiohttp and h11 say of a head, what it means, and what to do. The first that fits counts.
_HEAD_FAULTS = (
    ("Got more than", "one of its headers is too long", _LESS_STRICT),
    ("Too many headers", "it has too many headers", _LESS_STRICT),
    ("can't be present with", "it has both Content-Length and Transfer-Encoding", _LESS_STRICT),
    ("Duplicate Content-Length", "it has two Content-Length headers that differ", _LENGTHS),
    ("conflicting Content-Length", "it has two Content-Length headers that differ", _LENGTHS),
    ("Content-Length", "its Content-Length is not a number", ""),
    ("multiple Transfer-Encoding", "it has two Transfer-Encoding headers", ""),
    ("status line", "it does not begin with a status line", ""),
)
# By what OpenSSL calls it: what the host's certificate is, and what to do.
_CLOCK = "Is this machine's clock right? Else those who run the host must renew it."
_ADDRESS = "Is the address right?"
_TRUST = (
    "In a company's network, trust its authority: ca='office.pem', SSL_CERT_FILE, or "
    "certificates='system' (nbp help certificates)."
)
_UNKNOWN = ("is from an authority that is not trusted here", _TRUST)
_CERTIFICATE_FAULTS = {
    9: ("is not valid yet", _CLOCK),
    10: ("has expired", _CLOCK),
    **dict.fromkeys((2, 18, 19, 20, 21), _UNKNOWN),
    **dict.fromkeys((62, 64), ("is for another name", _ADDRESS)),
}
_WANTS_OURS = {"TLSV13_ALERT_CERTIFICATE_REQUIRED"}
_TLS_ADVICE = {
    "SSLV3_ALERT_HANDSHAKE_FAILURE": ": it may want a certificate from us, or other ciphers",
    "TLSV1_ALERT_PROTOCOL_VERSION": ": it speaks another version of TLS than we do",
    "UNSUPPORTED_PROTOCOL": ": it speaks a version of TLS that is too old",
    "WRONG_VERSION_NUMBER": ": that port does not speak TLS",
}
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class RefusedAddressError(ConnectError):
    """A guard refused the address before it was dialled; `reason` is what it said."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


def translated(
    exc: BaseException, *, sent: bool, vendor: str, unread: bool, proxy: object = None
) -> NbpError:
    """The error for a request that ended before the head of its response was here.

    Args:
        exc: What the HTTP library raised.
        sent: Bytes of the request may have left.
        vendor: What messages call the other side.
        unread: Bytes came back, and the library could not read them.
        proxy: The proxy that it went by, or None.
    """
    if not sent:
        return _not_sent(exc, vendor, proxy)
    if any(_reason(cause) in _WANTS_OURS for cause in _causes(exc)):
        # With TLS 1.3 this comes after we have sent. The server's handshake failed, so that nothing
        # behind it was read.
        return _certificate_wanted(vendor)
    if unread:
        return bad_head(vendor, exc)
    return DisconnectedError(f"{vendor}: the connection ended before a response came{_why(exc)}.")


def bad_head(vendor: str, exc: BaseException | None = None) -> BadHeadError:
    """Bytes came back that are not the head of a response; which fault it has, in our own words."""
    words = " ".join(str(cause) for cause in _causes(exc)) if exc is not None else ""
    for said, fault, hint in _HEAD_FAULTS:
        if said in words:
            return BadHeadError(f"{vendor}: the response is not valid HTTP: {fault}.", hint=hint)
    return BadHeadError(f"{vendor}: the response is not valid HTTP.")


def truncated(exc: BaseException, vendor: str) -> TruncatedError:
    """The head came, and the body did not come whole."""
    return TruncatedError(f"{vendor}: the response was cut off{_why(exc)}.")


def unsendable(request: HttpRequest, vendor: str) -> NotSentError | None:
    """A header that no library would send; found here, while nothing can have left."""
    for name, value in request.headers.items():
        if value.isprintable() and name.isprintable():
            continue  # most are, and this is faster than two searches
        if _CONTROL.search(value) or _CONTROL.search(name):
            return NotSentError(f"{vendor}: the header {name!r} contains a control character.")
    return None


def _not_sent(exc: BaseException, vendor: str, proxy: object) -> NotSentError:
    for cause in _causes(exc):
        if _reason(cause) in _WANTS_OURS:
            return _certificate_wanted(vendor)
        # aiohttp wraps it in a class of the same kind, which says nothing.
        if isinstance(cause, ssl.SSLCertVerificationError) and getattr(cause, "verify_code", None):
            return _untrusted(cause, vendor)
        if isinstance(cause, PermissionError) and cause.errno is None:  # raised by a guard
            return RefusedAddressError(f"{vendor}: no connection: {cause}.", reason=str(cause))
        if isinstance(cause, OSError) and cause.errno in _LOCAL_LIMITS:
            return LocalLimitError(
                f"{vendor}: no connection: {_LOCAL_LIMITS[cause.errno]}.",
                hint="Raise the file limit (ulimit -n), or lower max_in_flight.",
            )
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(exc)):
        return CertificateError(f"{vendor}: its certificate was refused.", hint=_TRUST)
    way = "" if proxy is None else f" by the proxy {proxy}"
    return ConnectError(f"{vendor}: no connection{way}{_why(exc)}.")


def _untrusted(exc: ssl.SSLCertVerificationError, vendor: str) -> CertificateError:
    """The host's certificate proves nothing; says why, and what to do."""
    fault, hint = _CERTIFICATE_FAULTS.get(exc.verify_code, ("was refused", _TRUST))
    about = "" if exc.verify_code in _CERTIFICATE_FAULTS else f" ({exc.verify_message})"
    return CertificateError(f"{vendor}: its certificate {fault}{about}.", hint=hint)


def _certificate_wanted(vendor: str) -> CertificateError:
    return CertificateError(
        f"{vendor}: it wants a certificate from us, and took nothing without one.",
        hint="Client certificates are not supported: run a local proxy that has one, and name it "
        "as the endpoint.",
    )


def _reason(exc: BaseException) -> str:
    """OpenSSL's name of what went wrong, as "CERTIFICATE_VERIFY_FAILED"; else ""."""
    return (getattr(exc, "reason", None) or "") if isinstance(exc, ssl.SSLError) else ""


def _why(exc: BaseException) -> str:
    """The reason that the system, the TLS library or a guard gave; or ""."""
    causes = list(_causes(exc))
    # First, for a library may put what OpenSSL said into an error of the system's kind, whose
    # number then means something else.
    for cause in causes:
        if reason := _reason(cause):
            words = reason.lower().replace("_", " ").removeprefix("sslv3 ").removeprefix("tlsv1 ")
            return f": TLS failed ({words}){_TLS_ADVICE.get(reason, '')}"
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return ": its name does not resolve"
        if isinstance(cause, OSError) and cause.errno and cause.errno > 0:
            if isinstance(cause, ssl.SSLError):
                continue  # its number is not one of the system's
            return f": {os.strerror(cause.errno).lower()}"
    return ""


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """The error and everything behind it, each once: causes, contexts, members of groups."""
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
