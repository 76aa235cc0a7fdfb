"""A transport without sockets: scripted replies, holds and cuts, in virtual or real time.

It obeys the contract of `_transports.base.Transport` and counts what a vendor would bill: every
answer, and every request that was cut after it had left.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from nbp_async._base.errors import NbpError, NotSentError
from nbp_async._base.http import HttpRequest, ReplyHead
from nbp_async._transports.base import Reply
from nbp_async._transports.coded_reply import CodedReply
from nbp_async._transports.stage_timer import StageTimer


class Canned:
    """One scripted answer.

    Args:
        body: The body's pieces; a single bytes is one piece.
        status: HTTP status.
        headers: Names in lower case.
        hold: Seconds before the head comes.
        error: Raised instead of an answer: a NotSentError before anything is sent, any other
            error after the hold.
        framed: There is a Content-Length; without it only the end of the connection ends the body.
        silent: The end of the body never comes.
    """

    def __init__(
        self,
        body: bytes | Iterable[bytes] = b"",
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
        hold: float = 0.0,
        error: NbpError | None = None,
        framed: bool = True,
        silent: bool = False,
    ) -> None:
        self.pieces = [body] if isinstance(body, bytes) else list(body)
        self.status = status
        self.headers = dict(headers or {})
        if framed and not silent:
            self.headers.setdefault("content-length", str(sum(map(len, self.pieces))))
        self.hold = hold
        self.error = error
        self.silent = silent

    @property
    def billed(self) -> bool:
        """A vendor would charge for it."""
        if self.error is not None:
            return not isinstance(self.error, NotSentError)
        return self.status == 200


class FakeTransport:
    """Answers with the script, then always with `default`; an answer from `draw` goes first.

    Attributes:
        requests: All requests that were sent, in order.
        billed: How many of them a vendor would have billed.
        in_flight: Requests in flight now; `peak` is the most at once.
    """

    def __init__(
        self,
        *script: Canned,
        default: Canned | None = None,
        draw: Callable[[], Canned | None] = lambda: None,
    ) -> None:
        self._script = deque(script)
        self._draw = draw
        self._default = default
        self.requests: list[HttpRequest] = []
        self.keep_requests = True
        self.billed = 0
        self.in_flight = 0
        self.peak = 0
        self.closed = False

    def send(self, request: HttpRequest, timer: StageTimer) -> AbstractAsyncContextManager[Reply]:
        """See `_transports.base.Transport`."""
        return self._play(request, timer)

    def choose(self, request: HttpRequest) -> Canned | None:  # noqa: ARG002  subclasses use it
        """The answer to this request; a subclass may choose it by the request."""
        return self._draw() or (self._script.popleft() if self._script else self._default)

    @asynccontextmanager
    async def _play(self, request: HttpRequest, timer: StageTimer) -> AsyncIterator[Reply]:
        canned = self.choose(request)
        assert canned is not None, "the script has no more answers, and there is no default"
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            if isinstance(canned.error, NotSentError):
                raise canned.error
            timer.mark_sent()
            timer.mark_uploaded()
            if self.keep_requests:
                self.requests.append(request)
            self.billed += canned.billed
            if canned.hold:
                await asyncio.sleep(canned.hold)
            if canned.error is not None:
                raise canned.error
            timer.mark_first_byte()
            yield _CannedReply(canned)
        finally:
            self.in_flight -= 1

    async def aclose(self) -> None:
        self.closed = True


class _CannedReply(CodedReply):
    def __init__(self, canned: Canned) -> None:
        self.head = ReplyHead(canned.status, canned.headers)
        self._pieces = deque(canned.pieces)
        self._silent = canned.silent
        self.open_body("", "vendor")

    async def read_sent(self) -> bytes:
        if self._pieces:
            return self._pieces.popleft()
        if self._silent:
            await asyncio.Event().wait()
        return b""
