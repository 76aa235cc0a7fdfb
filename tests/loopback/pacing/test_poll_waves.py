"""Thousands of tasks that were submitted together are never polled together."""

import asyncio
import random

import pytest

from nbp_async._models.settings import Rate
from nbp_async._pacing.poll_schedule import PollSchedule
from nbp_async._pacing.token_bucket import TokenBucket


@pytest.mark.looptime
async def test_five_thousand_tasks_never_come_in_a_wave() -> None:
    """Submitted in the same moment; polled 20 times a second at most, and evenly."""
    rng, loop = random.Random(3), asyncio.get_running_loop()
    pace, seen = TokenBucket(Rate.parse("20/s")), list[float]()

    async def task() -> None:
        schedule = PollSchedule(85.0, rng.random)
        for _ in range(2):
            await asyncio.sleep(schedule.wait(loop.time()))
            await pace.acquire()
            seen.append(loop.time())

    await asyncio.gather(*(task() for _ in range(5000)))
    seconds = [0] * (int(seen[-1]) + 1)
    for moment in seen:
        seconds[int(moment)] += 1
    assert max(seconds) <= 20
    assert len(seen) == 10_000
    assert seen[-1] < 38 + 10_000 / 20 + 60, "and none of that rate is wasted"
