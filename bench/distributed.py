"""`python -m bench distributed`: what a run promises that many processes share.

Workers are processes, which are killed (SIGKILL) while they work, and so is a PostgreSQL of our
own. The fake bank is the witness: no image may be lost, and no dollar paid twice unnamed.
"""

import asyncio
import logging
import random
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec

from bench.audit import audit
from bench.distributed_limits import race_for_money, work_within
from bench.fresh_process import call_fresh
from bench.own_postgres import OwnPostgres, own_postgres, why_no_postgres
from bench.queue_workloads import PaceTask, fill_queue, pass_items
from bench.shared_workers import SharedTask, Worker, joined, work_alone
from bench.suite import Session, Suite
from nbp_async import Limits, Run, TicketStatus
from nbp_async.fake import spawn

IN_FLIGHT = 4  # of each worker
NAMED_WITHIN = 60.0  # seconds after a kill
RATE, WINDOW = 20, 30.0  # requests a second; seconds over which the rate is exact
RACING, SUBMITS = 64, 8  # submissions at once, and of each process
MIB = 2**20
LEASE = 45.0  # seconds of a lease, and until others look
_TICKETS = 500  # of one question


@dataclass(frozen=True)
class SurvivalSize:
    """How much is made, by how many, and how many of them are killed; seconds of an image."""

    workers: int
    images: int
    kills: int
    shortest: float
    longest: float

    @property
    def bound(self) -> float:
        """Seconds that all images take if every place is always full."""
        mean = (self.shortest + self.longest) / 2
        return self.images * mean / (self.workers * IN_FLIGHT)

    @property
    def killing(self) -> float:
        """Seconds during which workers are killed: what one had drawn and not sent is made after
        its lease, and what dies at the very end would be waited for, and not worked for.
        """
        return max(self.bound - LEASE, self.bound / 2)


SIZES = {
    "quick": SurvivalSize(3, 60, 6, 0.5, 1.5),
    "": SurvivalSize(8, 600, 40, 3.0, 10.0),
    "full": SurvivalSize(20, 2000, 100, 6.0, 18.0),
}


async def survival(session: Session) -> None:
    """workers on one run are killed at random moments, and PostgreSQL is

    Each worker has a few images in flight, and is replaced at once, as a supervisor would.
    """
    if why := why_no_postgres():
        session.show(f"  left out: {why}")
        return
    size = SIZES["quick" if session.quick else "full" if session.full else ""]
    with tempfile.TemporaryDirectory(prefix="nbp-bench-") as folder, _without_warnings():
        latency = (size.shortest, size.longest)
        async with own_postgres() as postgres, await spawn(latency=latency, seed=7) as server:
            address = postgres.run_address()
            task = SharedTask(server.openai_url, server.key, address, folder, IN_FLIGHT)
            async with joined(task) as run:
                crew = Crew(task, run, postgres, size)
                done = await crew.play(session)
                account = await run.account()
            said = await audit(server, address)
    session.readings["survival"] = msgspec.to_builtins({"done": done, "account": said})
    session.show(
        f"  {size.images} images, {size.workers} workers with {IN_FLIGHT} in flight each; "
        f"{done.kills} were killed, PostgreSQL {done.restarts} times",
        f"  {done.stored} are there, {done.named} may have been billed, and each is named; the "
        f"last one {done.slowest_name:.0f} s after its worker was killed",
        f"  {done.makespan:.0f} s, and {size.bound:.0f} s if all places had been full all the time",
        f"  the bank billed ${said.billed}; the run says ${said.spent} and perhaps ${said.maybe} "
        f"more, ${account.held} set aside",
    )
    session.check("images lost", size.images - done.stored - done.named, 0, "")
    session.check("dollars paid twice and not named", float(said.twice), 0, "$")
    beyond = max(said.spent - said.billed, said.billed - said.spent - said.maybe, account.held)
    session.check("dollars by which run and bank differ", float(beyond), 0, "$")
    session.check(
        "seconds until a dead worker's calls were named", done.slowest_name, NAMED_WITHIN, "s"
    )
    session.target("time over the bound without kills", done.makespan / size.bound, 1 / 0.9)


@contextmanager
def _without_warnings() -> Iterator[None]:
    """A database that is away is what is measured here, and no news."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


@dataclass
class Survived:
    """What became of it all."""

    kills: int = 0
    restarts: int = 0
    stored: int = 0
    named: int = 0
    makespan: float = 0.0
    slowest_name: float = 0.0


@dataclass
class Crew:
    """The workers of a run, killed at random moments.

    Attributes:
        ended: When each ticket had its outcome, as the run says to anybody.
        killed: When a worker was killed that had this ticket out.
    """

    task: SharedTask
    run: Run
    postgres: OwnPostgres
    size: SurvivalSize
    ended: dict[int, float] = field(default_factory=dict)
    killed: dict[int, float] = field(default_factory=dict)

    async def play(self, session: Session) -> Survived:
        """Work, with kills, until every ticket has its outcome."""
        done, loop = Survived(), asyncio.get_running_loop()
        prompts = (f"prompt {number}" for number in range(self.size.images))
        self._tickets = [ticket.number for ticket in await self.run.submit(prompts)]
        watching = asyncio.ensure_future(self._watch())
        await asyncio.sleep(0)
        self._workers = [Worker(self.task) for _ in range(self.size.workers)]
        began = loop.time()
        try:
            await self._kill(session, done)
            await self._finish(session, began, done)
        finally:
            watching.cancel()
            await asyncio.gather(*(worker.kill() for worker in self._workers))
        states = [one async for one in self._statuses()]
        done.stored = sum(one.state == "stored" for one in states)
        done.named = sum(one.state == "failed" and one.maybe > 0 for one in states)
        late = [self.ended[t] - at for t, at in self.killed.items() if t in self.ended]
        done.slowest_name = max(late, default=0.0)
        return done

    async def _kill(self, session: Session, done: Survived) -> None:
        """Kill workers at random moments, and PostgreSQL twice."""
        rng, pause = random.Random(7), self.size.killing / self.size.kills
        restarts = {self.size.kills // 3, 2 * self.size.kills // 3}
        for number in range(self.size.kills):
            await asyncio.sleep(rng.uniform(0.5, 1.5) * pause)
            place = rng.randrange(self.size.workers)
            self._note_killed(await self._workers[place].kill())
            self._workers[place] = Worker(self.task)
            done.kills += 1
            session.note(f"  {done.kills} killed, {len(self.ended)} of {self.size.images} ended")
            if number in restarts:
                await self.postgres.kill()
                await self.postgres.start()
                done.restarts += 1

    def _note_killed(self, tickets: set[int]) -> None:
        now = asyncio.get_running_loop().time()
        for ticket in tickets:
            self.killed.setdefault(ticket, now)

    async def _finish(self, session: Session, began: float, done: Survived) -> None:
        """Wait until all have ended; the calls of the dead take as long as their leases."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self.size.bound * 3 + 2 * NAMED_WITHIN):
            while len(self.ended) < self.size.images:
                if len(self.ended.keys() | self.killed.keys()) < self.size.images:
                    done.makespan = loop.time() - began
                session.note(f"  {len(self.ended)} of {self.size.images} have ended")
                await asyncio.sleep(0.2)

    async def _watch(self) -> None:
        """Hear of each outcome as any process of the run does."""
        loop = asyncio.get_running_loop()
        async for status in self.run.watch():
            if status.outcome is not None:
                self.ended.setdefault(status.number, loop.time())

    async def _statuses(self) -> AsyncIterator[TicketStatus]:
        for start in range(0, len(self._tickets), _TICKETS):
            for one in await self.run.status(self._tickets[start : start + _TICKETS]):
                yield one


async def limits(session: Session) -> None:
    """what holds for all workers of a run together: in flight, rate, and money"""
    if why := why_no_postgres():
        session.show(f"  left out: {why}")
        return
    workers = 3 if session.quick else 20 if session.full else 8
    most = 2 * workers
    seen = await work_within(
        Limits(max_in_flight=most), workers=workers, images=10 * most, latency="0.5-1.5"
    )
    session.show(f"  {workers} workers with {IN_FLIGHT} each, {most} allowed: {seen.peak} at most")
    session.check("requests in flight over the limit", seen.peak - most, 0, "")
    session.check("requests in flight that were never reached", most - seen.peak, 0, "")
    count = 150 if session.quick else 900
    paced = await work_within(
        Limits(rate=f"{RATE}/s"), workers=workers, images=count, latency="0.3-0.6"
    )
    beyond = {window: paced.beyond(RATE, window) for window in (1.0, WINDOW / 3, WINDOW)}
    took = paced.at[-1] - paced.at[0]
    session.show(
        f"  {len(paced.at)} requests at {RATE} a second came in {took:.1f} s; the fullest window "
        + ", ".join(f"of {window:g} s was {share:+.1%}" for window, share in beyond.items())
    )
    session.check(f"over the rate, in any {WINDOW:g} s", beyond[WINDOW], 0.005)
    queued = await race_for_money(processes=RACING // SUBMITS, submits=SUBMITS, room=10)
    session.readings["limits"] = {
        "peak": seen.peak,
        "limit": most,
        "beyond": beyond,
        "seconds": took,
        "queued": queued,
    }
    session.show(f"  {RACING} submissions at once with money for 10: {queued} were queued")
    session.check("submissions over or under the money", abs(queued - 10), 0, "")


async def queue(session: Session) -> None:
    """how many items a second are drawn, armed and settled, in a run of very many"""
    if why := why_no_postgres():
        session.show(f"  left out: {why}")
        return
    items = 20_000 if session.quick else 1_000_000
    each = 200 if session.quick else 1000
    with tempfile.TemporaryDirectory(prefix="nbp-bench-") as folder:
        async with own_postgres() as postgres:
            address = postgres.run_address()
            await fill_queue(postgres, address, folder, items)
            blind = await call_fresh(pass_items, PaceTask(address, 1, each))
            await postgres.execute("ANALYZE")
            one = await call_fresh(pass_items, PaceTask(address, 1, each))
            many = await call_fresh(pass_items, PaceTask(address, 8, each))
    session.readings["queue"] = msgspec.to_builtins({"blind": blind, "one": one, "many": many})
    for words, done in (
        ("1 connection, before ANALYZE", blind),
        ("1 connection", one),
        ("8 connections", many),
    ):
        session.show(
            f"  {items:,} items, {words:28} {done.items / done.drawn:7,.0f} drawn a second, "
            f"{done.items / done.armed:7,.0f} armed, {done.items / done.settled:7,.0f} settled"
        )
    session.show(f"  ANALYZE makes drawing {blind.drawn / one.drawn:.1f} times as fast")
    for words, done in (("1 connection", one), ("8 connections", many)):
        claims = done.items / (done.drawn + done.armed)
        session.target(f"500 over the claims a second, {words}", 500 / claims, 1.0)
        settled = done.items / done.settled
        session.target(f"1,000 over the settles a second, {words}", 1000 / settled, 1.0)


async def memory(session: Session) -> None:
    """one worker and a long queue, without a network: its pace, and that its memory stays"""
    if why := why_no_postgres():
        session.show(f"  left out: {why}")
        return
    count = 1_000 if session.quick else 20_000 if session.full else 5_000
    with tempfile.TemporaryDirectory(prefix="nbp-bench-") as folder:
        async with own_postgres() as postgres:
            address = postgres.run_address()
            task = SharedTask("https://relay.example/v1", "sk-bench-1234", address, folder, 50)
            async with joined(task) as run:
                await run.submit((f"prompt {number}" for number in range(count)), part=True)
            done = await call_fresh(work_alone, task)
    session.readings["memory"] = msgspec.to_builtins(done)
    session.show(
        f"  {done.images} images, {done.images / done.wall:.0f} a second from the queue to the "
        f"disk; memory grew by {done.growth / MIB:.1f} MiB from a tenth to the end"
    )
    session.check("images that were not made", count - done.images, 0, "")
    session.check("growth from a tenth to the end", done.growth / MIB, 8, "MiB")


DISTRIBUTED = Suite(
    name="distributed",
    help="what a run keeps that many processes share",
    quick="3 workers and 6 kills, two minutes in all",
    full="20 workers, 2,000 images and 100 kills, a quarter of an hour in all",
    measurements={"survival": survival, "limits": limits, "queue": queue, "memory": memory},
    reps=1,
)
