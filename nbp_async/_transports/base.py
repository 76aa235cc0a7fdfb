"""What moves bytes: the protocol, and the watch that times one request.

A transport knows no JSON, no price and no limit: the gate is the only bound on requests.
"""

import asyncio
import math
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Protocol, Self

from nbp_async._errors import (
    ConnectTimeout,
    NbpError,
    ReadTimeout,
    SlowBodyError,
    UploadTimeout,
)
from nbp_async._http import HttpRequest, ReplyHead
from nbp_async._models import Timings

STOOD_STILL = 0.1  # seconds that a timer may be late before the loop must have been blocked
CATCH_UP = 1.0  # seconds to read what came meanwhile
FLOOR = 10_000  # bytes a second; a body slower than this is cut off
UPLOAD = 200_000  # bytes a second that an upload is given time for
LARGE = 65536  # bytes; the upload of a larger body has a time-out of its own


class Spans(Protocol):
    """The time-outs of one request, in seconds."""

    @property
    def connect(self) -> float: ...
    @property
    def upload(self) -> float: ...
    @property
    def read(self) -> float: ...
    @property
    def body(self) -> float: ...
    @property
    def silence(self) -> float: ...


class Watch:
    """Times one request: notes when each stage is passed, and ends it when a stage takes too long.

    One timer serves all stages. It is moved lazily: when it fires early, it is set again for the
    time that is due by then, so that a chunk costs a comparison and not a timer.

    The transport calls `may_send`, `uploaded` and `first_byte` as it goes, and its caller the
    others; `sent` is the proof, one way or the other, that bytes may have left. Leaving the context
    after a time-out raises the error of the stage it was in; a cancellation from outside passes.
    """

    __slots__ = (
        "_deadline", "_expired", "_handle", "_loop", "_outer", "_resting", "_size", "_spans",
        "_stage", "_task", "_vendor", "_window", "connecting_at", "done_at", "first_byte_at",
        "queued_at", "sent", "sent_at", "silent",
    )  # fmt: skip

    def __init__(self, spans: Spans, *, vendor: str, queued_at: float, size: int = 0) -> None:
        self._loop = asyncio.get_running_loop()
        self._spans = spans
        self._vendor = vendor
        self._size = size
        self._stage: type[NbpError] = ConnectTimeout
        self._handle: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._expired = False
        self._resting = 0.0, 0.0
        self._window = 0
        self.sent = False
        """Bytes of the request may have left this machine."""
        self.queued_at = queued_at
        self.connecting_at: float | None = None
        self.sent_at: float | None = None
        self.first_byte_at: float | None = None
        self.done_at: float | None = None
        self.silent = False
        """The answer was whole, and nothing marked its end: it was ended by silence."""

    def may_send(self) -> None:
        """There is a connection: from here on bytes may leave."""
        self.sent = True  # not read from the time, which is 0.0 when a virtual clock starts
        self.sent_at = now = self._loop.time()
        if self._size > LARGE:
            self._stage = UploadTimeout
            self._until(now + self._spans.upload + self._size / UPLOAD)
        else:
            self._stage = ReadTimeout
            self._until(now + self._spans.read)

    def uploaded(self) -> None:
        """The server has taken the whole request; needed only above `LARGE`."""
        if self._stage is UploadTimeout:
            self._stage = ReadTimeout
            self._until(self._loop.time() + self._spans.read)

    def first_byte(self) -> None:
        """The head of the answer is here."""
        self.first_byte_at = now = self._loop.time()
        self._stage = SlowBodyError
        self._until(now + self._spans.body)

    def received(self, size: int) -> None:
        """`size` more bytes of the body are here."""
        self._window += size
        if self._window >= self._spans.body * FLOOR and not self.silent:
            self._window = 0
            self._until(self._loop.time() + self._spans.body)

    def rest(self) -> None:
        """The body waits for us, or has ended: a slow disk is not the server's fault."""
        self._resting = self._loop.time(), self._deadline
        self._deadline = math.inf

    def resume(self) -> None:
        """The body is read on: the time that we took ourselves does not count."""
        since, deadline = self._resting
        self._until(deadline + self._loop.time() - since)

    def whole(self) -> None:
        """The answer is whole in itself: wait for its end, but no longer than the silence.

        Said again, it changes nothing: what still comes cannot put the end off.
        """
        if not self.silent:
            self.silent = True
            self._until(self._loop.time() + self._spans.silence)

    def timings(self) -> Timings:
        """The stages so far; `done` is now, unless the context was left before."""
        return Timings(
            self.queued_at,
            self._loop.time() if self.done_at is None else self.done_at,
            self.connecting_at,
            self.sent_at,
            self.first_byte_at,
        )

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None, "a request runs in a task"
        self._task = task
        self._outer = task.cancelling()
        self.connecting_at = now = self._loop.time()
        self._until(now + self._spans.connect)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> bool:
        self.done_at = self._loop.time()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        # The same rule as asyncio.timeout: a cancellation from outside outweighs our own.
        if (
            self._expired
            and self._task.uncancel() <= self._outer
            and kind is asyncio.CancelledError
        ):
            if self.silent:
                return True
            if exc is not None:
                exc.__traceback__ = None  # its frames would keep the request, and the key, alive
            raise self._error() from None
        self.silent = False
        return False

    def _until(self, deadline: float) -> None:
        self._deadline = deadline
        if deadline == math.inf:
            return
        if self._handle is None:
            self._handle = self._loop.call_at(deadline, self._due)
        elif deadline < self._handle.when():
            self._handle.cancel()
            self._handle = self._loop.call_at(deadline, self._due)

    def _due(self) -> None:
        self._handle = None
        if self._later():
            return
        # Timers go before tasks: if the loop was blocked, the answer may be here, and our task
        # about to be told. A longer standstill may have left more than one piece to read.
        if self._loop.time() - self._deadline > STOOD_STILL:
            self._until(self._loop.time() + CATCH_UP)
        else:
            self._loop.call_soon(self._expire)

    def _expire(self) -> None:
        if self.done_at is None and not self._later():
            self._expired = True
            self._task.cancel()

    def _later(self) -> bool:
        """The deadline was put off since the timer was set: set it again."""
        if self._deadline <= self._loop.time():
            return False
        if self._deadline < math.inf and self._handle is None:
            self._handle = self._loop.call_at(self._deadline, self._due)
        return True

    def _error(self) -> NbpError:
        spans, who = self._spans, self._vendor
        if self._stage is ConnectTimeout:
            return ConnectTimeout(f"{who}: no connection within {spans.connect:g} s.")
        if self._stage is UploadTimeout:
            span = spans.upload + self._size / UPLOAD
            return UploadTimeout(f"{who}: did not take the {self._size} bytes within {span:g} s.")
        if self._stage is ReadTimeout:
            paid = self._size > 0  # what is only fetched costs nothing
            return ReadTimeout(
                f"{who}: no answer within {spans.read:g} s.",
                hint="The vendor may go on, and bill, without us." if paid else "",
            )
        return SlowBodyError(
            f"{who}: the answer stopped, or came slower than {FLOOR // 1000} kB a second over "
            f"{spans.body:g} s."
        )


class Reply(Protocol):
    """An answer whose head is here and whose body comes on demand."""

    @property
    def head(self) -> ReplyHead: ...

    async def read(self) -> bytes:
        """The next piece of the body, of any length; `b""` once it ended as it should.

        Raises:
            TruncatedError: The body ended early, or its framing is broken.
            MalformedReplyError: It is compressed, though none was asked to be.
        """
        ...


class Transport(Protocol):
    """Carries one HTTP request out and its reply back, and knows nothing else.

    Leaving the context frees the connection, on success, error and cancellation alike. A
    connection that carried a paid request is closed, not kept, unless it was asked otherwise and
    the body was read to its end. Redirects are not followed; nothing is ever sent twice; no
    cookie is kept; the body is not decompressed, for none is asked to be compressed.

    The watch is entered by the caller. The transport calls `may_send` just before a byte of the
    request can leave and never when none could, `uploaded`, `first_byte`, and `rest` when the body
    has ended, so that no time-out takes it back; the caller calls the others. There is no other
    timer.
    """

    def send(self, request: HttpRequest, watch: Watch) -> AbstractAsyncContextManager[Reply]:
        """Send it, once.

        Raises:
            NotSentError: No byte left: ConnectError, CertificateError, LocalLimitError.
            NoReplyError: Bytes may have left, and no head came: DisconnectedError, BadHeadError.
            ClosedError: After `aclose`. Nothing was sent.

        The errors have no cause and no context: those of HTTP libraries print every header, and
        the key is one of them.
        """
        ...

    async def aclose(self) -> None:
        """Close every connection. Requests must have ended before."""
        ...
