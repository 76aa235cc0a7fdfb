"""One batch job, from its lines to its results, over as many processes as that takes.

| the journal says | a process that finds it so |
| --- | --- |
| planned | nothing was bought: its lines are free again |
| creating | looks through the vendor's list for its name; never creates it again |
| created | asks how it stands, and brings what it made |
| over | has nothing to do |
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from decimal import Decimal

import msgspec

from nbp_async._dialects.batch_lines import Line
from nbp_async._dialects.batches import Source, Standings
from nbp_async._errors import (
    InvalidRequestError,
    NbpError,
    RateLimitError,
    StorageError,
    TaskError,
    TaskFailedError,
    TaskLostError,
)
from nbp_async._flow.answers import Brought, store
from nbp_async._flow.batch_books import Ledger, Member, Record, record_from
from nbp_async._flow.batch_calls import Office, in_doubt, passing
from nbp_async._flow.run import Run
from nbp_async._flow.wiring import Wiring, log
from nbp_async._images.collect import Collector
from nbp_async._journal.base import Journal
from nbp_async._models import ZERO, Failure, Outcome

FIRST_LOOK, LONGEST_LOOK = 30.0, 300.0  # seconds between looks at a job
_GROWTH = 1.5
LOOKS_IN_THE_LIST = (0.0, 10.0, 60.0)  # seconds: a new job may not be listed at once
_MOST_UNKNOWN = 3
_FULL, _MOST_WAITS = 60.0, 600  # seconds until a job that found no room is tried again

Tell = Callable[[Member, Outcome], Awaitable[None]]


class BatchJob:
    """A job and its lines.

    Attributes:
        record: As the journal has it.
        members: Its lines without an outcome yet, by key.
    """

    def __init__(
        self, wiring: Wiring, run: Run, journal: Journal, office: Office, record: Record,
        members: dict[str, Member], tell: Tell, ended: Iterable[str] = (),
    ) -> None:  # fmt: skip
        """`ended` are the keys of those lines that an earlier process took in."""
        self.record = record
        self.members = members
        self._keys = frozenset((*members, *ended))
        self._w = wiring
        self._run = run
        self._journal = journal
        self._office = office
        assert run.batching is not None, "checked when it was called"
        self._batching = run.batching
        self._ledger = Ledger(wiring, run, journal)
        self._tell = tell
        self._strangers: set[str] = set()
        self._failed: list[tuple[Member, Failure]] = []

    @asynccontextmanager
    async def charged(self, dollars: Decimal) -> AsyncIterator[None]:
        """Wait until a period has room for it: the vendor charges it whenever it likes.

        Its dollars count from now on, unless it is not created while the body runs.

        Raises:
            BudgetError: One line alone costs more than a period may see. Nothing was sent.
            StoppedError: The run was stopped. Nothing was sent.
        """
        window = self._w.window
        if window is None:
            yield
            return
        charge = await self._run.wait(lambda: window.reserve(dollars))
        try:
            yield
        finally:
            bought = self.record.state in ("creating", "created")
            window.settle(charge, dollars if bought else ZERO)

    async def submit(self, lines: list[bytes], address: str) -> bool:
        """Hand in the lines and create the job, once; False if there is none.

        An uploaded file's lines are taken out of `lines`: it may be hours until there is room.

        Raises:
            NbpError: Nobody knows whether there is one. The journal has it so, for `clear_up`.
        """
        record = self.record
        try:
            source = await self._office.hand_in(record.name, lines)
            file = source if isinstance(source, str) else ""
            if file:
                lines.clear()
            await self._write(state="creating", file=file)
            self._run.check()
        except NbpError as exc:
            await self._never(exc)
            return False
        try:
            created = await self._create(address, source)
        except NbpError as exc:
            if not in_doubt(exc):
                await self._never(exc)
                return False
            log.warning("Batch job %s may have been created: %s", record.name, exc)
            return await self.clear_up()
        await self._write(state="created", id=created.id)
        return True

    async def _create(self, address: str, source: Source) -> Standings:
        """Create it as soon as there is room for one more."""
        callback = self._batching.callback()
        for _ in range(_MOST_WAITS):
            try:
                return await self._office.create(self.record.name, address, source, callback)
            except RateLimitError as exc:
                log.info("No room for batch job %s yet: %s", self.record.name, exc)
                wait = max(_FULL, exc.retry_after or 0.0)
            await self._run.wait(lambda seconds=wait: asyncio.sleep(seconds))  # type: ignore[misc]
        return await self._office.create(self.record.name, address, source, callback)

    async def clear_up(self) -> bool:
        """A job that may have been created: find it in the vendor's list, or know that it is none.

        Raises:
            NbpError: The list cannot be had. The job stays in doubt, and is not created again.
        """
        for rest in LOOKS_IN_THE_LIST:
            await asyncio.sleep(rest)
            found = await self._office.find(self.record.name)
            if found is not None:
                await self._write(state="created", id=found.id)
                return True
        await self._never(self._uncreated("it is in no list of the vendor's"))
        return False

    async def follow(self) -> None:
        """Look until the job is over, and bring its results.

        Raises:
            StoppedError: The run was stopped. The job goes on at the vendor.
        """
        rest, unknown = FIRST_LOOK, 0
        while self.members:
            seconds = rest * (0.75 + 0.5 * self._w.rng())
            await self._run.wait(lambda wait=seconds: self._rest(wait))  # type: ignore[misc]
            rest = min(LONGEST_LOOK, rest * _GROWTH)
            try:
                await self.bring()
            except StorageError as exc:
                self._run.stop(exc)
            except NbpError as exc:
                log.warning("Batch job %s cannot be asked for now: %s", self.record.name, exc)
                gone = isinstance(exc, InvalidRequestError) and exc.status in (404, 410)
                unknown = unknown + 1 if gone else 0
                if unknown >= _MOST_UNKNOWN:
                    await self._lose(f"{self.record.id} is not known any more")
                elif not gone and not passing(exc):
                    raise

    async def _rest(self, seconds: float) -> None:
        """Wait so long, or until the vendor calls back: the look after it says what is true."""
        hints = self._batching.hints
        if hints is None:
            await asyncio.sleep(seconds)
        else:
            await hints.wait(self.record.id.rpartition("/")[2], seconds)

    async def bring(self) -> Standings:
        """Look once; bring what there is, if the job is over.

        Raises:
            StorageError: Its images cannot be kept here. They stay at the vendor.
            NbpError: It cannot be asked for now. What came is safe, and the rest stays.
        """
        try:
            standings = await self._office.look(self.record.id, self._take)
            if standings.standing != "open":
                for file in standings.files:
                    await self._office.download(file, self._take)
        finally:
            await self._tell_failures()
        if standings.standing != "open":
            await self._end(standings)
        return standings

    async def cancel(self) -> None:
        """Ask that nothing more of it be begun. What is rendered by now is charged."""
        await self._office.cancel(self.record.id)

    async def _take(self, line: Line, collector: Collector) -> None:
        member = self.members.get(line.key)
        if member is None:
            if line.key not in self._keys:
                await self._keep_stranger(line, collector)
            return
        outcome = await self._ledger.take(member, line, collector)
        del self.members[line.key]
        if isinstance(outcome, Failure):
            self._failed.append((member, outcome))  # told together, for they may go on together
        else:
            await self._tell(member, outcome)

    async def _tell_failures(self) -> None:
        failed, self._failed = self._failed, []
        for member, failure in failed:
            await self._tell(member, failure)

    async def _keep_stranger(self, line: Line, collector: Collector) -> None:
        """A line that nobody asked for may be somebody's paid image: it is kept, and said."""
        if line.key in self._strangers:
            return
        self._strangers.add(line.key)
        shown = re.sub(r"[^A-Za-z0-9\-]", "_", line.key)[:40] or "nokey"
        what = f"{type(line.error).__name__}: {line.error}" if line.error is not None else ""
        if line.answer is not None:
            stem, brought = f"unknown-{self.record.name}-{shown}", list[Brought]()
            try:
                await store(self._w, self._run.sink, line.answer, collector, stem, brought)
            except NbpError as exc:
                what = str(exc)
            what = ", ".join(kept.stored.path or "in memory" for kept, _ in brought) or what
        log.warning("Batch job %s has a line of an unknown key %r: %s", self.record.name,
                    shown, what)  # fmt: skip

    async def _end(self, standings: Standings) -> None:
        """Nothing more comes of it: say what became of the lines without a result."""
        name, how = self.record.name, standings.standing
        for key, member in list(self.members.items()):
            problem: NbpError
            if how in ("failed", "expired"):
                words = standings.error or "it brought no results"
                problem = TaskFailedError(
                    f"Batch job {name} {how}: {words}.", task=name, who="no",
                    passing=how == "expired",
                )  # fmt: skip
            else:
                why = "was cancelled" if how == "cancelled" else "has no line for it"
                problem = TaskLostError(f"Batch job {name} {why}.", task=name)
            await self._give_up(key, member, problem)
        await self._write(state="over")

    async def _lose(self, why: str) -> None:
        for key, member in list(self.members.items()):
            problem = TaskLostError(f"Batch job {self.record.name}: {why}.", task=self.record.name)
            await self._give_up(key, member, problem)
        await self._write(state="over")

    async def _give_up(self, key: str, member: Member, problem: NbpError) -> None:
        outcome = await self._ledger.fail(member, problem)
        del self.members[key]
        await self._tell(member, outcome)

    async def _never(self, why: NbpError) -> None:
        """It was never created: nothing of it is paid."""
        for key, member in list(self.members.items()):
            outcome = await self._ledger.fail(member, why, "no")
            del self.members[key]
            await self._tell(member, outcome)
        await self._write(state="over")

    async def free(self) -> None:
        """An earlier process ended before it was created."""
        await self._never(self._uncreated("its process ended before that"))

    def _uncreated(self, why: str) -> NbpError:
        name = self.record.name
        words = f"Batch job {name} was never created: {why}."
        return TaskFailedError(words, task=name, who="no", passing=True)

    async def _write(self, **changes: str) -> None:
        self.record = msgspec.structs.replace(self.record, **changes)
        text = msgspec.json.encode(self.record).decode()
        await self._journal.keep_batch(self.record.name, text)


def may_pass(error: NbpError) -> bool:
    """A line that ended so, and cost nothing, may go well in another job."""
    return error.passing if isinstance(error, TaskError) else passing(error)


async def reopened(
    wiring: Wiring,
    run: Run,
    office: Office,
    tell: Tell,
) -> list[BatchJob]:
    """The jobs of earlier calls that are not over, with their lines."""
    assert run.past is not None and run.past.journal is not None, "the run has begun"
    journal = run.past.journal
    members: dict[str, dict[str, Member]] = {}
    for entry in await journal.unsettled():
        for pending in entry.pending:
            handle = pending.handle
            if handle is not None and handle.kind == "batch":
                member = Member.found(entry, pending, handle.key)
                members.setdefault(handle.id, {})[handle.key] = member
    records = {name: record_from(text) for name, text in (await journal.batches()).items()}
    open_ = [name for name in records if name in members and records[name].state != "over"]
    ended = await journal.ended_lines(open_)
    return [
        BatchJob(wiring, run, journal, office, records[n], members[n], tell, ended[n])
        for n in open_
    ]
