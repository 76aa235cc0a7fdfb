"""One `one`, `many` or `stream`: where its images go, what it may spend, and why it stops."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from nbp_async._dialects.base import Dialect
from nbp_async._dialects.batches import BatchDialect
from nbp_async._errors import (
    AuthError,
    BudgetError,
    JournalError,
    NbpError,
    RateLimitError,
    StoppedError,
    StorageError,
)
from nbp_async._flow.tasks import Desk
from nbp_async._flow.wiring import Wiring
from nbp_async._journal.base import Journal
from nbp_async._models import FailedLines, Outcome, Via
from nbp_async._pacing.budget import SpendCap
from nbp_async._pacing.hints import Hints
from nbp_async._sinks.base import Sink
from nbp_async._sinks.room import Room
from nbp_async._stores.address import StoreAddress
from nbp_async._stores.buckets import Buckets

MOST_AUTH_FAILURES = 3  # in a row: then the key or its balance is the problem, not the prompt
_MARK = 6  # digits of an item's nonce in a name
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """What may be bought again of what an earlier call on the same run left unfinished.

    Attributes:
        resend_ambiguous: What may have been billed and brought nothing.
        retry_failed: What was billed and brought no image, or whose file is gone.
        verify: Read each file that is there, and compare its hash; its size is always compared.
    """

    resend_ambiguous: bool = False
    retry_failed: bool = False
    verify: bool = False


@dataclass(slots=True, kw_only=True)
class Past:
    """The journal of a run, and what it knew when this call began.

    Attributes:
        open: Opens the journal.
        account: Who pays: part of each job's identity.
        again: What may be bought again.
        folder: Where its images are, if that is a folder.
        store: Where its images are, if that is a store.
        buckets: Opens the stores that images are in.
        journal: Once it is open.
        rescues: Links of paid images that are being fetched, by item.
    """

    open: Callable[[], Awaitable[Journal]]
    account: str
    again: Again = field(default_factory=Again)
    folder: Path | None = None
    store: StoreAddress | None = None
    buckets: Buckets = field(default_factory=Buckets)
    journal: Journal | None = None
    rescues: dict[int, "asyncio.Task[Outcome]"] = field(default_factory=dict)

    def stem(self, index: int, nonce: str) -> str:
        """What the names of an item's files begin with: its place, and in a store its own mark.

        A store may be shared by runs whose journals know nothing of each other, and after a kill
        none of them may take another's image for its own.
        """
        return f"{index:06d}" if self.store is None else f"{index:06d}-{nonce[:_MARK]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """How a call goes by the batch API.

    Attributes:
        dialect: How the API is spoken to.
        wait: Wait for the results; else the call ends once its jobs are created.
        failed: What becomes of lines that cost nothing and brought nothing: they go into another
            job, are made by held calls at the full price, or stay failures.
        hints: Of jobs that are said to have ended; None where nobody calls back.
        callback: The address that a new job is told to call back, or "".
    """

    dialect: BatchDialect
    wait: bool = True
    failed: FailedLines = "batch"
    hints: Hints | None = None
    callback: Callable[[], str] = str


class Run:
    """What belongs to one call alone.

    Attributes:
        sink: Where its images go.
        cap: What it may spend, or None.
        stopped: Why nothing more is sent, or None.
        via: How its answers reach us.
        desk: Where tasks are asked for, if the endpoint has any.
        batching: How it goes by the batch API; None where it does not.
        past: What earlier calls on the same folder left, and the journal; None without one.
        room: Watches the disk that images go to, or None.
        ready: Makes ready what has to be before anything is sent, or None.
        dropped: Outcomes that nobody waits for any more: what they may cost has a name.
        unfinished: Those of them that the journal has to be told of, by item.
        aside: Prompts that hold no slot for now, as they wait out a backoff or fetch a link.
        on_aside: Called when `aside` has changed.
    """

    __slots__ = (
        "_auth_failures", "_waiting", "_woken", "aside", "batching", "cap", "desk",
        "dropped", "on_aside",
        "past", "ready", "room", "sink", "stopped", "unfinished", "via",
    )  # fmt: skip

    def __init__(
        self,
        sink: Sink,
        cap: SpendCap | None,
        *,
        via: Via = "held",
        desk: Desk | None = None,
        batching: Batching | None = None,
        past: Past | None = None,
        room: Room | None = None,
        ready: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.via: Via = via
        self.sink = sink
        self.cap = cap
        self.desk = desk
        self.batching = batching
        self.past = past
        self.room = room
        self.ready = ready
        self.stopped: NbpError | None = None
        self.dropped: list[Outcome] = []
        self.unfinished: list[tuple[int, Outcome]] = []
        self.aside = 0
        self.on_aside: Callable[[], None] | None = None
        self._auth_failures = 0
        self._waiting: set[asyncio.Task[object]] = set()
        self._woken: set[asyncio.Task[object]] = set()

    def dialect(self, wiring: Wiring) -> Dialect:
        """How its requests are spelled."""
        return self.desk.dialect if self.desk is not None and self.by_tasks else wiring.dialect

    @property
    def by_tasks(self) -> bool:
        """The vendor takes its requests on, and is asked for the images later."""
        return self.via in ("poll", "webhook")

    @property
    def durable(self) -> bool:
        """Something has to be made sure of before a request leaves."""
        return self.past is not None or self.room is not None

    def stop(self, reason: NbpError) -> None:
        """Send nothing more. Who waits to send something is told at once."""
        if self.stopped is None:
            self.stopped = reason
        if self.why_stopped() is None:
            return
        for task in self._waiting - self._woken:
            self._woken.add(task)
            task.cancel()

    def heard(self, error: NbpError | None) -> None:
        """An attempt ended so; three refusals of the key in a row stop the run, or a full disk."""
        if isinstance(error, StorageError | JournalError):
            self.stop(error)
        if not isinstance(error, AuthError):
            self._auth_failures = 0
            return
        self._auth_failures += 1
        if self._auth_failures >= MOST_AUTH_FAILURES:
            self.stop(error)

    def why_stopped(self) -> NbpError | None:
        """Why nothing more may be sent, or None; a spent cap is said prompt by prompt."""
        return None if isinstance(self.stopped, BudgetError) else self.stopped

    def stop_error(self) -> StoppedError | None:
        """What becomes of a prompt that is not sent because of it, or None."""
        reason = self.why_stopped()
        return None if reason is None else StoppedError(f"Not sent: the run was stopped. {reason}")

    def check(self) -> None:
        """Raise a StoppedError if nothing more may be sent."""
        problem = self.stop_error()
        if problem is not None:
            raise problem

    def turned_away(self, error: NbpError) -> None:
        """The gate is closed for longer than anybody is willing to wait: that stops the run too."""
        if isinstance(error, RateLimitError | JournalError | StorageError):
            self.stop(error)

    async def wait(self, begin: Callable[[], Awaitable[T]]) -> T:
        """Wait for what `begin` begins, or until the run is stopped.

        Raises:
            StoppedError: It was stopped. What was waited for is cancelled.
        """
        self.check()
        task = asyncio.current_task()
        assert task is not None
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
        problem = self.stop_error()
        assert problem is not None, "only a stop wakes who waits"
        raise problem

    @contextmanager
    def stand_aside(self) -> Iterator[None]:
        """While the body runs this prompt uses no slot: another one may be drawn in its stead."""
        self.aside += 1
        self._tell_aside()
        try:
            yield
        finally:
            self.aside -= 1
            self._tell_aside()

    def _tell_aside(self) -> None:
        if self.on_aside is not None:
            self.on_aside()
