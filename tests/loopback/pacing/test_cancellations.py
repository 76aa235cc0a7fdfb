"""Thousands of waiters that are cancelled at any moment leave nothing taken."""

import asyncio
import random

import anyio
import pytest

from nbp_async._models.settings import Rate
from nbp_async._pacing.gate import Gate
from nbp_async._pacing.slots import Slots
from nbp_async._pacing.token_bucket import TokenBucket

pytestmark = pytest.mark.looptime


@pytest.mark.parametrize("scope", ["task", "anyio"])
async def test_four_thousand_random_cancellations_lose_no_slot(scope: str) -> None:
    rng = random.Random(7)
    slots = Slots(10)

    async def hold() -> None:
        await slots.acquire()
        try:
            await asyncio.sleep(rng.random())
        finally:
            slots.release()

    async def hold_for(seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await hold()

    if scope == "anyio":
        await asyncio.gather(*(hold_for(rng.random() * 100) for _ in range(4000)))
    else:
        tasks = [asyncio.create_task(hold()) for _ in range(4000)]
        for task in rng.sample(tasks, len(tasks)):
            await asyncio.sleep(rng.random() / 40)
            task.cancel()
        await asyncio.wait(tasks)
    assert (slots.in_use, slots.waiting) == (0, 0)
    assert slots.acquire_nowait()


@pytest.mark.parametrize("scope", ["task", "anyio"])
async def test_cancelling_anywhere_in_the_gate_leaves_nothing_taken(scope: str) -> None:
    rng = random.Random(11)
    slots = Slots(10)
    gate = Gate(slots, TokenBucket(Rate.parse("100/s")), rng=rng.random)

    async def call() -> None:
        ticket = await gate.enter()
        try:
            await asyncio.sleep(rng.random() * 2)
            if rng.random() < 0.1:
                gate.throttled(ticket, rng.choice([None, 0.5]), "429")
        finally:
            gate.leave(ticket)

    async def call_for(seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await call()

    if scope == "anyio":
        await asyncio.gather(*(call_for(rng.random() * 100) for _ in range(4000)))
    else:
        tasks = [asyncio.create_task(call()) for _ in range(4000)]
        for task in rng.sample(tasks, len(tasks)):
            await asyncio.sleep(rng.random() / 40)
            task.cancel()
        await asyncio.wait(tasks)
    assert slots.in_use == 0
    assert gate.statistics().waiting == 0
    ticket = await asyncio.wait_for(gate.enter(), 120)
    gate.leave(ticket)
    gate.close()
