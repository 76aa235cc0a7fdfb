"""A simulation in several processes, each of which plays some of the machines.

They need not know of each other, unless the vendor's limits are of all of them together.
"""

import asyncio
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from bench.child import report
from bench.fresh_process import started
from bench.simulate import Forecast, OnPercent, Part, Plan, Share, forecast_of, play_share, simulate
from bench.simulated_vendor import check_faults
from nbp_async.fake.latency import parse_latency

_FEWEST = 10_000  # images, below which a process takes longer to start than to play


def simulate_on_all_cores(plan: Plan, on_percent: OnPercent | None = None) -> Forecast:
    """The same as `simulate`, with a process for each core if that is possible and worth it.

    Raises:
        ValueError: As `simulate`.
        RuntimeError: A process broke.
    """
    cores = min(len(os.sched_getaffinity(0)), plan.workers, plan.n // _FEWEST)
    if plan.is_shared or cores < 2:
        with without_warnings():
            return simulate(plan, on_percent)
    parse_latency(plan.latency)
    check_faults(plan.faults)
    return asyncio.run(simulate_in_processes(plan, cores, on_percent))


async def simulate_in_processes(
    plan: Plan, count: int, on_percent: OnPercent | None = None
) -> Forecast:
    """Play it in so many processes.

    Raises:
        RuntimeError: A process broke.
    """
    began, percents, heard = time.perf_counter(), [0] * count, 0

    def hear(number: int, percent: int) -> None:
        nonlocal heard
        percents[number] = percent
        whole = sum(percents) // count
        if on_percent is not None and whole > heard:
            heard = whole
            on_percent(whole)

    async def play(number: int) -> Part:
        async with started(play_and_report, Share(plan, number, count)) as child:
            while (line := await child.line()).strip().isdigit():
                hear(number, int(line))
                child.go_on()
            return msgspec.json.decode(line, type=Part)

    parts = await asyncio.gather(*map(play, range(count)))
    return forecast_of(plan, parts, time.perf_counter() - began)


@contextmanager
def without_warnings() -> Iterator[None]:
    """Warn of none of the images that are lost by order: the forecast counts them."""
    log = logging.getLogger("nbp_async")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)


def play_and_report(share: Share) -> Part:
    """In a process: each percent is a line."""
    with without_warnings():
        return play_share(share, lambda percent: report(str(percent)))
