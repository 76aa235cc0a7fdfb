"""The queue of a run in a file: one process submits to it and works on it. See `run_queue`."""

import secrets
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Protocol, TypeVar

from nbp_async._journal import records
from nbp_async._journal.base import JournalEntry
from nbp_async._journal.run_queue import (
    Cancelled,
    Period,
    Purse,
    QueueCounts,
    QueuedJob,
    QueueEntry,
    QueueTerms,
    Submitted,
)
from nbp_async._journal.sqlite_purses import SqlitePurses, budgets_of, left_of_budget, purse_of
from nbp_async._models.outcomes import ZERO, Reference

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], T]


class Host(Protocol):
    """What the queue needs of its journal."""

    session: int

    def now(self) -> float:
        """Seconds since 1970."""
        ...

    def run(self, operation: Operation[T]) -> Awaitable[T]:
        """Run it in the journal's thread, durably."""
        ...

    def post(self, operation: Operation[object]) -> None:
        """The same, without waiting."""
        ...

    def entry(self, db: sqlite3.Connection, row: records.Row, place: int) -> JournalEntry:
        """The item of a row."""
        ...


class SqliteQueue:
    """See `run_queue.RunQueue`."""

    poll = 0.0

    def __init__(self, host: Host, purses: SqlitePurses) -> None:
        self._host = host
        self._purses = purses

    def begin_session(self, db: sqlite3.Connection) -> None:
        """What an earlier process had drawn, and sent nothing of, is in the queue again."""
        db.execute("UPDATE item SET state = 'queued' WHERE state = 'planned' AND ticket NOT NULL")
        self._purses.begin_session(db)

    async def submit(self, jobs: Sequence[QueuedJob], terms: QueueTerms) -> list[Submitted]:
        return await self._host.run(lambda db: self._submit(db, jobs, terms))

    def _submit(
        self, db: sqlite3.Connection, jobs: Sequence[QueuedJob], terms: QueueTerms
    ) -> list[Submitted]:
        day = self._today()
        limit, left = "cap", None if terms.cap is None else terms.cap - self._purses.total(db)
        budget = left_of_budget(db, terms.owner, day)
        if budget is not None and (left is None or budget < left):
            limit, left = "budget", budget
        known = [self._known(db, job) for job in jobs]
        wanted = sum((j.job.most for j, k in zip(jobs, known, strict=True) if k is None), ZERO)
        if not terms.part and left is not None and wanted > left:
            return [Submitted("cap" if limit == "cap" else "budget", left=left)] * len(jobs)
        said: list[Submitted] = []
        turn, held = self._next_turn(db, terms.owner), ZERO
        for job in jobs:
            # Looked up again: the same ticket may be twice in one submission.
            found = self._known(db, job)
            if found is None and left is not None and held + job.job.most > left:
                found = Submitted("cap" if limit == "cap" else "budget", left=left - held)
            if found is None:
                found = Submitted("queued", self._insert(db, job, terms, turn, day))
                turn += 1
                held += job.job.most
            said.append(found)
        self._purses.charge(db, terms.owner, day, held=held, last_turn=turn - 1)
        return said

    def _known(self, db: sqlite3.Connection, job: QueuedJob) -> Submitted | None:
        row = db.execute("SELECT id, identity FROM item WHERE ticket = ?", (job.ticket,)).fetchone()
        if row is None:
            return None
        return Submitted("known" if row[1] == job.identity else "other", row[0])

    def _insert(
        self, db: sqlite3.Connection, job: QueuedJob, terms: QueueTerms, turn: int, day: str
    ) -> int:
        later = None if terms.not_before is None else terms.not_before.timestamp()
        inserted = db.execute(
            "INSERT INTO item (identity, session, place, state, nonce, asked, ticket, payer, "
            "priority, turn, not_before, reserved, day, changed) "
            "VALUES (?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                job.identity,
                self._host.session,
                job.job.index,
                secrets.token_hex(16),
                records.encode_request(job.job, job.digests, job.note),
                job.ticket,
                terms.owner,
                terms.priority,
                turn,
                later,
                str(job.job.most),
                day,
                self._purses.next_change(),
            ),
        )
        assert inserted.lastrowid is not None
        return inserted.lastrowid

    def _next_turn(self, db: sqlite3.Connection, owner: str) -> int:
        """After this owner's last one, and not before the turn that is being served."""
        (served,) = db.execute("SELECT turn FROM run").fetchone()
        (last,) = db.execute(
            "SELECT coalesce(max(last_turn), 0) FROM purse WHERE payer = ?", (owner,)
        ).fetchone()
        return int(max(served, last)) + 1

    async def keep_reference(self, digest: bytes, reference: Reference) -> None:
        await self._host.run(
            lambda db: db.execute(
                "INSERT OR IGNORE INTO reference VALUES (?, ?)", (digest, reference.data)
            )
        )

    async def reference(self, digest: bytes) -> bytes:
        query = "SELECT data FROM reference WHERE digest = ?"
        (data,) = await self._host.run(lambda db: db.execute(query, (digest,)).fetchone())
        return bytes(data)

    async def draw(self, count: int, items: Sequence[int] | None = None) -> list[QueueEntry]:
        now, session = self._host.now(), self._host.session
        query = _NEXT.format(chosen=_chosen(items))

        def draw(db: sqlite3.Connection) -> list[QueueEntry]:
            drawn = db.execute(query, (now, count)).fetchall()
            for item, turn in drawn:
                db.execute(
                    "UPDATE item SET state = 'planned', session = ? WHERE id = ?", (session, item)
                )
                self._purses.stamp(db, item)
                db.execute("UPDATE run SET turn = max(turn, ?)", (turn,))
            return self._entries(db, [item for item, _ in drawn])

        return await self._host.run(draw)

    def give_back(self, item: int) -> None:
        def give_back(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE item SET state = 'queued' "
                "WHERE id = ? AND state = 'planned' AND ticket NOT NULL",
                (item,),
            )
            self._purses.stamp(db, item)

        self._host.post(give_back)

    async def look(self, items: Sequence[int]) -> list[QueueEntry]:
        return await self._host.run(lambda db: self._entries(db, items))

    async def position(self, item: int) -> int | None:
        row = await self._host.run(lambda db: db.execute(_POSITION, (item,)).fetchone())
        return None if row is None else int(row[0])

    async def owned(self, owner: str, after: int, count: int) -> list[QueueEntry]:
        query = "SELECT id FROM item WHERE payer = ? AND id > ? ORDER BY id LIMIT ?"

        def select(db: sqlite3.Connection) -> list[QueueEntry]:
            return self._entries(db, [row[0] for row in db.execute(query, (owner, after, count))])

        return await self._host.run(select)

    async def mark(self) -> int:
        return await self._host.run(lambda _: self._purses.change + 1)

    async def changes(self, mark: int) -> tuple[list[QueueEntry], int]:
        query = "SELECT id FROM item WHERE changed >= ? AND ticket NOT NULL ORDER BY changed"

        def select(db: sqlite3.Connection) -> tuple[list[QueueEntry], int]:
            items = [row[0] for row in db.execute(query, (mark,))]
            return self._entries(db, items), self._purses.change + 1

        return await self._host.run(select)

    async def counts(self, items: Sequence[int] | None = None) -> QueueCounts:
        now, query = self._host.now(), _COUNTS.format(chosen=_chosen(items))
        row = await self._host.run(lambda db: db.execute(query, (now, now)).fetchone())
        return QueueCounts(*row)

    async def cancel(self, items: Sequence[int], *, out: bool) -> dict[int, Cancelled]:
        def cancel(db: sqlite3.Connection) -> dict[int, Cancelled]:
            return {item: said for item in items if (said := self._cancel(db, item, out))}

        return await self._host.run(cancel)

    def _cancel(self, db: sqlite3.Connection, item: int, out: bool) -> Cancelled | None:
        row = db.execute(
            "SELECT state, cancelled FROM item WHERE id = ? AND ticket NOT NULL", (item,)
        ).fetchone()
        if row is None:
            return None
        state, was_cancelled = row
        if state == "queued":
            self._purses.on_finish(db, item, "failed")
            db.execute(
                "UPDATE item SET state = 'failed', reason = 'CancelledAttemptError', "
                "message = 'Cancelled before it was sent.', cancelled = 1 WHERE id = ?",
                (item,),
            )
            return "cancelled"
        if state in ("stored", "failed"):
            return "cancelled" if was_cancelled and state == "failed" else "ended"
        if out:
            db.execute("UPDATE item SET cancelled = 1 WHERE id = ?", (item,))
            self._purses.stamp(db, item)
        return "out"

    async def unwanted(self) -> list[int]:
        query = (
            "SELECT id FROM item WHERE cancelled AND session = ? "
            "AND state NOT IN ('queued', 'stored', 'failed')"
        )
        session = self._host.session
        rows = await self._host.run(lambda db: db.execute(query, (session,)).fetchall())
        return [int(row[0]) for row in rows]

    async def requeue(
        self, items: Sequence[int], most: Sequence[Decimal], cap: Decimal | None
    ) -> dict[int, Decimal | None]:
        def requeue(db: sqlite3.Connection) -> dict[int, Decimal | None]:
            said = {}
            for item, dollars in zip(items, most, strict=True):
                is_possible, left = self._requeue(db, item, dollars, cap)
                if is_possible:
                    said[item] = left
            return said

        return await self._host.run(requeue)

    def _requeue(
        self, db: sqlite3.Connection, item: int, most: Decimal, cap: Decimal | None
    ) -> tuple[bool, Decimal | None]:
        row = db.execute(_FAILED, (item,)).fetchone()
        if row is None or row[0] == "queued":
            return row is not None, None
        payer, day = row[1], self._today()
        lefts = [
            left_of_budget(db, payer, day),
            None if cap is None else cap - self._purses.total(db),
        ]
        left = min((each for each in lefts if each is not None), default=None)
        if left is not None and left < most:
            return True, left
        self._purses.charge(db, payer, day, held=most)
        db.execute(
            "UPDATE item SET state = 'queued', reserved = ?, cancelled = 0, day = ?, reason = '', "
            "message = '', turn = max(turn, (SELECT turn FROM run)) WHERE id = ?",
            (str(most), day, item),
        )
        self._purses.stamp(db, item)
        return True, None

    async def pause(self, reason: str) -> None:
        await self._host.run(lambda db: db.execute("UPDATE run SET paused = ?", (reason,)))

    async def set_budget(self, owner: str, period: Period, dollars: Decimal | None) -> None:
        def set_budget(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM budget WHERE payer = ? AND period = ?", (owner, period))
            if dollars is not None:
                db.execute("INSERT INTO budget VALUES (?, ?, ?)", (owner, period, str(dollars)))

        await self._host.run(set_budget)

    async def budgets(self, owner: str) -> dict[Period, Decimal]:
        return await self._host.run(lambda db: budgets_of(db, owner))

    async def purse(self, owner: str | None, since: date | None, until: date | None) -> Purse:
        first = "" if since is None else since.isoformat()
        last = "9" if until is None else until.isoformat()
        return await self._host.run(lambda db: purse_of(db, owner, first, last))

    def _today(self) -> str:
        return datetime.fromtimestamp(self._host.now(), UTC).date().isoformat()

    def _entries(self, db: sqlite3.Connection, items: Sequence[int]) -> list[QueueEntry]:
        extra = "payer, ticket, cancelled, reserved"
        query = f"SELECT {records.ITEM_COLUMNS}, {extra} FROM item WHERE id = ?"
        entries = []
        for item in items:
            row = db.execute(query, (item,)).fetchone()
            if row is not None and row[-3] is not None:
                *columns, payer, ticket, is_cancelled, reserved = row
                entry = self._host.entry(db, tuple(columns), int(columns[1]))
                request = records.decode_request(columns[4])
                entries.append(
                    QueueEntry(entry, payer, ticket, bool(is_cancelled), request, Decimal(reserved))
                )
        return entries


def _chosen(items: Sequence[int] | None) -> str:
    """What leaves the others out of a question; numbers need no quoting."""
    return "" if items is None else f"AND id IN ({','.join(map(str, map(int, items)))})"


_NEXT = """
SELECT id, turn FROM item WHERE state = 'queued' AND (not_before IS NULL OR not_before <= ?)
    AND (SELECT paused FROM run) = '' {chosen} ORDER BY priority DESC, turn, id LIMIT ?
"""
_POSITION = """
SELECT (SELECT count(*) FROM item i WHERE i.state = 'queued'
    AND (-i.priority, i.turn, i.id) < (-it.priority, it.turn, it.id))
FROM item it WHERE it.id = ? AND it.state = 'queued'
"""
_COUNTS = """
SELECT count(*) FILTER (WHERE state = 'queued' AND coalesce(not_before <= ?, 1)),
    count(*) FILTER (WHERE state = 'queued' AND not_before > ?),
    count(*) FILTER (WHERE state NOT IN ('queued', 'stored', 'failed')),
    count(*) FILTER (WHERE state = 'stored'), count(*) FILTER (WHERE state = 'failed'),
    (SELECT paused FROM run)
FROM item WHERE ticket NOT NULL {chosen}
"""
_FAILED = """
SELECT state, payer FROM item WHERE id = ? AND ticket NOT NULL AND (state = 'queued' OR
    state = 'failed' AND NOT EXISTS (
        SELECT 1 FROM attempt WHERE item = item.id AND billing IS NOT 'no'))
"""
