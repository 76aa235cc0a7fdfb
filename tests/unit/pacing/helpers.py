"""What tests of pacing share: a gate with a fair coin, the clock, and departures in a window."""

import asyncio
import random
from bisect import bisect_left
from collections.abc import Awaitable, Callable

from nbp_async._models.settings import Rate
from nbp_async._pacing.gate import Gate, GatePass
from nbp_async._pacing.slots import Slots
from nbp_async._pacing.token_bucket import TokenBucket


def now() -> float:
    return asyncio.get_running_loop().time()


def make_gate(limit: int = 10, **more: object) -> Gate:
    return Gate(Slots(limit), None, rng=lambda: 0.5, **more)  # type: ignore[arg-type]


async def cancel(tasks: list[asyncio.Task[GatePass]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def worst_window(departures: list[float], period: float) -> int:
    """The most departures in any half-open window of `period` seconds."""
    return max(
        bisect_left(departures, start + period) - place for place, start in enumerate(departures)
    )


async def departures_of(
    acquire: Callable[[], Awaitable[None]], count: int, gaps: list[float]
) -> list[float]:
    loop = asyncio.get_running_loop()
    left: list[float] = []

    async def leave() -> None:
        await acquire()
        left.append(loop.time())

    tasks = []
    for number in range(count):
        tasks.append(asyncio.create_task(leave()))
        await asyncio.sleep(gaps[number % len(gaps)])
    await asyncio.gather(*tasks)
    return left


PATTERNS = ("crowd", "random", "idle then crowd")


async def check_worst_window(rate: str, burst: int, pattern: str) -> None:
    """No window of the period sees more departures than the rate allows; they keep their order."""
    parsed = Rate.parse(rate)
    rng = random.Random(3)
    gaps = {
        "crowd": [0.0],
        "random": [rng.expovariate(1 / parsed.interval) for _ in range(97)],
        "idle then crowd": [0.0] * 40 + [parsed.period * 2],
    }[pattern]
    bucket = TokenBucket(parsed, burst)
    left = await departures_of(bucket.acquire, parsed.count * 3, gaps)
    assert worst_window(left, parsed.period) <= parsed.count + burst - 1
    assert left == sorted(left)
