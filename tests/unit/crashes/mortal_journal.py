"""One process of a run in memory, as its journal and its queue: it may die at any step.

A process that is dead writes nothing more, and what it has sent for goes unanswered. One that is
silent reaches neither the database nor keeps its lease for a while, and wakes without knowing.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

from nbp_async._base.errors import JournalError
from nbp_async._base.task_handle import Handle
from nbp_async._journal.base import JournalEntry, RunTotals
from nbp_async._journal.run_queue import QueueCounts, QueuedJob, QueueEntry, QueueTerms, Submitted
from nbp_async._models.outcomes import Attempt, Job, Outcome
from tests.unit.crashes.memory_run import MemoryRun, Sent, now

RENEW = 10.0
SILENCE = 100.0  # seconds: longer than a lease, and than others take to look
T = TypeVar("T")


@dataclass
class Fate:
    """Lets whoever passes a step for the nth time die, or fall silent.

    Attributes:
        step: "arm:after" and so on.
        is_silence: It falls silent, and lives.
        struck: It has happened.
    """

    step: str
    nth: int
    is_silence: bool = False
    struck: bool = False

    def passes(self, step: str, mortal: "Mortal") -> None:
        if self.struck or step != self.step or not mortal.is_mortal:
            return
        self.nth -= 1
        if self.nth == 0:
            self.struck = True
            if self.is_silence:
                mortal.silent_until = now() + SILENCE
            else:
                mortal.die()


@dataclass
class Mortal:
    """A process, and whether it lives.

    Attributes:
        is_mortal: Its fate may strike it.
        silent_until: Before that it reaches no database.
    """

    fate: Fate
    rng: random.Random
    is_mortal: bool = True
    is_dead: bool = False
    silent_until: float = 0.0
    died: asyncio.Event = field(default_factory=asyncio.Event)

    def die(self) -> None:
        self.is_dead = True
        self.died.set()

    def passes(self, step: str) -> None:
        """A step of its work; raises if it is, or falls, dead."""
        self.fate.passes(step, self)
        if self.is_dead:
            raise JournalError("This process is dead.")


class MortalJournal:
    """See `base.Journal`, `shared_journal.SharedJournal` and `run_queue.RunQueue`: all in one."""

    poll = RENEW
    sweep = RENEW

    def __init__(self, run: MemoryRun, mortal: Mortal) -> None:
        self._run = run
        self._mortal = mortal
        self._session = run.join()
        self._posted: list[Callable[[], object]] = []
        self._renewing = asyncio.ensure_future(self._renew())
        self.queue = self

    async def _commit(self, step: str, change: Callable[[], T]) -> T:
        """What waits is committed first; whether a commit on its way is lost is left to chance."""
        mortal = self._mortal
        mortal.passes(f"{step}:before")
        await asyncio.sleep(mortal.rng.uniform(0.001, 0.05))
        await self._flush()
        mortal.passes(f"{step}:during")
        result = change()
        mortal.passes(f"{step}:after")
        return result

    async def _flush(self) -> None:
        while self._mortal.silent_until > now():
            await asyncio.sleep(self._mortal.silent_until - now())
        posted, self._posted = self._posted, []
        if not self._mortal.is_dead:
            for change in posted:
                change()

    def _post(self, change: Callable[[], object]) -> None:
        self._posted.append(change)

    async def _renew(self) -> None:
        while not self._mortal.is_dead:
            await asyncio.sleep(RENEW)
            await self._flush()
            if not self._mortal.is_dead:
                self._run.renew(self._session)

    async def submit(self, jobs: Sequence[QueuedJob], terms: QueueTerms) -> list[Submitted]:
        return await self._commit("submit", lambda: self._run.submit(jobs, terms))

    async def draw(self, count: int, items: Sequence[int] | None = None) -> list[QueueEntry]:
        drawn = await self._commit("draw", lambda: self._run.draw(self._session, count, items))
        return [item.queued() for item in drawn]

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
        assert handle is None and not account, "held calls of one account"
        sent = Sent(self._session, price, most, now(), stem)
        said = await self._commit("arm", lambda: self._run.arm(self._session, item, number, sent))
        if said in ("fenced", "taken", "twice"):
            raise JournalError(f"It must not be sent: {said}.")
        return 0.0 if said == "armed" else 0.25

    def settle(self, item: int, attempt: Attempt) -> None:
        self._mortal.fate.passes("settle:before", self._mortal)
        self._post(lambda: self._run.settle(self._session, item, attempt))
        self._mortal.fate.passes("settle:after", self._mortal)

    async def finish(self, item: int, outcome: Outcome) -> None:
        if await self._commit("finish", lambda: self._run.finish(self._session, item, outcome)) == (
            "taken"
        ):
            raise JournalError("Another process has taken it over.")

    async def unsettled(self, *, failed: bool = False) -> list[JournalEntry]:
        assert not failed, "nothing is made again here"
        return await self._taken(free=True)

    async def orphans(self) -> list[JournalEntry]:
        return await self._taken(free=False)

    async def _taken(self, *, free: bool) -> list[JournalEntry]:
        taken = await self._commit("take", lambda: self._run.take_over(self._session, free=free))
        return [item.entry() for item in taken]

    async def totals(self, period: float = 600.0) -> RunTotals:  # noqa: ARG002  no spend limit here
        run = self._run
        return await self._commit("totals", lambda: RunTotals(run.spent, run.maybe + run.held, 0))

    async def look(self, items: Sequence[int]) -> list[QueueEntry]:
        return await self._commit("look", lambda: self._run.look(items))

    async def counts(self, items: Sequence[int] | None = None) -> QueueCounts:
        def count() -> QueueCounts:
            return QueueCounts(ready=self._run.count(lambda state: state == "queued", items))

        return await self._commit("counts", count)

    async def unwanted(self) -> list[int]:
        return await self._commit("unwanted", list)

    def release(self, item: int) -> None:
        self._post(lambda: self._run.release(self._session, item))

    give_back = release

    def hold_back(self, seconds: float) -> None:
        """Each process waits by itself here."""

    async def claim_again(self, item: int, job: Job) -> JournalEntry:
        raise AssertionError(f"of a queue nothing is elsewhere: {item} {job}")

    async def aclose(self) -> None:
        self._renewing.cancel()
        await asyncio.wait([self._renewing])
        await self._flush()
        if not self._mortal.is_dead:
            self._run.leave(self._session)
