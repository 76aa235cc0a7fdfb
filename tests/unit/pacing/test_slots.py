"""Slots are served in order, and none is lost however waiters leave."""

import asyncio

import pytest

from nbp_async._pacing.slots import Slots

pytestmark = pytest.mark.looptime


async def test_waiters_are_served_in_the_order_in_which_they_came() -> None:
    slots = Slots(2)
    served: list[int] = []

    async def wait(number: int) -> None:
        await slots.acquire()
        served.append(number)
        await asyncio.sleep(1)
        slots.release()

    await asyncio.gather(*(wait(number) for number in range(20)))
    assert served == list(range(20))
    assert (slots.in_use, slots.waiting) == (0, 0)


async def test_nobody_slips_in_between_a_release_and_its_waiter() -> None:
    slots = Slots(1)
    assert slots.acquire_nowait()
    waiter = asyncio.create_task(slots.acquire())
    await asyncio.sleep(0)
    slots.release()
    assert not slots.acquire_nowait()
    await waiter
    assert slots.in_use == 1


async def test_a_waiter_cancelled_as_it_is_served_passes_the_slot_on() -> None:
    slots = Slots(1)
    await slots.acquire()
    first = asyncio.create_task(slots.acquire())
    second = asyncio.create_task(slots.acquire())
    await asyncio.sleep(0)
    slots.release()
    first.cancel()
    await asyncio.wait([first])
    assert first.cancelled()
    await second
    slots.release()
    assert (slots.in_use, slots.waiting) == (0, 0)


async def test_resizing_serves_waiters_at_once_and_shrinks_as_slots_come_back() -> None:
    slots = Slots(1)
    await slots.acquire()
    waiters = [asyncio.create_task(slots.acquire()) for _ in range(3)]
    await asyncio.sleep(0)
    slots.limit = 3
    await asyncio.sleep(0)
    assert [w.done() for w in waiters] == [True, True, False]
    slots.limit = 1
    slots.release()
    slots.release()
    await asyncio.sleep(0)
    assert not waiters[2].done()
    slots.release()
    await waiters[2]
    assert slots.in_use == 1
