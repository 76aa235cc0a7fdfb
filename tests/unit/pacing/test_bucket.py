"""No window of the period sees more than the rate and its burst, whenever it begins."""

import asyncio

import pytest
from aiolimiter import AsyncLimiter

from nbp_async._models.settings import Rate
from nbp_async._pacing.token_bucket import TokenBucket
from tests.unit.pacing.helpers import PATTERNS, check_worst_window, departures_of, worst_window

pytestmark = pytest.mark.looptime


async def test_a_bare_limiter_lets_119_go_in_its_first_minute() -> None:
    """Why it is not used bare."""
    left = await departures_of(AsyncLimiter(60, 60).acquire, 200, [0.0])
    assert worst_window(left, 60) == 119


@pytest.mark.parametrize(
    ("rate", "burst"),
    [("60/min", 1), ("60/min", 10), ("60/min", 60), ("2/s", 1), ("7/3s", 3)],
)
@pytest.mark.parametrize("pattern", PATTERNS)
async def test_the_worst_window_holds_the_rate(rate: str, burst: int, pattern: str) -> None:
    await check_worst_window(rate, burst, pattern)


async def test_the_rate_is_used_up_when_there_is_a_crowd() -> None:
    left = await departures_of(TokenBucket(Rate.parse("60/min")).acquire, 121, [0.0])
    assert left[-1] - left[0] == pytest.approx(120, abs=0.01)


async def test_waiters_leave_in_order_and_a_cancelled_one_takes_no_token() -> None:
    bucket = TokenBucket(Rate.parse("1/s"))
    left: list[int] = []

    async def leave(number: int) -> None:
        await bucket.acquire()
        left.append(number)

    tasks = [asyncio.create_task(leave(number)) for number in range(10)]
    await asyncio.sleep(2.5)
    for number in (3, 4, 7):
        tasks[number].cancel()
    await asyncio.wait(tasks)
    assert left == [0, 1, 2, 5, 6, 8, 9]
    assert asyncio.get_running_loop().time() == pytest.approx(6, abs=0.01)
