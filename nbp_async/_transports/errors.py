"""Other libraries' exceptions in our words, by how far the request got. Pure: no I/O, no aiohttp.

`sent` is proved by the transport's own trace and never guessed from the exception. The new error
has no cause: aiohttp's print all request headers in their repr, and the key is one of them.
"""

import errno
import ssl

from nbp_async._errors import (
    BadHeadError,
    CertificateError,
    ConnectError,
    DisconnectedError,
    LocalLimitError,
    NoReplyError,
    NotSentError,
    TruncatedError,
)

_LOCAL_LIMITS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


def not_sent(exc: BaseException, vendor: str) -> NotSentError:
    """No byte has left: the connection could not be made."""
    root = _root(exc)
    number = root.errno if isinstance(root, OSError) else None
    if number in _LOCAL_LIMITS:
        return LocalLimitError(
            f"{vendor}: this machine allows no further connection ({_words(root)}).",
            hint="Raise the file limit (ulimit -n), or lower max_in_flight.",
        )
    if isinstance(root, ssl.SSLCertVerificationError | ssl.CertificateError):
        return CertificateError(
            f"{vendor}: its certificate was refused ({_words(root)}).",
            hint="Is the address right? Behind a company's proxy, give its CA file: Client(ca=...).",
        )
    if isinstance(root, PermissionError):
        return CertificateError(f"{vendor}: {root}.") if not root.errno else _plain(root, vendor)
    return _plain(root, vendor)


def _plain(root: BaseException, vendor: str) -> ConnectError:
    return ConnectError(f"{vendor}: no connection ({_words(root)}).")


def no_reply(exc: BaseException, vendor: str, *, bad_head: bool) -> NoReplyError:
    """Bytes may have left, and no answer's head came."""
    if bad_head:
        return BadHeadError(f"{vendor}: what came back is no HTTP answer.")
    return DisconnectedError(
        f"{vendor}: the connection ended before an answer came ({_words(_root(exc))})."
    )


def truncated(exc: BaseException, vendor: str) -> TruncatedError:
    """The head came, and the body did not come whole."""
    return TruncatedError(f"{vendor}: the answer was cut off ({_words(_root(exc))}).")


def _root(exc: BaseException) -> BaseException:
    """The system's own error behind a library's, if there is one."""
    seen = 0
    while seen < 5:
        inner = getattr(exc, "os_error", None) or exc.__cause__ or exc.__context__
        if not isinstance(inner, OSError | ssl.SSLError):
            return exc
        exc, seen = inner, seen + 1
    return exc


def _words(exc: BaseException) -> str:
    """What the system says, without addresses of objects or headers."""
    if isinstance(exc, OSError) and exc.strerror:
        return str(exc.strerror)
    return type(exc).__name__
