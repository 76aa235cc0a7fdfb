"""The journal of a run, and what may be bought again of what an earlier call left unfinished."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from nbp_async._flow.limit_notes import LimitNotes
from nbp_async._flow.task_client import TaskClient
from nbp_async._journal.base import Journal
from nbp_async._journal.run_queue import QueueEntry, RunQueue
from nbp_async._journal.shared_journal import SharedJournal, as_shared
from nbp_async._models.outcomes import Outcome
from nbp_async._stores.open_buckets import Buckets
from nbp_async._stores.store_address import StoreAddress

_NONCE_DIGITS = 6  # of an item's nonce in a file name


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumePolicy:
    """What may be bought again of what an earlier call on the same run left unfinished.

    Attributes:
        resend_ambiguous: What may have been billed, without an image.
        retry_failed: What was billed without an image, or whose file is gone.
        verify: Read each file that is there, and compare its hash; its size is always compared.
    """

    resend_ambiguous: bool = False
    retry_failed: bool = False
    verify: bool = False


@dataclass(slots=True)
class CallsOfRun:
    """The calls of this process that work on one open run: what is out of theirs is no leftover.

    Attributes:
        opening: Held while one of them settles what earlier processes left.
        begun: How many have done that, and have not ended.
    """

    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    begun: int = 0


@dataclass(slots=True, kw_only=True)
class ResumeState:
    """The journal of a run, and what it knew when this call began.

    Attributes:
        open: Opens the journal.
        account: The account that pays: part of each job's identity.
        again: What may be bought again.
        folder: Where its images are, if that is a folder.
        store: Where its images are, if that is a store.
        has_own_sink: Its images go to a sink of the user's own.
        beside: Folder of images that the store did not take; they are uploaded.
        buckets: Opens the stores that images are in.
        tasks: Polls the open tasks of earlier calls; None if there are none.
        opened: The journal, once it is open.
        shared: The same, if other processes may use it at the same time.
        limit_notes: Keeps what is learned of limits in the journal, where they are learned.
        rescues: Images that earlier calls paid for and that are being fetched, by item.
        unfinished: Outcomes of cancelled prompts that are not in the journal yet, by item.
        elsewhere: Items that other processes worked on and have given back, by the job's index.
        stays_open: The journal is its run's, and not this call's to close.
        calls: Those that work on the same open journal.
        has_begun: It is counted there.
        queue: The run's queue, if the call works on that.
        drawn: Items of the queue that were drawn and not begun yet.
        making: The tasks that make images of the queue, by item.
        unwanted: Items that were cancelled, until they end here, if they were drawn at all.
    """

    open: Callable[[], Awaitable[Journal]]
    account: str
    again: ResumePolicy = field(default_factory=ResumePolicy)
    folder: Path | None = None
    store: StoreAddress | None = None
    has_own_sink: bool = False
    beside: Path | None = None
    buckets: Buckets = field(default_factory=Buckets)
    tasks: TaskClient | None = None
    opened: Journal | None = None
    shared: SharedJournal | None = None
    limit_notes: list[LimitNotes] = field(default_factory=list)
    rescues: dict[int, "asyncio.Task[Outcome]"] = field(default_factory=dict)
    unfinished: list[tuple[int, Outcome]] = field(default_factory=list)
    elsewhere: dict[int, int] = field(default_factory=dict)
    stays_open: bool = False
    calls: CallsOfRun = field(default_factory=CallsOfRun)
    has_begun: bool = False
    queue: RunQueue | None = None
    drawn: dict[int, QueueEntry] = field(default_factory=dict)
    making: dict[int, "asyncio.Task[Outcome]"] = field(default_factory=dict)
    unwanted: set[int] = field(default_factory=set)

    async def open_journal(self) -> Journal:
        """Open the journal.

        Raises:
            JournalError: It cannot be used. Nothing was changed.
        """
        self.opened = journal = await self.open()
        self.shared = as_shared(journal)
        return journal

    def release(self, item: int) -> None:
        """Nothing more is done for this item: other processes may have it."""
        if self.shared is not None:
            self.shared.release(item)
        elif self.queue is not None:
            self.queue.give_back(item)

    def cancel(self, item: int) -> None:
        """Nobody wants this item any more, though it may be billed."""
        self.unwanted.add(item)
        task = self.making.get(item)
        if task is not None:
            task.cancel()

    @property
    def journal(self) -> Journal:
        """The open journal."""
        assert self.opened is not None, "the call has begun"
        return self.opened

    def file_stem(self, index: int, nonce: str) -> str:
        """What the names of an item's files begin with: its index, and in a store its own mark.

        A store may be shared by runs whose journals know nothing of each other, and after a kill
        none of them may take another's image for its own. In a run of several processes an index is
        the place in the list of one of them; in a queue it is the item's number.
        """
        if self.store is None and self.shared is None and self.queue is None:
            return f"{index:06d}"
        return f"{index:06d}-{nonce[:_NONCE_DIGITS]}"
