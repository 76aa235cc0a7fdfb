"""Turns are kept while a body keeps coming, and are nobody's when it does not."""

import asyncio
import random

import pytest

from nbp_async._pacing.decode_turns import SMALL, DecodeTurn
from nbp_async._pacing.slots import Slots

pytestmark = pytest.mark.looptime

LARGE = SMALL + 1


async def rounds(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_body_that_keeps_coming_keeps_its_turn() -> None:
    places = Slots(1)
    first, second = DecodeTurn(places), DecodeTurn(places)
    await first.begin()
    waiting = asyncio.create_task(second.begin())
    for _ in range(10):
        await rounds(2)  # the next piece is read from the socket, and its reader woken
        first.pause(LARGE)
        await rounds(2)
        assert not waiting.done()
        await first.begin()
    first.end()
    await waiting
    second.end()
    assert places.in_use == 0


@pytest.mark.parametrize("size", [1, SMALL, LARGE])
async def test_a_body_that_pauses_passes_its_turn_on_at_once(size: int) -> None:
    places = Slots(1)
    first, second = DecodeTurn(places), DecodeTurn(places)
    await first.begin()
    waiting = asyncio.create_task(second.begin())
    await rounds(1)
    first.pause(size)
    await rounds(6 if size > SMALL else 1)
    assert waiting.done()
    assert asyncio.get_running_loop().time() == 0, "no time has passed"
    again = asyncio.create_task(first.begin())
    await rounds(6)
    assert not again.done(), "it waits like everybody else"
    second.end()
    await again
    first.end()
    assert (places.in_use, places.waiting) == (0, 0)


async def test_a_turn_that_ended_stays_ended() -> None:
    places = Slots(2)
    turn, other = DecodeTurn(places), DecodeTurn(places)
    await other.begin()
    await turn.begin()
    turn.pause(LARGE)
    turn.end()
    turn.end()
    await rounds(6)
    assert places.in_use == 1, "the other's"


async def test_cancelled_while_it_waits_it_has_none() -> None:
    places = Slots(1)
    first, second = DecodeTurn(places), DecodeTurn(places)
    await first.begin()
    waiting = asyncio.create_task(second.begin())
    await rounds(1)
    waiting.cancel()
    await asyncio.wait([waiting])
    second.end()
    assert places.in_use == 1
    first.end()
    assert places.in_use == 0


async def test_a_hundred_bodies_share_eight_places_and_none_is_lost() -> None:
    rng = random.Random(7)
    places = Slots(8)
    at_work = most = ended = 0

    async def body() -> None:
        nonlocal at_work, most, ended
        turn = DecodeTurn(places)
        try:
            for _ in range(rng.randrange(1, 20)):
                await rounds(rng.randrange(8))
                await turn.begin()
                at_work += 1
                most = max(most, at_work)
                await rounds(rng.randrange(3))
                at_work -= 1
                turn.pause(rng.choice([10, LARGE]))
                if rng.random() < 0.01:
                    raise ZeroDivisionError
        finally:
            turn.end()
            ended += 1

    tasks = [asyncio.create_task(body()) for _ in range(100)]
    for task in rng.sample(tasks, 10):
        await rounds(20)
        task.cancel()
    await asyncio.wait(tasks)
    assert most == 8
    assert ended > 90, "a task that was cancelled before it began has nothing to end"
    assert (places.in_use, places.waiting) == (0, 0)
