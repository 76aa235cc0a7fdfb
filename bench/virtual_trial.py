"""One async strategy on the virtual clock: server and client in one loop, at true latency.

The clock jumps to the next timer when nothing else is left to do, so an hour takes a moment, and
the same trial gives the same figures on any machine.
"""

import asyncio
import gc
import random
from collections.abc import Awaitable
from typing import Any, cast

import msgspec

from bench.jobs import jobs_of
from bench.records import Scenario
from bench.strategies import load
from bench.strategies.base import CallRecord, Work, to_trial_time
from nbp_async.fake import FakeServer
from nbp_async.fake.counters import Stats
from nbp_async.fake.quotas import Quotas
from nbp_async.testing.virtual_time import run_virtual

_LOOKS = 200  # for the picture of calls in flight, over the time that the longest image takes


class VirtualTask(msgspec.Struct, frozen=True):
    """What to play."""

    strategy: str
    scenario: Scenario
    at_once: int
    seed: int


class ServerView(msgspec.Struct, frozen=True):
    """What server and client recorded; times in simulated seconds from the start."""

    stats: Stats
    made: dict[str, int]
    records: list[CallRecord]
    witness: list[tuple[float, int]]


def run_virtual_trial(task: VirtualTask) -> ServerView:
    """Play one trial; uses no thread and no file, for those would take real time.

    Some SDKs leave connections to the garbage collector: when it comes must not depend on what was
    done before, or two trials would differ.
    """
    gc.collect()
    gc.disable()
    try:
        return run_virtual(_play(task))
    finally:
        gc.enable()


async def _play(task: VirtualTask) -> ServerView:
    scenario = task.scenario
    strategy = load(task.strategy)
    loop = asyncio.get_running_loop()
    async with FakeServer(
        latency=scenario.latency,
        seed=task.seed,
        faults=scenario.faults,
        weight=cast("Any", scenario.weight),
        quotas=Quotas(per_minute=scenario.per_minute),
        delivery=scenario.delivery,
        bandwidth=scenario.bandwidth,
    ) as server:
        jobs = jobs_of(scenario, task.at_once)
        work = Work(
            url=server.openai_url,
            root=server.base_url,
            key=server.key,
            jobs=jobs,
            at_once=task.at_once,
            size=scenario.size,
            link=scenario.delivery == "url",
        )
        witness: list[tuple[float, int]] = []
        random.seed(task.seed)  # some SDKs draw their waits from it
        began = loop.time()
        looking = loop.create_task(_look(server, witness, began))
        records = await cast("Awaitable[list[CallRecord]]", strategy.run(work))
        looking.cancel()
        await server.drain()
        stats = server.stats()
        made = server.bank.by_digest()
    to_trial_time(records, began, 1.0, work.root)
    return ServerView(stats, made, records, witness)


async def _look(server: FakeServer, witness: list[tuple[float, int]], began: float) -> None:
    loop = asyncio.get_running_loop()
    every = max(server.usual.values()) / _LOOKS * 2
    while True:
        witness.append((loop.time() - began, server.stats().in_flight))
        await asyncio.sleep(every or 1.0)
