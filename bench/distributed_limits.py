"""Limits of a run over all its processes: in flight, rate and money."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from bench.killed_process import ForkedProcess
from bench.own_postgres import own_postgres
from bench.shared_workers import RaceTask, SharedTask, Worker, joined, submit_racing
from nbp_async import Limits, Run
from nbp_async.fake import FakeServer

_START = 5.0  # seconds for processes to start before they race


@dataclass(frozen=True)
class Departures:
    """What a fake server saw of a run.

    Attributes:
        peak: Requests at most in flight at once.
        at: When each came, in seconds.
    """

    peak: int
    at: tuple[float, ...]

    def beyond(self, rate: float, window: float) -> float:
        """By how much more came in any window than the rate has room for; 0.01 is one percent."""
        most = last = 0
        for first, begin in enumerate(self.at):
            while last < len(self.at) and self.at[last] < begin + window:
                last += 1
            most = max(most, last - first)
        return max(0.0, most - 1) / (rate * window) - 1.0


async def work_within(limits: Limits, *, workers: int, images: int, latency: str) -> Departures:
    """Let workers make images together within limits of their run."""
    async with _shared_run(latency) as (server, task, run):
        await run.limit(limits)
        await run.submit(f"prompt {number}" for number in range(images))
        crew = [Worker(task) for _ in range(workers)]
        try:
            while (counts := await run.counts()).ready or counts.working:  # noqa: ASYNC110
                await asyncio.sleep(0.5)
        finally:
            for worker in crew:
                await worker.kill()
        received = tuple(one.at for one in server.received)
        return Departures(server.stats().peak_in_flight, received)


async def race_for_money(*, processes: int, submits: int, room: int) -> int:
    """Let processes submit images at the same moment that there is money for `room` of; gives how
    many were queued.
    """
    async with _shared_run("1") as (_, task, run):
        await run.submit(["what one costs"])
        price = (await run.account()).held
        race = RaceTask(task, str(price * (room + 1)), submits, time.time() + _START)
        crew = [ForkedProcess(submit_racing, race) for _ in range(processes)]
        for process in crew:
            await process.end()
        counts = await run.counts()
        assert (await run.account()).held == price * counts.ready
        return counts.ready - 1


@asynccontextmanager
async def _shared_run(latency: str) -> AsyncIterator[tuple[FakeServer, SharedTask, Run]]:
    async with own_postgres() as postgres, FakeServer(latency=latency) as server:
        with TemporaryDirectory(prefix="nbp-bench-") as folder:
            address = postgres.run_address()
            task = SharedTask(server.openai_url, server.key, address, folder, in_flight=4)
            async with joined(task) as run:
                yield server, task, run
