"""The journal of a run: written before a request leaves, and after its image is safe.

An item is one job with its identity; it passes through these states, and the state that a killed
process left it in says what the next one may do:

| state | means | the next run |
| --- | --- | --- |
| planned | drawn from the prompts; nothing of it was ever sent | sends it |
| armed | a request may be out: durable before its first byte | names it: it may have been billed |
| submitted | the vendor works on it alone, under a known handle | asks for it by its handle |
| answered | paid, and its links are known, but not its bytes | fetches the links |
| stored | its image is safe | sends nothing |
| failed | it ended without an image | sends it again only if nothing was billed |

Identity is a hash of what was asked, never of when. Of several equal jobs each is an item of its
own: the first one drawn takes the first of them, and so on, in every run anew.
"""

from collections.abc import Collection
from decimal import Decimal
from typing import Literal, Protocol

import msgspec

from nbp_async._handle import Handle
from nbp_async._models import Attempt, Image, Job, Outcome, Prompt

JOURNAL = "journal.sqlite3"  # in a run's folder
LOCK = "journal.lock"
MANIFEST = "manifest.jsonl"

State = Literal["planned", "armed", "submitted", "answered", "stored", "failed"]


class Pending(msgspec.Struct, frozen=True):
    """An attempt that was armed and never settled: its process ended while it was out.

    Attributes:
        number: From 1, over all runs of the item.
        price: US dollars that it should have cost.
        most: US dollars that were reserved for it.
        armed_at: When it was armed, in seconds since 1970.
        stem: What the names of its files begin with.
        links: Links of its paid image, if the answer had come; the wanted one first.
        link_expires: When they are said to end, in seconds since 1970, or None.
        request_id: The vendor's id of the request, or "".
        handle: What the vendor calls the work, if it had said so; None if not.
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


class Entry(msgspec.Struct, frozen=True):
    """What the journal knows of an item.

    Attributes:
        item: Its number in the journal, from 1.
        index: Its place in the batch when it was claimed last.
        prompt: What was asked; references are names, or digests where they were given as bytes.
        pixels: Width and height that were expected, or None.
        state: See the table above.
        nonce: 32 hexadecimal digits drawn at random for the item: its idempotency key.
        attempts: Its settled attempts, oldest first.
        pending: Its attempts that were never settled.
        image: The image, where the state is "stored"; its `attempts` are empty.
        error: Class and message of its last failure, or "".
        links: Links of a paid image whose bytes are not here, the wanted one first.
        link_expires: When they are said to end, in seconds since 1970, or None.
        model: The model that was asked.
    """

    item: int
    index: int
    prompt: Prompt
    pixels: tuple[int, int] | None
    state: State
    nonce: str
    attempts: tuple[Attempt, ...] = ()
    pending: tuple[Pending, ...] = ()
    image: Image | None = None
    error: str = ""
    links: tuple[str, ...] = ()
    link_expires: float | None = None
    model: str = ""

    @property
    def handle(self) -> Handle | None:
        """What the vendor calls the work that is out for it, if that is known."""
        return next((p.handle for p in reversed(self.pending) if p.handle is not None), None)


class Account(msgspec.Struct, frozen=True):
    """The money of a run, over all its processes, in US dollars.

    Attributes:
        spent: Certainly charged.
        maybe: May have been charged besides: attempts judged so, and attempts never settled.
        images: Images that are safe, extras not counted.
        recent: What was charged or may have been by attempts that ended in the last `period`
            seconds or are not settled, as pairs of (seconds ago, dollars).
    """

    spent: Decimal
    maybe: Decimal
    images: int
    recent: tuple[tuple[float, Decimal], ...] = ()


class Journal(Protocol):
    """Keeps the items of one run. Belongs to one event loop, and to one process at a time.

    What must be durable is when the coroutine returns; the rest is written in order, with the
    next thing that must. Any method may raise JournalError when the journal cannot be written:
    then nothing more may be sent. Cancelling a coroutine here does not undo what it wrote.
    """

    async def claim(self, job: Job, identity: bytes) -> Entry:
        """The item of this job: the first of its identity that this run has not claimed yet.

        It is made, in the state "planned", if there is none. Durable with the next `arm`.
        """
        ...

    async def arm(
        self, item: int, number: int, price: Decimal, most: Decimal, stem: str,
        handle: Handle | None = None,
    ) -> None:  # fmt: skip
        """Write down that a request may be out from now on. Durable.

        Args:
            item: As `claim` gave it.
            number: Of the attempt, from 1, one above all earlier ones of the item.
            price: US dollars that it should cost.
            most: US dollars that are reserved for it; what it may cost until it is settled.
            stem: What the names of its image's files will begin with.
            handle: What it can be asked for by, where that is known before it leaves: the item is
                "submitted" at once.
        """
        ...

    async def answered(
        self, item: int, number: int, links: tuple[str, ...], expires: float | None, request_id: str
    ) -> None:
        """The attempt is paid and its image is behind these links. Durable."""
        ...

    async def submitted(self, item: int, number: int, handle: Handle, request_id: str) -> None:
        """The attempt is at the vendor under this handle, and may take hours. Durable."""
        ...

    def settle(self, item: int, attempt: Attempt) -> None:
        """An armed attempt ended so. Does not wait, so that a cancelled caller can say it."""
        ...

    async def finish(self, item: int, outcome: Outcome) -> None:
        """The item ended so; a line goes to the manifest. Durable.

        A failure that has `links` puts the item into the state "answered".
        """
        ...

    async def unsettled(self) -> list[Entry]:
        """Every item that is "armed", "submitted" or "answered", as earlier processes left it."""
        ...

    async def keep_batch(self, name: str, record: str) -> None:
        """Write down all that is known of a batch job, under the name that we gave it. Durable."""
        ...

    async def batches(self) -> dict[str, str]:
        """The records of all batch jobs by name, in the order in which they were made."""
        ...

    async def ended_lines(self, names: Collection[str]) -> dict[str, list[str]]:
        """The keys of lines that have ended, by the name of their batch job, of these jobs."""
        ...

    async def account(self, period: float = 600.0) -> Account:
        """What the run has cost so far."""
        ...

    async def aclose(self) -> None:
        """Write what waits, and let go of the file. Safe to call more than once."""
        ...
