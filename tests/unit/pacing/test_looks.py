"""When tasks are looked at: when they may be done, and never all together."""

import asyncio
import random
from itertools import pairwise

import pytest

from nbp_async._config import Rate
from nbp_async._pacing.bucket import TokenBucket
from nbp_async._pacing.hints import Hints
from nbp_async._pacing.looks import Looks, Usual


def times(looks: Looks, until: float) -> list[float]:
    now, seen = 0.0, []
    while now < until:
        now += looks.wait(now)
        seen.append(now)
    return seen


def test_the_first_look_is_when_it_may_be_done_and_then_they_come_soon() -> None:
    seen = times(Looks(100.0, lambda: 0.5), 130)
    assert seen[0] == 60.0
    assert seen[1] - seen[0] == 2.5
    assert all(2 < b - a < 10.01 for a, b in pairwise(seen))


def test_what_takes_far_too_long_is_looked_at_seldom() -> None:
    seen = times(Looks(100.0, lambda: 0.5), 2000)
    assert 29 < seen[-1] - seen[-2] <= 30


def test_with_a_webhook_looks_are_only_a_net() -> None:
    seen = times(Looks(100.0, lambda: 0.5, hinted=True), 500)
    assert seen[0] == 200.0
    assert seen[1] - seen[0] == 30.0
    assert len(seen) < 10


def test_a_task_of_an_earlier_call_is_looked_at_now() -> None:
    looks = Looks(100.0, lambda: 0.5, at_once=True)
    assert looks.wait(0.0) == 0.0
    assert looks.wait(0.0) == 2.5


def test_the_service_may_say_when() -> None:
    looks = Looks(100.0, lambda: 0.5)
    looks.expect(7.0)
    assert looks.wait(0.0) == 7.0
    looks.expect(0.0)
    assert looks.wait(0.0) == 0.0


def test_how_long_they_take_is_learned_for_each_size() -> None:
    usual = Usual({"2K": 7.0})
    assert usual.of("2K") == usual.of("unknown") == 7.0
    assert usual.of("4K") > usual.of("1K")
    usual.learn("1K", 20.0)
    assert usual.of("1K") == 20.0
    for _ in range(50):
        usual.learn("1K", 40.0)
    assert 39 < usual.of("1K") <= 40


@pytest.mark.looptime
async def test_five_thousand_tasks_never_come_in_a_wave() -> None:
    """Submitted in the same moment; looked at 20 times a second at most, and evenly."""
    rng, loop = random.Random(3), asyncio.get_running_loop()
    pace, seen = TokenBucket(Rate.parse("20/s")), list[float]()

    async def task() -> None:
        looks = Looks(85.0, rng.random)
        for _ in range(2):
            await asyncio.sleep(looks.wait(loop.time()))
            await pace.acquire()
            seen.append(loop.time())

    await asyncio.gather(*(task() for _ in range(5000)))
    seconds = [0] * (int(seen[-1]) + 1)
    for moment in seen:
        seconds[int(moment)] += 1
    assert max(seconds) <= 20
    assert len(seen) == 10_000
    assert seen[-1] < 38 + 10_000 / 20 + 60, "and none of that rate is wasted"


@pytest.mark.looptime
async def test_a_hint_ends_a_wait_whichever_comes_first() -> None:
    hints, loop = Hints(), asyncio.get_running_loop()
    loop.call_later(3, hints.tell, "a")
    assert await hints.wait("a", 10)
    assert loop.time() == 3
    hints.tell("b")
    assert await hints.wait("b", 10), "it came before anybody knew the task"
    assert loop.time() == 3
    assert not await hints.wait("b", 10), "and counts once"
    assert loop.time() == 13


@pytest.mark.looptime
async def test_hints_of_strangers_do_not_fill_the_memory() -> None:
    hints = Hints()
    for number in range(25_000):
        hints.tell(str(number))
    assert not await hints.wait("1", 1)
    assert await hints.wait("24999", 1)


def test_what_is_usually_done_in_a_second_is_looked_at_more_often() -> None:
    seen = times(Looks(1.0, lambda: 0.5), 1.5)
    assert seen[0] == 0.6
    assert all(b - a < 0.13 for a, b in pairwise(seen))
