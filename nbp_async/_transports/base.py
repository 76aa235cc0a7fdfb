"""What a transport promises: one HTTP request out, its reply back.

A transport knows no JSON, no price and no limit: the gate is the only bound on requests.
"""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from nbp_async._base.http import HttpRequest, ReplyHead
from nbp_async._transports.stage_timer import StageTimer

OWN_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "nbp-async"}
"""What each request has, unless it has another value of its own."""


class Reply(Protocol):
    """A response whose head is here and whose body is read on demand."""

    @property
    def head(self) -> ReplyHead: ...

    @property
    def sent(self) -> bytes:
        """What the last `read` took, as it was sent: compressed, if it was. Also if it failed."""
        ...

    async def read(self) -> bytes:
        """The next piece of the body, of any length; `b""` once it ended as it should.

        A body that is compressed, although none was asked for, is inflated: `Content-Length` then
        counts what came, and not what is read here.

        Raises:
            TruncatedError: The body ended early, or its framing is broken.
            MalformedReplyError: Its compressed data is damaged, or needs a package that is missing.
            BodyTooLargeError: It inflates beyond all measure.
        """
        ...

    async def read_sent(self) -> bytes:
        """The next piece as it was sent, for a body that cannot be inflated; `b""` at its end.

        Raises:
            TruncatedError: As with `read`.
        """
        ...


class Transport(Protocol):
    """Carries one HTTP request out and its reply back, and knows nothing else.

    Leaving the context frees the connection, on success, error and cancellation alike. A
    connection that carried a paid request is closed, not kept, unless that was asked for and the
    body was read to its end. Redirects are not followed, nothing is ever sent twice, no cookie is
    kept, and compressed bodies are not asked for.

    The caller enters the timer. The transport calls `mark_sent` just before a byte of the request
    can leave, and never when none could; then `mark_uploaded`, `mark_first_byte`, and `pause` when
    the body has ended, so that no time-out takes it back. The caller calls the other methods. There
    is no other timer.
    """

    def send(self, request: HttpRequest, timer: StageTimer) -> AbstractAsyncContextManager[Reply]:
        """Send it, once.

        Raises:
            NotSentError: No byte left: ConnectError, CertificateError, LocalLimitError; or the
                server read none, as a proxy (ProxyRefusedError) or its unfinished handshake shows.
            NoReplyError: Bytes may have left, and no head came: DisconnectedError, BadHeadError.
            ClosedError: After `aclose`. Nothing was sent.

        The errors have no cause and no context: those of HTTP libraries print every header, and
        the key is one of them.
        """
        ...

    async def aclose(self) -> None:
        """Close every connection. All requests must have ended before."""
        ...
