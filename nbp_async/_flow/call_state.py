"""What belongs to one call alone: where images go, what it may spend, and why it stops."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from nbp_async._base.errors import (
    BudgetError,
    JournalError,
    NbpError,
    RateLimitError,
    StoppedError,
    StorageError,
)
from nbp_async._flow.connection_watch import ConnectionWatch
from nbp_async._flow.listeners import NO_LISTENERS, Listeners
from nbp_async._flow.repeated_failures import MOST_IN_A_ROW, RepeatedFailures, advice
from nbp_async._flow.resume_state import ResumeState
from nbp_async._models.outcomes import Outcome
from nbp_async._pacing.budgets import SpendCap
from nbp_async._sinks.base import Sink
from nbp_async._sinks.disk_space import DiskSpace

T = TypeVar("T")


class CallState:
    """What belongs to one call alone.

    Attributes:
        sink: Where its images go.
        cap: What it may spend, or None.
        past: What earlier calls on the same run left, and the journal; None without a journal.
        room: Watches the disk that images go to, or None.
        listeners: The client's, and the call's own.
        keeps_links: An answer's links are its result; nothing is downloaded.
        stopped: Why nothing more is sent, or None.
        dropped: Outcomes that nothing waits for any more; they say what may have been billed.
        waiting_without_slot: Prompts that hold no slot for now, as they wait out a backoff, fetch a
            link or wait for a task.
        connections: Says if no connection comes about.
        on_waiting: Called when `waiting_without_slot` has changed.
    """

    __slots__ = (
        "_failures",
        "_has_repeated",
        "_waiting",
        "_woken",
        "cap",
        "connections",
        "dropped",
        "keeps_links",
        "listeners",
        "on_waiting",
        "past",
        "room",
        "sink",
        "stopped",
        "waiting_without_slot",
    )

    def __init__(
        self,
        sink: Sink,
        cap: SpendCap | None = None,
        *,
        past: ResumeState | None = None,
        room: DiskSpace | None = None,
        listeners: Listeners = NO_LISTENERS,
        keeps_links: bool = False,
    ) -> None:
        self.sink = sink
        self.cap = cap
        self.past = past
        self.room = room
        self.listeners = listeners
        self.keeps_links = keeps_links
        self.stopped: NbpError | None = None
        self.dropped: list[Outcome] = []
        self.waiting_without_slot = 0
        self.on_waiting: Callable[[], None] | None = None
        self.connections = ConnectionWatch()
        self._failures = RepeatedFailures()
        self._has_repeated = False
        self._waiting: set[asyncio.Task[object]] = set()
        self._woken: set[asyncio.Task[object]] = set()

    @property
    def is_durable(self) -> bool:
        """Something has to be checked or recorded before a request leaves."""
        return self.past is not None or self.room is not None

    def stop(self, reason: NbpError) -> None:
        """Send nothing more. Tasks that wait to send something are woken at once; see `wait`."""
        if self.stopped is None:
            self.stopped = reason
        if self.why_stopped() is None:
            return
        for task in self._waiting - self._woken:
            self._woken.add(task)
            task.cancel()

    def hold_back(self, seconds: float) -> None:
        """The vendor wants a pause: what other processes of the run do is held back, too."""
        if self.past is not None and self.past.shared is not None:
            self.past.shared.hold_back(seconds)

    def record_error(self, error: NbpError | None) -> None:
        """An attempt ended so: a full disk stops the call, and what every prompt would meet."""
        if isinstance(error, StorageError | JournalError):
            self.stop(error)
        if self._failures.record(error) and error is not None and self.stopped is None:
            self._has_repeated = True
            self.stop(error)

    def record_rejection(self, error: NbpError) -> None:
        """An attempt was rejected at the gate: what no later one can pass stops the call too."""
        if isinstance(error, RateLimitError | JournalError | StorageError):
            self.stop(error)

    def why_stopped(self) -> NbpError | None:
        """Why nothing more may be sent, or None; a spent cap fails each prompt by itself."""
        return None if isinstance(self.stopped, BudgetError) else self.stopped

    def stop_error(self) -> StoppedError | None:
        """The error of a prompt that is not sent because of it, or None."""
        reason = self.why_stopped()
        if reason is None:
            return None
        if not self._has_repeated:
            return StoppedError(f"Not sent: the run was stopped. {reason}")
        return StoppedError(
            f"Not sent: the run was stopped, because {MOST_IN_A_ROW} attempts in a row ended "
            f"alike. {reason}",
            hint=advice(reason),
        )

    def check(self) -> None:
        """Raise a StoppedError if nothing more may be sent."""
        stopped = self.stop_error()
        if stopped is not None:
            raise stopped

    async def wait(self, begin: Callable[[], Awaitable[T]]) -> T:
        """Wait for what `begin` begins, or until the call is stopped.

        A stop cancels the waiting task, and here that cancellation becomes a StoppedError. The
        caller may cancel the same task in the same moment; its cancellation must not be swallowed:

            stop() ─────► task.cancel() ─┐
                                         ├──► CancelledError arrives in `wait`
            caller leaves task.cancel() ─┘        │
                                                  ├─ cancelling() == 1: ours alone: StoppedError
                                                  └─ cancelling() == 2: the caller's too: raise it

        Either way our own request is taken back with `uncancel()`, or a TaskGroup or a time-out
        around us would take it for one of theirs.

        Raises:
            StoppedError: It was stopped. What was waited for is cancelled.
        """
        self.check()
        task = asyncio.current_task()
        assert task is not None, "a prompt is made in a task"
        self._waiting.add(task)
        try:
            return await begin()
        except asyncio.CancelledError:
            if task not in self._woken or task.cancelling() > 1:
                raise
        finally:
            self._waiting.discard(task)
            if task in self._woken:
                self._woken.discard(task)
                task.uncancel()
        stopped = self.stop_error()
        assert stopped is not None, "only a stop wakes a waiting task"
        raise stopped

    @contextmanager
    def without_slot(self) -> Iterator[None]:
        """While the body runs this prompt holds no slot: another one may be drawn in its place."""
        self.waiting_without_slot += 1
        self._notify_waiting()
        try:
            yield
        finally:
            self.waiting_without_slot -= 1
            self._notify_waiting()

    def _notify_waiting(self) -> None:
        if self.on_waiting is not None:
            self.on_waiting()
