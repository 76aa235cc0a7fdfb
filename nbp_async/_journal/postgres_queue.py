"""The queue of a run in PostgreSQL. See `run_queue`, and `postgres_queue_schema` for its tables."""

import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import cast

from nbp_async._base.errors import JournalError
from nbp_async._journal import records
from nbp_async._journal.base import JournalEntry
from nbp_async._journal.commit_queue import Row
from nbp_async._journal.run_queue import (
    Cancelled,
    Period,
    Purse,
    QueueCounts,
    QueuedJob,
    QueueEntry,
    QueueTerms,
    Standing,
    Submitted,
)
from nbp_async._models.outcomes import Reference

_AT_ONCE = 500  # jobs of one statement: the run's row is locked as long as it takes
_ANALYSED = 5000  # jobs after which the planner is told how full the tables are

Call = Callable[[str, Sequence[object]], Awaitable[list[Row]]]


class PostgresQueue:
    """See `run_queue.RunQueue`.

    Args:
        call: Runs a statement of this run and commits; {run} and {session} stand for their numbers.
        entry: Makes a journal's entry of a row.
        own: Hears which items are this process's from now on.
        release: Gives one back.
        fence: Makes the error of a process that lost its part of the run.
    """

    poll = 1.0

    def __init__(
        self,
        call: Call,
        entry: Callable[[Row], JournalEntry],
        own: Callable[[Iterable[int]], None],
        release: Callable[[int], None],
        fence: Callable[[], JournalError],
    ) -> None:
        self._call = call
        self._make_entry = entry
        self._own = own
        self.give_back = release
        self._fence = fence
        self._questions = 0
        self._since_analysed = 0

    async def submit(self, jobs: Sequence[QueuedJob], terms: QueueTerms) -> list[Submitted]:
        if not terms.part and len(jobs) > _AT_ONCE:
            return await self._submit(jobs, terms)  # all or none is one statement
        said: list[Submitted] = []
        for start in range(0, len(jobs), _AT_ONCE):
            said += await self._submit(jobs[start : start + _AT_ONCE], terms)
        return said

    async def _submit(self, jobs: Sequence[QueuedJob], terms: QueueTerms) -> list[Submitted]:
        columns = (
            [one.ticket for one in jobs],
            [one.identity for one in jobs],
            [one.job.index for one in jobs],
            [secrets.token_hex(16) for _ in jobs],
            [records.encode_request(one.job, one.digests, one.note) for one in jobs],
            [one.job.most for one in jobs],
        )
        order = (terms.owner, terms.priority, terms.not_before, terms.cap, terms.part)
        rows = await self._call(_SUBMIT, (*order, *columns))
        await self._analyse(len(jobs))
        said = [_submitted(*row) for row in rows]
        return said if len(said) == len(jobs) else said * len(jobs)

    async def _analyse(self, added: int) -> None:
        """PostgreSQL takes a table for empty after a bulk insert, and reads all of it each time."""
        self._since_analysed += added
        if self._since_analysed >= _ANALYSED:
            self._since_analysed = 0
            for table in ("item", "attempt", "purse"):
                await self._call(f"ANALYZE SCHEMA.{table}", ())

    async def keep_reference(self, digest: bytes, reference: Reference) -> None:
        await self._call(_KEEP, (digest, reference.data))

    async def reference(self, digest: bytes) -> bytes:
        rows = await self._call(_REFERENCE, (digest,))
        return bytes(rows[0][0])

    async def draw(self, count: int, items: Sequence[int] | None = None) -> list[QueueEntry]:
        self._questions += 1
        chosen = None if items is None else list(items)
        drawn = self._entries(await self._call(_DRAW, (self._questions, count, chosen)))
        if not drawn and not (await self._call(_IS_ALIVE, ()))[0][0]:
            raise self._fence()  # or it would wait for ever for what it may not draw
        self._own(one.entry.item for one in drawn)
        return drawn

    async def look(self, items: Sequence[int]) -> list[QueueEntry]:
        return self._entries(await self._call(f"{_ENTRIES} AND i.id = ANY (%s)", (list(items),)))

    async def position(self, item: int) -> int | None:
        ((before,),) = await self._call(_POSITION, (item,))
        return None if before is None else int(before)

    async def owned(self, owner: str, after: int, count: int) -> list[QueueEntry]:
        query = f"{_ENTRIES} AND i.payer = %s AND i.id > %s ORDER BY i.id LIMIT %s"
        return self._entries(await self._call(query, (owner, after, count)))

    async def changes(self, mark: int) -> tuple[list[QueueEntry], int]:
        # Transactions are numbered when they begin, and may end in another order: only what is
        # older than every one that is still open can no longer be joined by something older.
        rows = await self._call(_CHANGES, (mark,))
        after = max((int(row[-1]) for row in rows), default=mark)
        return self._entries([row[:-1] for row in rows if row[1] is not None]), after

    async def mark(self) -> int:
        query = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
        return int((await self._call(query, ()))[0][0])

    async def counts(self, items: Sequence[int] | None = None) -> QueueCounts:
        query, values = (_COUNTS, ()) if items is None else (_COUNTS_OF, (list(items),))
        ((ready, later, working, stored, failed, paused),) = await self._call(query, values)
        return QueueCounts(ready, later, working, stored, failed, paused or "")

    async def cancel(self, items: Sequence[int], *, out: bool) -> dict[int, Cancelled]:
        return dict(await self._call(_CANCEL, (list(items), out)))

    async def unwanted(self) -> list[int]:
        return [int(row[0]) for row in await self._call(_UNWANTED, ())]

    async def requeue(
        self, items: Sequence[int], most: Sequence[Decimal], cap: Decimal | None
    ) -> dict[int, Decimal | None]:
        rows = await self._call(_REQUEUE, (list(items), list(most), cap))
        said = {int(item): str(word).split() for item, word in rows}
        queued: dict[int, Decimal | None] = {
            item: Decimal(words[1]) if words[0] == "cap" else None
            for item, words in said.items()
            if words[0] != "no"
        }
        return queued

    async def pause(self, reason: str) -> None:
        await self._call("UPDATE SCHEMA.run SET paused = %s WHERE id = {run}", (reason or None,))

    async def set_budget(self, owner: str, period: Period, dollars: Decimal | None) -> None:
        if dollars is None:
            await self._call(_NO_BUDGET, (owner, period))
        else:
            await self._call(_BUDGET, (owner, period, dollars))

    async def budgets(self, owner: str) -> dict[Period, Decimal]:
        return dict(await self._call(_BUDGETS, (owner,)))

    async def purse(self, owner: str | None, since: date | None, until: date | None) -> Purse:
        ((held, spent, maybe, images),) = await self._call(
            _PURSE, (owner, owner, since, since, until, until)
        )
        return Purse(held, spent, maybe, int(images))

    def _entries(self, rows: Sequence[Row]) -> list[QueueEntry]:
        return [self._entry(row) for row in rows]

    def _entry(self, row: Row) -> QueueEntry:
        *columns, owner, ticket, is_cancelled, reserved = row
        entry = self._make_entry(tuple(columns))
        request = records.decode_request(str(columns[5]))
        return QueueEntry(entry, str(owner), str(ticket), bool(is_cancelled), request, reserved)


def _submitted(number: int, said: str) -> Submitted:
    word, _, left = said.partition(" ")
    return Submitted(cast("Standing", word), number, Decimal(left or 0))


_SUBMIT = (
    "SELECT * FROM SCHEMA.submit({run}, {session}, %s, %s, %s, %s, %s, %s::text[], %s::bytea[], "
    "%s::int[], %s::text[], %s::text[], %s::numeric[])"
)
_KEEP = "INSERT INTO SCHEMA.reference VALUES ({run}, %s, %s) ON CONFLICT DO NOTHING"
_REFERENCE = "SELECT data FROM SCHEMA.reference WHERE run = {run} AND digest = %s"
_COLUMNS = "i.payer, i.ticket, i.cancelled, i.reserved"
_DRAW = f"""
SELECT e.*, {_COLUMNS} FROM SCHEMA.draw({{run}}, {{session}}, %s, %s, %s::bigint[]) e
JOIN SCHEMA.item i ON i.id = e.id ORDER BY i.priority DESC, i.turn, i.id
"""
_IS_ALIVE = "SELECT SCHEMA.is_alive({session})"
_ENTRIES = f"""
SELECT e.*, {_COLUMNS} FROM SCHEMA.item i, LATERAL SCHEMA.entry_of(i, 'ours') e
WHERE i.run = {{run}} AND i.ticket IS NOT NULL
"""
_POSITION = """
SELECT CASE WHEN it.id IS NOT NULL THEN (
    SELECT count(*) FROM SCHEMA.item i WHERE i.run = {run} AND i.state = 'queued'
        AND (-i.priority, i.turn, i.id) < (-it.priority, it.turn, it.id)) END
FROM (VALUES (%s::bigint)) AS asked (id)
LEFT JOIN SCHEMA.item it ON it.id = asked.id AND it.run = {run} AND it.state = 'queued'
"""
_CHANGES = f"""
WITH mark AS (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS next)
SELECT e.*, {_COLUMNS}, mark.next FROM mark LEFT JOIN SCHEMA.item i ON i.run = {{run}}
    AND i.ticket IS NOT NULL AND i.changed >= %s AND i.changed < mark.next
LEFT JOIN LATERAL SCHEMA.entry_of(i, 'ours') e ON i.id IS NOT NULL
ORDER BY i.changed, i.id
"""
_COUNTS = """
SELECT count(*) FILTER (WHERE state = 'queued' AND coalesce(not_before <= clock_timestamp(), true)),
    count(*) FILTER (WHERE state = 'queued' AND not_before > clock_timestamp()),
    count(*) FILTER (WHERE state NOT IN ('queued', 'stored', 'failed')),
    count(*) FILTER (WHERE state = 'stored'), count(*) FILTER (WHERE state = 'failed'),
    (SELECT paused FROM SCHEMA.run WHERE id = {run})
FROM SCHEMA.item WHERE run = {run} AND ticket IS NOT NULL
"""
_COUNTS_OF = f"{_COUNTS} AND id = ANY (%s)"
_CANCEL = "SELECT * FROM SCHEMA.cancel({run}, {session}, %s::bigint[], %s)"
_UNWANTED = "SELECT id FROM SCHEMA.item WHERE owner = {session} AND cancelled"
_REQUEUE = "SELECT * FROM SCHEMA.requeue({run}, {session}, %s::bigint[], %s::numeric[], %s)"
_BUDGET = """
INSERT INTO SCHEMA.budget AS b (run, payer, period, dollars) VALUES ({run}, %s, %s, %s)
ON CONFLICT (run, payer, period) DO UPDATE SET dollars = EXCLUDED.dollars
"""
_NO_BUDGET = "DELETE FROM SCHEMA.budget WHERE run = {run} AND payer = %s AND period = %s"
_BUDGETS = "SELECT period, dollars FROM SCHEMA.budget WHERE run = {run} AND payer = %s"
_PURSE = """
SELECT coalesce(sum(held), 0), coalesce(sum(spent), 0), coalesce(sum(maybe), 0),
    coalesce(sum(images), 0)
FROM SCHEMA.purse WHERE run = {run} AND (%s::text IS NULL OR payer = %s)
    AND (%s::date IS NULL OR day >= %s) AND (%s::date IS NULL OR day <= %s)
"""
