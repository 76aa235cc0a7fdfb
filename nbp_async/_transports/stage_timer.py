"""The stage timer: the one timer of a request, and the proof whether it was sent."""

import asyncio
import math
from types import TracebackType
from typing import Protocol, Self

from nbp_async._base.errors import (
    ConnectTimeout,
    NbpError,
    ReadTimeout,
    SlowBodyError,
    UploadTimeout,
)
from nbp_async._models.outcomes import Timings

BLOCKED = 0.1  # seconds; a timer that fires so much too late shows that the loop was blocked
CATCH_UP = 1.0  # seconds to read what came meanwhile
FLOOR = 10_000  # bytes a second; a slower body is cut off
UPLOAD = 200_000  # bytes a second that an upload is given time for
LARGE = 65536  # bytes; the upload of a larger body has a time-out of its own


class StageTimeouts(Protocol):
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


class StageTimer:
    """Times one request: notes when each stage is passed, and ends it when a stage takes too long.

        stage        begins with       time-out   error
        connecting   __aenter__        connect    ConnectTimeout
        uploading    mark_sent         upload     UploadTimeout   (only above LARGE bytes)
        reading      mark_uploaded     read       ReadTimeout
        body         mark_first_byte   body       SlowBodyError   (again after body * FLOOR bytes)

    `sent` is the proof whether bytes may have left: the transport sets it just before the first
    write, and never when nothing can leave.

    One timer serves all stages, and it is moved lazily. A later deadline is only noted; when the
    timer fires before it, it is set again for then. So a chunk costs a comparison, not a timer:

        timer set for 30 ──────────────► fires at 30: deadline is 52 ──► set for 52
        deadline          30 ► 41 ► 52

    Leaving the context after a time-out raises the error of its stage. A cancellation from outside
    passes, at the same instant as well.
    """

    __slots__ = (
        "_deadline",
        "_expired",
        "_handle",
        "_loop",
        "_outer",
        "_paused",
        "_received",
        "_size",
        "_stage",
        "_task",
        "_timeouts",
        "_vendor",
        "connecting_at",
        "done_at",
        "ended_by_silence",
        "first_byte_at",
        "proxy",
        "queued_at",
        "sent",
        "sent_at",
    )

    def __init__(
        self, timeouts: StageTimeouts, *, vendor: str, queued_at: float, size: int = 0
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeouts = timeouts
        self._vendor = vendor
        self._size = size
        self._stage: type[NbpError] = ConnectTimeout
        self._handle: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._expired = False
        self._paused = 0.0, 0.0  # when, and the deadline that was left
        self._received = 0  # bytes since the body's time-out was last moved
        self.sent = False
        """Bytes of the request may have left this machine."""
        self.proxy: object = None
        """The proxy that the transport goes by, for messages."""
        self.queued_at = queued_at
        self.connecting_at: float | None = None
        self.sent_at: float | None = None
        self.first_byte_at: float | None = None
        self.done_at: float | None = None
        self.ended_by_silence = False
        """The response was whole, nothing marked its end, and silence ended it."""

    def mark_sent(self) -> None:
        """There is a connection: from here on bytes may leave."""
        self.sent = True  # not read from the time, which is 0.0 when a virtual clock starts
        self.sent_at = now = self._loop.time()
        if self._size > LARGE:
            self._stage = UploadTimeout
            self._until(now + self._timeouts.upload + self._size / UPLOAD)
        else:
            self._stage = ReadTimeout
            self._until(now + self._timeouts.read)

    def mark_uploaded(self) -> None:
        """The whole request was taken from us; needed only above `LARGE`."""
        if self._stage is UploadTimeout:
            self._stage = ReadTimeout
            self._until(self._loop.time() + self._timeouts.read)

    def mark_first_byte(self) -> None:
        """The head of the response is here."""
        self.first_byte_at = now = self._loop.time()
        self._stage = SlowBodyError
        self._until(now + self._timeouts.body)

    def add_received(self, size: int) -> None:
        """`size` more bytes of the body are here."""
        self._received += size
        if self._received >= self._timeouts.body * FLOOR and not self.ended_by_silence:
            self._received = 0
            self._until(self._loop.time() + self._timeouts.body)

    def pause(self) -> None:
        """The body waits for us, or has ended: a slow disk is not the server's fault."""
        self._paused = self._loop.time(), self._deadline
        self._deadline = math.inf

    def resume(self) -> None:
        """Read the body on: the time of the pause does not count."""
        since, deadline = self._paused
        self._until(deadline + self._loop.time() - since)

    def expect_end(self) -> None:
        """The JSON is whole: wait for the end of the body, at most `silence`.

        Some relays send chunks and never the last one, or announce more bytes than they send. A
        repeated call changes nothing, so that bytes which still come cannot put the end off.
        """
        if not self.ended_by_silence:
            self.ended_by_silence = True
            self._until(self._loop.time() + self._timeouts.silence)

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
        self._until(now + self._timeouts.connect)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> bool:
        self.done_at = self._loop.time()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        # The rule of asyncio.timeout. `_expire` cancelled the task once: if, without that one, more
        # cancellations are pending than at the beginning, somebody else cancelled it as well, and
        # theirs wins.
        if (
            self._expired
            and self._task.uncancel() <= self._outer
            and kind is asyncio.CancelledError
        ):
            if self.ended_by_silence:
                return True
            if exc is not None:
                exc.__traceback__ = None  # its frames would keep the request, and the key, alive
            raise self._error() from None
        self.ended_by_silence = False
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
        # The loop runs timers before it reads sockets. If something blocked it, the response may be
        # here unread: after a long block give it CATCH_UP seconds, else one more turn of the loop.
        if self._loop.time() - self._deadline > BLOCKED:
            self._until(self._loop.time() + CATCH_UP)
        else:
            self._loop.call_soon(self._expire)

    def _expire(self) -> None:
        if self.done_at is None and not self._later():
            self._expired = True
            self._task.cancel()

    def _later(self) -> bool:
        """The deadline has moved since the timer was set: set the timer again."""
        if self._deadline <= self._loop.time():
            return False
        if self._deadline < math.inf and self._handle is None:
            self._handle = self._loop.call_at(self._deadline, self._due)
        return True

    def _error(self) -> NbpError:
        timeouts, vendor = self._timeouts, self._vendor
        if self._stage is ConnectTimeout:
            way = "" if self.proxy is None else f" by the proxy {self.proxy}"
            return ConnectTimeout(f"{vendor}: no connection{way} within {timeouts.connect:g} s.")
        if self._stage is UploadTimeout:
            span = timeouts.upload + self._size / UPLOAD
            return UploadTimeout(
                f"{vendor}: did not take the {self._size} bytes within {span:g} s."
            )
        if self._stage is ReadTimeout:
            may_cost = self._size > 0  # a request without a body only fetches
            return ReadTimeout(
                f"{vendor}: no answer within {timeouts.read:g} s.",
                hint="The vendor may go on, and bill, without us." if may_cost else "",
            )
        return SlowBodyError(
            f"{vendor}: the response stopped, or came slower than {FLOOR // 1000} kB a second over "
            f"{timeouts.body:g} s."
        )
