"""A transport without sockets: scripted replies, holds and cuts, in virtual or real time.

It obeys the contract of `_transports.base.Transport` and keeps a ledger: what it answered was
billed, what it cut after the request had left was billed as well, as a vendor would do it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from nbp_async._errors import NbpError, NotSentError
from nbp_async._http import HttpRequest, ReplyHead
from nbp_async._transports.base import Reply, Watch


class Canned:
    """One scripted answer.

    Args:
        body: The body's pieces; a single bytes is one piece.
        status: HTTP status.
        headers: Names in lower case.
        hold: Seconds before the head comes.
        error: Raised instead of an answer: a NotSentError before anything is sent, any other
            after the hold.
        framed: The body's length is told; without it only the end of the connection ends it.
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
    """Answers from a script, then with `default` for ever; `draw`, if it gives one, goes first.

    Attributes:
        requests: Every request that was sent, in order.
        billed: How many of them a vendor would have charged for.
        in_flight: Requests that are out now; `peak` is the most there were.
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

    def send(self, request: HttpRequest, watch: Watch) -> AbstractAsyncContextManager[Reply]:
        """See `_transports.base.Transport`."""
        return self._play(request, watch)

    def choose(self, request: HttpRequest) -> Canned | None:  # noqa: ARG002  it is for overriding
        """The answer to this request; a subclass may look at what it asks."""
        return self._draw() or (self._script.popleft() if self._script else self._default)

    @asynccontextmanager
    async def _play(self, request: HttpRequest, watch: Watch) -> AsyncIterator[Reply]:
        canned = self.choose(request)
        assert canned is not None, "the script is at its end"
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            if isinstance(canned.error, NotSentError):
                raise canned.error
            watch.may_send()
            watch.uploaded()
            if self.keep_requests:
                self.requests.append(request)
            self.billed += canned.billed
            if canned.hold:
                await asyncio.sleep(canned.hold)
            if canned.error is not None:
                raise canned.error
            watch.first_byte()
            yield _CannedReply(canned)
        finally:
            self.in_flight -= 1

    async def aclose(self) -> None:
        self.closed = True


class _CannedReply:
    def __init__(self, canned: Canned) -> None:
        self.head = ReplyHead(canned.status, canned.headers)
        self._pieces = deque(canned.pieces)
        self._silent = canned.silent

    async def read(self) -> bytes:
        if self._pieces:
            return self._pieces.popleft()
        if self._silent:
            await asyncio.Event().wait()
        return b""
