"""Processes that work on one run in PostgreSQL, and are killed while they do."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.bodies import answer_with, png
from bench.killed_process import ForkedProcess, Step
from bench.meter import resident
from nbp_async import Client, Limits, Listener, NbpError, Outcome, Profile, Run
from nbp_async.testing.transport import Canned, FakeTransport

_PAUSE = 0.5  # seconds before it joins once more


@dataclass(frozen=True)
class SharedTask:
    """A run that many processes have open.

    Attributes:
        url: Of the fake server.
        key: The key.
        address: Of the run.
        folder: Where images go.
        in_flight: Requests of one process at most.
    """

    url: str
    key: str
    address: str
    folder: str
    in_flight: int


@asynccontextmanager
async def joined(
    task: SharedTask,
    *,
    listeners: tuple[Listener, ...] = (),
    transport: FakeTransport | None = None,
    **options: Any,
) -> AsyncIterator[Run]:
    """The run, as one more process has it open."""
    profile = Profile(name="bench", base_url=task.url)
    limits = Limits(max_in_flight=task.in_flight, reuse_connections=True)
    async with (
        Client(
            profile,
            task.key,
            limits=limits,
            listeners=listeners,
            transport=transport or "aiohttp",
        ) as gen,
        gen.open_run(task.address, out=Path(task.folder), size="1K", **options) as run,
    ):
        yield run


def work_in_steps(task: SharedTask, step: Step) -> None:
    """Work on the run for ever; a step is the number of a ticket that is sent, and again, negative,
    when it has its outcome.
    """
    asyncio.run(_work(task, step))


async def _work(task: SharedTask, step: Step) -> None:
    told = _Told(step)
    while True:
        try:
            async with joined(task, listeners=(told,)) as run:
                async for _ in run.work(forever=True):
                    pass
        except NbpError:  # PostgreSQL is away: a supervisor would start it again, too
            await asyncio.sleep(_PAUSE)


class _Told(Listener):
    def __init__(self, step: Step) -> None:
        self._step = step

    def on_attempt_started(self, event: Any) -> None:
        self._step(event.job.index)

    def on_outcome(self, outcome: Outcome) -> None:
        self._step(-outcome.index)


class Worker:
    """One process that works.

    Attributes:
        out: Tickets that it has sent, and that have no outcome yet.
    """

    def __init__(self, task: SharedTask) -> None:
        self.out: set[int] = set()
        self._loop = asyncio.get_running_loop()
        self._process = ForkedProcess(work_in_steps, task)
        self._steps = self._process.steps_done
        self._loop.add_reader(self._steps.fileno(), self._hear)

    async def kill(self) -> set[int]:
        """End it (SIGKILL); gives the tickets that it had out."""
        self._process.kill()
        self._hear()
        if not self._steps.closed:
            self._loop.remove_reader(self._steps.fileno())
            await self._process.end()
        return self.out

    def _hear(self) -> None:
        try:
            while not self._steps.closed and self._steps.poll():
                ticket = self._steps.recv()
                if ticket > 0:
                    self.out.add(ticket)
                else:
                    self.out.discard(-ticket)
        except (EOFError, OSError):
            self._loop.remove_reader(self._steps.fileno())


@dataclass(frozen=True)
class RaceTask:
    """Images that are submitted at one moment, each by itself.

    Attributes:
        shared: The run.
        max_cost: Dollars that the run may cost.
        submits: How many.
        at: When, in seconds since 1970.
    """

    shared: SharedTask
    max_cost: str
    submits: int
    at: float


def submit_racing(task: RaceTask, step: Step) -> None:
    """Submit; a step is the number of a ticket."""
    asyncio.run(_race(task, step))


async def _race(task: RaceTask, step: Step) -> None:
    async with joined(task.shared, max_cost=task.max_cost) as run:
        await asyncio.sleep(task.at - time.time())
        said = await asyncio.gather(
            *(run.submit([f"racing {n}"], part=True) for n in range(task.submits))
        )
    for tickets in said:
        for ticket in tickets:
            step(ticket.number)


@dataclass(frozen=True)
class WorkDone:
    """What one worker came to; seconds, and bytes that its memory grew from a tenth to the end."""

    images: int
    wall: float
    growth: int


def work_alone(task: SharedTask) -> WorkDone:
    """Make all that is queued, from a transport without sockets: only the run takes time."""
    return asyncio.run(_work_alone(task))


async def _work_alone(task: SharedTask) -> WorkDone:
    transport = FakeTransport(default=Canned(answer_with(png(500))))
    transport.keep_requests = False
    images = early = 0
    async with joined(task, transport=transport) as run:
        count, began = (await run.counts()).ready, time.perf_counter()
        async for outcome in run.work():
            images += outcome.ok
            if images == count // 10:
                early = resident()
        wall = time.perf_counter() - began
    return WorkDone(images, wall, resident() - early)
