"""The queue of a run: what was submitted, who may pay for it, and in which order it is made.

An item that was submitted is "queued": its price is set aside, and any process of the run may draw
it. From then on it is an item like those of a `many`, armed and settled and finished in the same
rows, so that one commit moves queue, journal and money. It goes back into the queue if its process
dies, or ends, before anything of it was sent; once it was armed it never does so unasked.
"""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Literal, Protocol, cast

import msgspec

from nbp_async._journal.base import Journal, JournalEntry
from nbp_async._journal.records import RequestRecord
from nbp_async._models.outcomes import ZERO, Job, Reference

Period = Literal["day", "month", "all"]
Standing = Literal["queued", "known", "other", "cap", "budget"]
Cancelled = Literal["cancelled", "out", "ended"]


class QueuedJob(msgspec.Struct, frozen=True, gc=False):
    """One job on its way into the queue.

    Attributes:
        job: What is to be made; of a job with several copies, one of them.
        identity: See `identity.identity`.
        ticket: What names it: the same ticket is queued once, whoever submits it.
        digests: SHA-256 of each reference that was stored for it; b"" where it is a link.
        note: What its submitter wants to find with it.
    """

    job: Job
    identity: bytes
    ticket: str
    digests: tuple[bytes, ...] = ()
    note: str = ""


class QueueTerms(msgspec.Struct, frozen=True):
    """What holds for all jobs of one submission.

    Attributes:
        owner: Whose purse pays for them, and with whom they take turns.
        priority: Higher ones are drawn first.
        not_before: When they may be drawn at the earliest, or None.
        cap: US dollars that the run may cost, or None.
        part: Queue those that the money is enough for; else all or none.
    """

    owner: str = ""
    priority: int = 0
    not_before: datetime | None = None
    cap: Decimal | None = None
    part: bool = False


class Submitted(msgspec.Struct, frozen=True, gc=False):
    """What became of a submission.

    Attributes:
        said: "queued"; "known" before, by the same ticket; "other": the ticket stands for another
            job; or not queued, because there is too little left under the "cap" or "budget".
        item: Its number in the journal; 0 where it was not queued.
        left: US dollars that are left, where these are too few.
    """

    said: Standing
    item: int = 0
    left: Decimal = ZERO


class QueueEntry(msgspec.Struct, frozen=True):
    """An item that was submitted, and how it stands.

    Attributes:
        entry: What the journal knows of it.
        owner: Whose it is.
        ticket: What names it.
        is_cancelled: Somebody does not want it any more.
        request: What was asked, and how.
        reserved: US dollars that are set aside for its next attempt.
    """

    entry: JournalEntry
    owner: str
    ticket: str
    is_cancelled: bool
    request: RequestRecord
    reserved: Decimal = ZERO


class QueueCounts(msgspec.Struct, frozen=True):
    """How many submitted items there are in each state.

    Attributes:
        ready: In the queue, and may be drawn now.
        later: In the queue, for a time that is to come.
        working: Drawn, and without an outcome yet.
        stored: Made.
        failed: Ended without an image.
        paused: Why nothing is sent, or "".
    """

    ready: int = 0
    later: int = 0
    working: int = 0
    stored: int = 0
    failed: int = 0
    paused: str = ""


class Purse(msgspec.Struct, frozen=True):
    """US dollars of submitted items.

    Attributes:
        held: Set aside for what is queued or out.
        spent: Certainly charged.
        maybe: May have been charged in addition.
        images: Images that are safe.
    """

    held: Decimal = ZERO
    spent: Decimal = ZERO
    maybe: Decimal = ZERO
    images: int = 0


class RunQueue(Protocol):
    """The queue of one run; it shares its journal's loop, connection and errors.

    Attributes:
        poll: Seconds between two looks for what other processes did; 0.0 if there are none.
    """

    poll: float

    async def submit(self, jobs: Sequence[QueuedJob], terms: QueueTerms) -> list[Submitted]:
        """Queue the jobs and set their prices aside, in one commit. Durable."""
        ...

    async def keep_reference(self, digest: bytes, reference: Reference) -> None:
        """Store the bytes of a reference, once. Durable."""
        ...

    async def reference(self, digest: bytes) -> bytes:
        """The bytes of a reference that was stored."""
        ...

    async def draw(self, count: int, items: Sequence[int] | None = None) -> list[QueueEntry]:
        """At most so many items of the queue; they are this process's from now on. Durable.

        With `items`, of these alone.
        """
        ...

    def give_back(self, item: int) -> None:
        """Nothing of a drawn item was sent, or will be: others may draw it. Does not wait."""
        ...

    async def look(self, items: Sequence[int]) -> list[QueueEntry]:
        """How these stand."""
        ...

    async def position(self, item: int) -> int | None:
        """How many items are drawn before this one; None if it is not in the queue."""
        ...

    async def owned(self, owner: str, after: int, count: int) -> list[QueueEntry]:
        """Items of one owner with numbers above `after`, in order."""
        ...

    async def changes(self, mark: int) -> tuple[list[QueueEntry], int]:
        """What has changed since the mark, as it stands now, and the next mark."""
        ...

    async def mark(self) -> int:
        """The mark of this moment."""
        ...

    async def counts(self, items: Sequence[int] | None = None) -> QueueCounts:
        """How many items, or how many of these, there are in each state."""
        ...

    async def cancel(self, items: Sequence[int], *, out: bool) -> dict[int, Cancelled]:
        """Take items out of the queue; with `out`, end those that are out. Durable."""
        ...

    async def unwanted(self) -> list[int]:
        """Items of this process that were cancelled while they are out."""
        ...

    async def requeue(
        self, items: Sequence[int], most: Sequence[Decimal], cap: Decimal | None
    ) -> dict[int, Decimal | None]:
        """Queue failed items again that were not billed. Durable.

        Returns: The items that are queued, with None; those that the money is not enough for, with
            the dollars that are left.
        """
        ...

    async def pause(self, reason: str) -> None:
        """Let no process draw or send, for this reason; "" lets them go on. Durable."""
        ...

    async def set_budget(self, owner: str, period: Period, dollars: Decimal | None) -> None:
        """What an owner may spend in each period; None for no limit. Durable."""
        ...

    async def budgets(self, owner: str) -> dict[Period, Decimal]:
        """What an owner may spend."""
        ...

    async def purse(self, owner: str | None, since: date | None, until: date | None) -> Purse:
        """What one owner's items, or all, hold and have cost, by the day (UTC) of submission."""
        ...


def queue_of(journal: Journal) -> RunQueue | None:
    """The queue of a journal that has one."""
    return cast("RunQueue | None", getattr(journal, "queue", None))
