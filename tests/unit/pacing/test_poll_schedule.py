"""When tasks are polled: when they may be done, and never all together."""

import asyncio
from itertools import pairwise

import pytest

from nbp_async._pacing.poll_hints import PollHints
from nbp_async._pacing.poll_schedule import PollSchedule, TypicalDurations


def times(schedule: PollSchedule, until: float) -> list[float]:
    now, seen = 0.0, []
    while now < until:
        now += schedule.wait(now)
        seen.append(now)
    return seen


def test_the_first_poll_is_when_it_may_be_done_and_then_they_come_soon() -> None:
    seen = times(PollSchedule(100.0, lambda: 0.5), 130)
    assert seen[0] == 60.0
    assert seen[1] - seen[0] == 2.5
    assert all(2 < b - a < 10.01 for a, b in pairwise(seen))


def test_what_takes_far_too_long_is_polled_seldom() -> None:
    seen = times(PollSchedule(100.0, lambda: 0.5), 2000)
    assert 29 < seen[-1] - seen[-2] <= 30


def test_with_a_webhook_polls_are_only_a_net() -> None:
    seen = times(PollSchedule(100.0, lambda: 0.5, hinted=True), 500)
    assert seen[0] == 200.0
    assert seen[1] - seen[0] == 30.0
    assert len(seen) < 10


def test_a_task_of_an_earlier_call_is_polled_now() -> None:
    schedule = PollSchedule(100.0, lambda: 0.5, at_once=True)
    assert schedule.wait(0.0) == 0.0
    assert schedule.wait(0.0) == 2.5


def test_the_service_may_say_when() -> None:
    schedule = PollSchedule(100.0, lambda: 0.5)
    schedule.expect(7.0)
    assert schedule.wait(0.0) == 7.0
    schedule.expect(0.0)
    assert schedule.wait(0.0) == 0.0


def test_how_long_they_take_is_learned_for_each_size() -> None:
    usual = TypicalDurations({"2K": 7.0})
    assert usual.estimate("2K") == usual.estimate("unknown") == 7.0
    assert usual.estimate("4K") > usual.estimate("1K")
    usual.learn("1K", 20.0)
    assert usual.estimate("1K") == 20.0
    for _ in range(50):
        usual.learn("1K", 40.0)
    assert 39 < usual.estimate("1K") <= 40


@pytest.mark.looptime
async def test_a_hint_ends_a_wait_whichever_comes_first() -> None:
    hints, loop = PollHints(), asyncio.get_running_loop()
    loop.call_later(3, hints.notify, "a")
    assert await hints.wait("a", 10)
    assert loop.time() == 3
    hints.notify("b")
    assert await hints.wait("b", 10), "it came before anybody knew the task"
    assert loop.time() == 3
    assert not await hints.wait("b", 10), "and counts once"
    assert loop.time() == 13


@pytest.mark.looptime
async def test_hints_of_strangers_do_not_fill_the_memory() -> None:
    hints = PollHints()
    for number in range(25_000):
        hints.notify(str(number))
    assert not await hints.wait("1", 1)
    assert await hints.wait("24999", 1)


def test_what_is_usually_done_in_a_second_is_polled_more_often() -> None:
    seen = times(PollSchedule(1.0, lambda: 0.5), 1.5)
    assert seen[0] == 0.6
    assert all(b - a < 0.13 for a, b in pairwise(seen))
