"""A run of many processes in memory: what `postgres_schema` says, in plain code and virtual time.

Each method of `MemoryRun` is one commit. It knows nothing of who calls it but a session's number,
as the database does.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from nbp_async._journal import records
from nbp_async._journal.base import JournalEntry, Standing
from nbp_async._journal.postgres_schema import LEASE
from nbp_async._journal.run_queue import QueuedJob, QueueEntry, QueueTerms, Submitted
from nbp_async._models.outcomes import ZERO, Attempt, Outcome

OPEN = ("armed", "submitted", "answered")


@dataclass
class Sent:
    """An attempt of an item."""

    session: int
    price: Decimal
    most: Decimal
    at: float
    stem: str
    billing: str | None = None
    cost: Decimal = ZERO
    record: str | None = None
    written: float = 0.0


@dataclass
class Item:
    """A row of the queue."""

    number: int
    job: QueuedJob
    owner: str
    turn: int
    reserved: Decimal
    state: str = "queued"
    session: int | None = None
    since: float = 0.0
    image: str | None = None
    reason: str = ""
    message: str = ""
    sent: dict[int, Sent] = field(default_factory=dict)

    def entry(self, standing: Standing = "ours") -> JournalEntry:
        """What the journal knows of it."""
        asked = records.encode_request(self.job.job, self.job.digests, self.job.note)
        row = (self.number, 0, self.state, f"{self.number:032x}", asked, self.image)
        attempts: list[records.Row] = [
            (n, str(s.price), str(s.most), s.at, s.stem, None, None, "", s.record, None, "")
            for n, s in sorted(self.sent.items())
        ]
        row_of_all = (*row, self.reason, self.message, None, None)
        return records.entry_of(row_of_all, attempts, None, index=self.number, standing=standing)

    def queued(self) -> QueueEntry:
        """The same, as the queue tells it."""
        asked = records.encode_request(self.job.job, self.job.digests, self.job.note)
        return QueueEntry(
            self.entry(), self.owner, self.job.ticket, False, records.decode_request(asked)
        )


class MemoryRun:
    """All that the database has of one run.

    Attributes:
        most_out: Requests that may be out at once.
        held, spent, maybe, reserved: The purse, kept by adding.
    """

    def __init__(self, most_out: int) -> None:
        self.most_out = most_out
        self.items: dict[int, Item] = {}
        self.leases: dict[int, float] = {}
        self.held = self.spent = self.maybe = self.reserved = ZERO
        self._ended: set[int] = set()
        self._turns: Counter[str] = Counter()
        self._turn = 0

    def join(self) -> int:
        """A new session."""
        session = len(self.leases) + 1
        self.leases[session] = now() + LEASE
        return session

    def is_alive(self, session: int | None) -> bool:
        return session is not None and session not in self._ended

    def renew(self, session: int) -> bool:
        alive = self.is_alive(session)
        if alive:
            self.leases[session] = now() + LEASE
        for other, end in self.leases.items():
            if end < now() and self.is_alive(other):
                self.leave(other)
        return alive

    def leave(self, session: int) -> None:
        """It has ended: what it had only drawn is in the queue again."""
        self._ended.add(session)
        for item in self.items.values():
            if item.session == session and item.state == "planned":
                item.session, item.state = None, "queued"

    def submit(self, jobs: Sequence[QueuedJob], terms: QueueTerms) -> list[Submitted]:
        known = {item.job.ticket: item.number for item in self.items.values()}
        said = []
        for job in jobs:
            if job.ticket in known:
                said.append(Submitted("known", known[job.ticket]))
                continue
            last = max(self._turns[terms.owner], self._turn) + 1
            self._turns[terms.owner] = last
            number = len(self.items) + 1
            self.items[number] = Item(number, job, terms.owner, last, job.job.most)
            self.reserved += job.job.most
            said.append(Submitted("queued", number))
        return said

    def draw(self, session: int, count: int, wanted: Sequence[int] | None) -> list[Item]:
        waiting = [
            item
            for item in self.items.values()
            if item.state == "queued" and (wanted is None or item.number in wanted)
        ]
        drawn = sorted(waiting, key=lambda item: (item.turn, item.number))[:count]
        for item in drawn if self.is_alive(session) else ():
            item.state, item.session, item.since = "planned", session, now()
            self._turn = max(self._turn, item.turn)
        return drawn if self.is_alive(session) else []

    def release(self, session: int, number: int) -> None:
        item = self.items[number]
        if item.session == session and item.state != "armed":
            item.session = None
            if item.state == "planned":
                item.state = "queued"

    def arm(self, session: int, number: int, attempt: int, sent: Sent) -> str:
        item = self.items[number]
        if not self.is_alive(session):
            return "fenced"
        if attempt in item.sent:
            return "twice"
        if item.session != session:
            return "taken"
        if self.out >= self.most_out:
            return "wait"
        self.held += sent.most
        self.reserved -= item.reserved
        item.reserved, item.state, item.sent[attempt] = ZERO, "armed", sent
        return "armed"

    @property
    def out(self) -> int:
        """Requests that may be out."""
        return sum(s.billing is None for item in self.items.values() for s in item.sent.values())

    def settle(self, session: int, number: int, attempt: Attempt) -> None:
        item, was = self.items[number], self.items[number].sent.get(attempt.number)
        if was is None:
            return
        owns = item.session == session and (was.billing is None or was.written < item.since)
        if was.session != session and not owns:
            return
        self._charge(was, -1)
        was.billing, was.cost, was.written = attempt.billing, attempt.cost, now()
        was.record = records.encode_attempt(attempt)
        self._charge(was, 1)

    def _charge(self, sent: Sent, sign: int) -> None:
        if sent.billing is None:
            self.held += sign * sent.most
        elif sent.billing == "yes":
            self.spent += sign * sent.cost
        elif sent.billing == "maybe":
            self.maybe += sign * sent.cost

    def finish(self, session: int, number: int, outcome: Outcome) -> str:
        item = self.items[number]
        mine = max((n for n, s in item.sent.items() if s.session == session), default=0)
        later = any(s.session != session and n > mine for n, s in item.sent.items())
        if item.session != session and (self.is_alive(item.session) or later):
            return "taken"
        item.state, item.image, item.reason, item.message, _, _ = records.end_of_item(outcome, None)  # type: ignore[assignment]
        self.reserved -= item.reserved
        item.reserved, item.session = ZERO, None
        return "finished"

    def take_over(self, session: int, *, free: bool) -> list[Item]:
        taken = [
            item
            for item in self.items.values()
            if item.state in OPEN
            and (
                free
                if item.session is None
                else not self.is_alive(item.session) or (free and item.session == session)
            )
        ]
        for item in taken:
            item.session, item.since = session, now()
        return taken

    def look(self, numbers: Iterable[int]) -> list[QueueEntry]:
        return [self.items[number].queued() for number in numbers if number in self.items]

    def count(self, accept: Callable[[str], bool], wanted: Sequence[int] | None) -> int:
        """How many items, or how many of these, are in such a state."""
        return sum(
            accept(item.state)
            for item in self.items.values()
            if wanted is None or item.number in wanted
        )


def now() -> float:
    return asyncio.get_running_loop().time()
