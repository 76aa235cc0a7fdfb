"""The journal in PostgreSQL: many processes share one run. See `postgres_schema` and `base`."""

import asyncio
import contextlib
import json
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Self, cast

import msgspec
import psycopg

from nbp_async._base.errors import JournalError
from nbp_async._base.task_handle import Handle
from nbp_async._journal import records
from nbp_async._journal.base import JournalEntry, RunTotals, Standing
from nbp_async._journal.commit_queue import CommitError, CommitQueue, QueueClosedError, Row
from nbp_async._journal.database_address import DatabaseAddress
from nbp_async._journal.database_tables import open_session, unusable
from nbp_async._journal.postgres_queue import PostgresQueue
from nbp_async._journal.postgres_schema import statements
from nbp_async._journal.shared_journal import RunLimits
from nbp_async._journal.write_errors import over_limit
from nbp_async._models.outcomes import Attempt, Job, Outcome
from nbp_async._stores.store_address import is_store

RENEW = 10.0  # seconds between two renewals of a lease; it may be missed twice


class PostgresJournal:
    """See `base.Journal` and `shared_journal.SharedJournal`. Open it with `PostgresJournal.open`.

    Args:
        address: Of the run.
        folder: The run's folder, or None if images are not our files. Paths in it are kept relative
            to it: machines may have mounted it in different places.
        wall_clock: Seconds since 1970; for people to read. Leases go by the database's clock.
        cap: US dollars that the run may cost, over all its processes, or None.
        remake: Images that are there may be made again, if their files are gone.
    """

    poll = 1.0
    sweep = RENEW

    def __init__(
        self,
        address: DatabaseAddress,
        *,
        folder: Path | None,
        wall_clock: Callable[[], float],
        cap: Decimal | None,
        remake: bool,
    ) -> None:
        self.address = address
        self._folder = folder
        self._now = wall_clock
        self._cap = cap
        self._remake = remake
        self._queue = CommitQueue(address.url)
        self._run = self._session = 0
        self._owned: set[int] = set()
        # About 80 bytes for each prompt that was drawn: its second equal one is another item.
        self._drawn: Counter[int] = Counter()
        self._renewing: asyncio.Task[None] | None = None
        self._fenced = False
        self.queue = PostgresQueue(
            self._call_in_run,
            lambda row: self._entry(row, int(row[2])),
            self._owned.update,
            self.release,
            self._fence,
        )

    @classmethod
    async def open(
        cls,
        address: DatabaseAddress,
        *,
        account: str | None,
        folder: Path | None,
        wall_clock: Callable[[], float],
        place: str | None = "",
        cap: Decimal | None = None,
        remake: bool = False,
    ) -> Self:
        """Join the run, or begin it; its tables are made if there are none. With None as account
        or place it takes those of a run that there is.

        Raises:
            NoRunError: There is none, and it cannot be begun without account and place.
            JournalError: The database cannot be reached or used; or the run is another account's,
                or has its images elsewhere. Nothing was sent.
        """
        journal = cls(address, folder=folder, wall_clock=wall_clock, cap=cap, remake=remake)
        queue = journal._queue
        try:
            connection = await queue.open()
            journal._run, journal._session, home = await open_session(
                connection, address, account=account, place=place, now=wall_clock()
            )
            if place is None and home and not is_store(home):
                journal._folder = Path(home)
        except (psycopg.Error, OSError) as exc:
            await queue.aclose()
            error = unusable(address, exc)
        except BaseException:
            await queue.aclose()
            raise
        else:
            queue.start()
            journal._renewing = asyncio.get_running_loop().create_task(journal._renew())
            return journal
        raise error

    async def claim(self, job: Job, identity: bytes) -> JournalEntry:
        short = int.from_bytes(identity[:8])
        ordinal = self._drawn[short]
        self._drawn[short] += 1
        return await self._claim(job, identity, ordinal, None)

    async def claim_again(self, item: int, job: Job) -> JournalEntry:
        return await self._claim(job, b"again", 0, item)

    async def _claim(
        self, job: Job, identity: bytes, ordinal: int, item: int | None
    ) -> JournalEntry:
        request = records.encode_request(job)
        request.encode()  # raises here, and not for all that are committed together
        values = (
            item,
            identity,
            ordinal,
            job.index,
            secrets.token_hex(16),
            request,
            self._remake,
        )
        order = identity + ordinal.to_bytes(4)
        query = self._sql("SELECT * FROM SCHEMA.claim(%s, %s, %s, %s, %s, %s, %s, %s, %s)")
        (row,) = await self._call(query, values, order)
        entry = self._entry(row, job.index)
        if entry.standing == "ours" and (entry.state != "stored" or self._remake):
            self._owned.add(entry.item)
        return entry

    def pass_over(self, identity: bytes) -> None:
        self._drawn[int.from_bytes(identity[:8])] += 1

    def release(self, item: int) -> None:
        if item in self._owned:
            self._owned.discard(item)
            self._queue.post(self._sql(_RELEASE), (item, self._session))

    async def limits(self) -> RunLimits:
        ((most, rate, burst, spend, seconds),) = await self._call_in_run(_LIMITS, ())
        return RunLimits(most, rate, burst, spend, 3600.0 if seconds is None else seconds)

    async def limit(self, limits: RunLimits) -> None:
        await self._call_in_run(_LIMIT, msgspec.structs.astuple(limits))

    def hold_back(self, seconds: float) -> None:
        self._queue.post(self._sql(_HOLD_BACK), (seconds, self._run))

    async def released(self, items: Sequence[int]) -> list[int]:
        query, values = self._sql(_RELEASED), (list(items),)
        return [int(row[0]) for row in await self._wait(self._queue.run(query, values))]

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
        encoded = None if handle is None else records.encode_handle(handle)
        token = secrets.token_hex(8)
        values = (item, number, token, price, most, self._now(), stem, encoded, self._cap, account)
        query = "SELECT SCHEMA.arm(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        said = await self._ask(query, values)
        said, _, amount = said.partition(" ")
        if said == "armed":
            return 0.0
        if said == "wait":
            return float(amount)
        if said == "cap":
            raise over_limit(most, Decimal(amount), whose="all machines of the run", cap=self._cap)
        if said == "budget":
            raise over_limit(most, Decimal(amount))
        if said == "fenced":
            raise self._fence()
        raise JournalError(_REFUSED[said].format(item=item, number=number))

    async def record_answer(
        self, item: int, number: int, links: tuple[str, ...], expires: float | None, request_id: str
    ) -> None:
        text = records.encode_links(links)
        await self._record(item, number, text, expires, _clean(request_id), None)

    async def record_submission(
        self, item: int, number: int, handle: Handle, request_id: str
    ) -> None:
        encoded = records.encode_handle(handle)
        await self._record(item, number, None, None, _clean(request_id), encoded)

    async def _record(self, *values: object) -> None:
        query = self._sql("SELECT SCHEMA.answer(%s, %s, %s, %s, %s, %s, %s)")
        await self._wait(self._queue.run(query, (self._session, *values)))

    def settle(self, item: int, attempt: Attempt) -> None:
        text = _clean(records.encode_attempt(attempt, self._folder))
        values = (item, attempt.number, attempt.billing, attempt.cost, self._now(), text)
        query = self._sql("SELECT SCHEMA.settle(%s, %s, %s, %s, %s, %s, %s, %s)")
        self._queue.post(query, (self._run, self._session, *values))

    async def finish(self, item: int, outcome: Outcome) -> None:
        ended = records.end_of_item(outcome, self._folder)
        values = (_clean(one) if isinstance(one, str) else one for one in ended)
        query = "SELECT SCHEMA.finish(%s, %s, %s, %s, %s, %s, %s, %s, %s)"
        said = await self._ask(query, (item, *values))
        self._owned.discard(item)
        if said == "taken":
            raise JournalError(_REFUSED["late"].format(item=item))

    async def unsettled(self, *, failed: bool = False) -> list[JournalEntry]:
        return await self._take_over([*_OPEN, "failed"] if failed else _OPEN, free=True)

    async def orphans(self) -> list[JournalEntry]:
        return await self._take_over(_OPEN, free=False)

    async def _take_over(self, states: list[str], *, free: bool) -> list[JournalEntry]:
        query = self._sql("SELECT * FROM SCHEMA.take_over(%s, %s, %s, %s)")
        rows = await self._call(query, (free, states))
        entries = [self._entry(row, int(row[2])) for row in rows]
        self._owned.update(entry.item for entry in entries)
        return entries

    async def save_batch(self, name: str, record: str) -> None:
        query = self._sql(_SAVE_BATCH)
        await self._wait(self._queue.run(query, (self._run, name, record)))

    async def batches(self) -> dict[str, str]:
        query = self._sql("SELECT name, record FROM SCHEMA.batch WHERE run = %s ORDER BY id")
        rows = await self._wait(self._queue.run(query, (self._run,)))
        return {str(name): str(record) for name, record in rows}

    def note(self, name: str, text: str) -> None:
        self._queue.post(self._sql(_NOTE), (self._run, _clean(name), _clean(text)))

    async def notes(self) -> dict[str, str]:
        query = self._sql("SELECT name, text FROM SCHEMA.note WHERE run = %s")
        rows = await self._wait(self._queue.run(query, (self._run,)))
        return {str(name): str(text) for name, text in rows}

    async def totals(self, period: float = 600.0) -> RunTotals:
        query = self._sql("SELECT spent, maybe + held, images FROM SCHEMA.run WHERE id = %s")
        ((spent, maybe, images),) = await self._wait(self._queue.run(query, (self._run,)))
        recent: list[tuple[float, Decimal]] = []
        if period > 0:
            now = self._now()
            values = (self._run, now - period)
            for at, dollars in await self._wait(self._queue.run(self._sql(_RECENT), values)):
                recent.append((0.0 if at is None else max(0.0, now - at), dollars))
        return RunTotals(spent, maybe, images, tuple(sorted(recent, reverse=True)))

    async def aclose(self) -> None:
        """Write what is queued, and leave the run: what was planned is free at once."""
        renewing, self._renewing = self._renewing, None
        if renewing is not None:
            renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewing
            for query in (_LEAVE, _END):
                self._queue.post(self._sql(query), (self._session,))
        await self._queue.aclose()
        if renewing is not None and self._queue.failure is not None and not self._fenced:
            raise self._error(self._queue.failure)

    async def _renew(self) -> None:
        """Renew the lease for as long as this is open, and end those of processes that died."""
        while not self._fenced:
            await asyncio.sleep(RENEW)
            with contextlib.suppress(JournalError):  # the next one that arms hears of it
                rows = await self._call(self._sql("SELECT SCHEMA.renew(%s, %s)"), ())
                self._fenced = not rows[0][0]

    async def _ask(self, query: str, values: Sequence[object]) -> str:
        rows = await self._call(self._sql(query), values)
        return str(rows[0][0])

    async def _call(self, query: str, values: Sequence[object], order: bytes = b"") -> list[Row]:
        """Call a function whose first arguments are the run and the session."""
        return await self._wait(self._queue.run(query, (self._run, self._session, *values), order))

    async def _call_in_run(self, query: str, values: Sequence[object]) -> list[Row]:
        """Run a statement in which {run} and {session} stand for their numbers."""
        numbered = self._sql(query).replace("{run}", str(self._run))
        numbered = numbered.replace("{session}", str(self._session))
        return await self._wait(self._queue.run(numbered, values))

    async def _wait(self, running: Any) -> list[Row]:
        try:
            rows: list[Row] = await running
        except QueueClosedError:
            error = JournalError("The run's journal is closed: nothing more is written or sent.")
        except CommitError as exc:
            error = self._error(exc.cause)
        else:
            return rows
        raise error

    def _entry(self, row: Row, index: int) -> JournalEntry:
        standing, *columns, tried = row
        attempts: list[Row] = [] if tried is None else [tuple(one) for one in json.loads(tried)]
        return records.entry_of(
            tuple(columns),
            attempts,
            self._folder,
            index=index,
            standing=cast("Standing", standing),
        )

    def _sql(self, text: str) -> str:
        return statements(text, self.address.schema)

    def _fence(self) -> JournalError:
        self._fenced = True
        return JournalError(
            "This process lost its part of the run: it was paused, or cut off from the database, "
            "and others have taken over what it had out. Nothing more is sent.",
            hint="What it still received is in its outcomes. Run again to join once more.",
        )

    def _error(self, cause: Exception) -> JournalError:
        error = JournalError(
            f"The run's journal cannot be written: {str(cause).strip()}. Nothing more is sent.",
            hint="Look at the database, then run again: nothing that is stored is bought twice.",
        )
        error.__cause__ = cause
        return error


def _clean(text: str) -> str:
    """Text as PostgreSQL takes it: without NUL, and without halves of characters."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


_OPEN = ["armed", "submitted", "answered"]

_REFUSED = {
    "taken": "Prompt {item} of the run is worked on by another process. Nothing was sent.",
    "twice": "Attempt {number} of item {item} was armed before. Nothing was sent.",
    "late": "Another process has taken over item {item} of the run: what came is in this call's "
    "outcomes, and not in the journal. Nothing more is sent.",
}

_TO_QUEUE = (
    "state = CASE WHEN state = 'planned' AND ticket IS NOT NULL THEN 'queued' ELSE state END"
)
_RELEASE = f"""
UPDATE SCHEMA.item SET owner = NULL, {_TO_QUEUE}
WHERE id = %s AND owner = %s AND state <> 'armed'
"""
_RELEASED = """
SELECT id FROM SCHEMA.item WHERE id = ANY (%s) AND (
    owner IS NULL OR NOT SCHEMA.is_alive(owner) AND state IN ('planned', 'stored', 'failed'))
"""
_LIMITS = """
SELECT most_out, rate_seconds, burst, spend, spend_seconds FROM SCHEMA.run WHERE id = {run}
"""
_LIMIT = """
UPDATE SCHEMA.run SET most_out = %s, rate_seconds = %s, burst = %s, spend = %s, spend_seconds = %s
WHERE id = {run}
"""
_HOLD_BACK = """
UPDATE SCHEMA.run SET paused_until = greatest(paused_until,
    clock_timestamp() + %s * interval '1 s') WHERE id = %s
"""
_SAVE_BATCH = """
INSERT INTO SCHEMA.batch (run, name, record) VALUES (%s, %s, %s)
ON CONFLICT (run, name) DO UPDATE SET record = EXCLUDED.record
"""
_NOTE = """
INSERT INTO SCHEMA.note (run, name, text) VALUES (%s, %s, %s)
ON CONFLICT (run, name) DO UPDATE SET text = EXCLUDED.text
"""
_RECENT = """
SELECT settled_at, CASE WHEN billing IS NULL THEN most ELSE cost END FROM SCHEMA.attempt
WHERE run = %s AND billing IS DISTINCT FROM 'no' AND (settled_at IS NULL OR settled_at > %s)
"""
_LEAVE = f"""
UPDATE SCHEMA.item SET owner = NULL, {_TO_QUEUE}
WHERE owner = %s AND state = 'planned' AND ticket IS NOT NULL
"""
_END = "UPDATE SCHEMA.session SET ended = clock_timestamp() WHERE id = %s AND ended IS NULL"
