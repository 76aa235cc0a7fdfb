"""The journal of a run: written before a request leaves, and after its image is safe.

An item is one job with its identity. It passes through these states; the state in which a killed
process left it says what the next process may do:

| state | means | the next run |
| --- | --- | --- |
| queued | submitted, and drawn by no process yet; see `run_queue` | sends it |
| planned | drawn from the prompts; nothing of it was ever sent | sends it |
| armed | a request may be out: durable before its first byte | reports it as possibly billed |
| submitted | the vendor works on it by itself, under a known handle | asks for it by its handle |
| answered | paid, and its links are known, but not its bytes | fetches or keeps the links |
| stored | its image is safe | sends nothing |
| failed | it ended without an image | sends it again only if nothing was billed |

Identity is a hash of what was requested, never of when. Each of several equal jobs is an item of
its own: in every run the first one drawn takes the first item, the second one the second.
"""

from decimal import Decimal
from typing import Literal, Protocol

import msgspec

from nbp_async._base.task_handle import Handle
from nbp_async._models.outcomes import Attempt, Image, Job, Outcome, Prompt

JOURNAL = "journal.sqlite3"  # in a run's folder
LOCK = "journal.lock"
MANIFEST = "manifest.jsonl"

State = Literal["queued", "planned", "armed", "submitted", "answered", "stored", "failed"]
Standing = Literal["ours", "elsewhere", "ended"]


class PendingAttempt(msgspec.Struct, frozen=True):
    """An attempt that was armed and never settled: its process ended while it was out.

    Attributes:
        number: From 1, over all runs of the item.
        price: US dollars that it should have cost.
        most: US dollars that were reserved for it.
        armed_at: When it was armed, in seconds since 1970.
        stem: What the names of its files begin with.
        links: Links of its paid image, if the response had come; the wanted one first.
        link_expires: When they expire according to the vendor, in seconds since 1970, or None.
        request_id: The vendor's id of the request, or "".
        handle: The vendor's name for the work, if it was known; else None.
        account: Which of several accounts was asked; "" of the only one.
    """

    number: int
    price: Decimal
    most: Decimal
    armed_at: float
    stem: str
    links: tuple[str, ...] = ()
    link_expires: float | None = None
    request_id: str = ""
    handle: Handle | None = None
    account: str = ""


class JournalEntry(msgspec.Struct, frozen=True):
    """What the journal knows of an item.

    Attributes:
        item: Its number in the journal, from 1.
        index: Its place in the batch when it was claimed last.
        prompt: What was requested; references are names, or sizes where they were given as bytes.
        pixels: Width and height that were expected, or None.
        state: See the table above.
        nonce: 32 hexadecimal digits drawn at random for the item: its idempotency key.
        attempts: Its settled attempts, oldest first.
        pending: Its attempts that were never settled.
        unrecorded: Its last attempt as it was armed, where all are settled and the item is "armed"
            or "submitted" still: the process ended before it recorded what came of it.
        image: The image, where the state is "stored", or where its link was kept as the outcome;
            its `attempts` are empty.
        error: Class and message of its last failure, or "".
        links: Links of a paid image whose bytes are not here, the wanted one first.
        link_expires: When they expire according to the vendor, in seconds since 1970, or None.
        model: The model that was requested.
        standing: Whose it is, in a journal that several processes share: "ours" to work on; worked
            on "elsewhere" now; or "ended" without an image while this process worked, which is its
            outcome here, too.
    """

    item: int
    index: int
    prompt: Prompt
    pixels: tuple[int, int] | None
    state: State
    nonce: str
    attempts: tuple[Attempt, ...] = ()
    pending: tuple[PendingAttempt, ...] = ()
    image: Image | None = None
    error: str = ""
    links: tuple[str, ...] = ()
    link_expires: float | None = None
    model: str = ""
    unrecorded: PendingAttempt | None = None
    standing: Standing = "ours"

    @property
    def handle(self) -> Handle | None:
        """The vendor's name for the work that is out for it, if it is known."""
        return next((p.handle for p in reversed(self.pending) if p.handle is not None), None)


class RunTotals(msgspec.Struct, frozen=True):
    """The money of a run, over all its processes, in US dollars.

    Attributes:
        spent: Certainly charged.
        maybe: May have been charged in addition: attempts judged so, and attempts never settled.
        images: Images that are safe, without extras.
        recent: What was or may have been charged by attempts that ended in the last `period`
            seconds or are not settled, as pairs of (seconds ago, dollars).
    """

    spent: Decimal
    maybe: Decimal
    images: int
    recent: tuple[tuple[float, Decimal], ...] = ()


class Journal(Protocol):
    """Keeps the items of one run. Belongs to one event loop, and to one process at a time, unless
    it is a `SharedJournal`.

    Where a method says "durable", it is so when the coroutine returns; the rest is written in
    order, with the next durable write. Any method may raise JournalError if the journal cannot be
    written: then nothing more may be sent. Cancelling a coroutine does not undo what it wrote.
    """

    async def claim(self, job: Job, identity: bytes) -> JournalEntry:
        """The item of this job: the first of its identity that this run has not claimed yet.

        If there is none, it is made, in the state "planned". Durable with the next `arm`.
        """
        ...

    async def arm(
        self,
        item: int,
        number: int,
        price: Decimal,
        most: Decimal,
        stem: str,
        handle: Handle | None = None,
        account: str = "",
    ) -> float:
        """Record that a request may be out from now on. Durable.

        Returns: 0.0; or, where the limits of all processes of the run have no room for it now, the
            seconds after which to ask again: then nothing was recorded, and it must not be sent.

        Args:
            item: As `claim` gave it.
            number: Of the attempt, from 1: one more than the last one of the item.
            price: US dollars that it should cost.
            most: US dollars that are reserved for it; what it may cost until it is settled.
            stem: What the names of its image's files will begin with.
            handle: What it can be asked for by, if that is known before it leaves: the item is
                "submitted" at once.
            account: Which of several accounts is asked; "" of the only one.
        """
        ...

    async def record_answer(
        self, item: int, number: int, links: tuple[str, ...], expires: float | None, request_id: str
    ) -> None:
        """The attempt is paid, and its image is behind these links. Durable."""
        ...

    async def record_submission(
        self, item: int, number: int, handle: Handle, request_id: str
    ) -> None:
        """The attempt is at the vendor under this handle, and may take hours. Durable."""
        ...

    def settle(self, item: int, attempt: Attempt) -> None:
        """Record how an armed attempt ended. Does not wait: a cancelled caller can call it."""
        ...

    async def finish(self, item: int, outcome: Outcome) -> None:
        """Record how the item ended; a line goes to the manifest. Durable.

        A failure that has `links` puts the item into the state "answered".
        """
        ...

    async def unsettled(self, *, failed: bool = False) -> list[JournalEntry]:
        """Every item that is "armed", "submitted" or "answered", as earlier processes left it.

        With `failed`, those that are "failed" as well.
        """
        ...

    async def save_batch(self, name: str, record: str) -> None:
        """Record all that is known of a batch job, under the name that we gave it. Durable."""
        ...

    async def batches(self) -> dict[str, str]:
        """The records of all batch jobs by name, in the order in which they were made."""
        ...

    def note(self, name: str, text: str) -> None:
        """Keep a note for later calls under this name, in place of the last one. Does not wait."""
        ...

    async def notes(self) -> dict[str, str]:
        """All notes by name."""
        ...

    async def totals(self, period: float = 600.0) -> RunTotals:
        """What the run has cost so far; `period` is that of `RunTotals.recent`."""
        ...

    async def aclose(self) -> None:
        """Write what is queued, and close the journal. Safe to call more than once."""
        ...
