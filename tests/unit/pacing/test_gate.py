"""The gate is passed in turn: pause, slot, token; and nothing stays taken."""

import asyncio

import pytest

from nbp_async._models.settings import Rate
from nbp_async._pacing.gate import Gate, GatePass
from nbp_async._pacing.slots import Slots
from nbp_async._pacing.token_bucket import TokenBucket
from tests.unit.pacing.helpers import cancel, make_gate, now

pytestmark = pytest.mark.looptime


async def test_waiting_for_the_pause_holds_no_slot_for_another_model() -> None:
    slots = Slots(2)
    closed = Gate(slots, None, rng=lambda: 0.5)
    other = Gate(slots, None, rng=lambda: 0.5)
    ticket = await closed.enter()
    closed.throttled(ticket, 50.0, "429")
    closed.leave(ticket)
    waiters = [asyncio.create_task(closed.enter()) for _ in range(5)]
    await asyncio.sleep(1)
    await other.enter()
    await other.enter()
    assert now() == pytest.approx(1)
    await cancel(waiters)


async def test_a_pause_that_nobody_waits_for_ends_in_silence() -> None:
    """No timer runs on: the loop rests until somebody comes."""
    gate = make_gate()
    ticket = await gate.enter()
    gate.throttled(ticket, 1.0, "429")
    gate.leave(ticket)
    await asyncio.sleep(3600)
    ticket = await gate.enter()
    assert now() == pytest.approx(3600)
    gate.leave(ticket)


async def test_a_request_that_a_pause_sends_back_keeps_its_place() -> None:
    gate = make_gate(1)
    first = await gate.enter()
    order: list[int] = []

    async def call(number: int) -> None:
        ticket = await gate.enter()
        order.append(number)
        gate.leave(ticket)
        gate.succeeded(ticket)

    tasks = [asyncio.create_task(call(number)) for number in range(5)]
    await asyncio.sleep(1)
    gate.throttled(first, 5.0, "429")
    tasks += [asyncio.create_task(call(number)) for number in range(5, 10)]
    await asyncio.sleep(1)
    gate.leave(first)
    await asyncio.wait(tasks)
    assert order == list(range(10))


async def test_a_pause_wastes_at_most_one_token() -> None:
    """Those who queue for a token while it closes take none, and none is missing afterwards."""
    gate = Gate(Slots(50), TokenBucket(Rate.parse("60/min")), rng=lambda: 0.0)
    first = await gate.enter()
    left: list[float] = []

    async def call() -> None:
        ticket = await gate.enter()
        left.append(now())
        gate.leave(ticket)
        gate.succeeded(ticket)

    tasks = [asyncio.create_task(call()) for _ in range(30)]
    await asyncio.sleep(0.5)
    gate.throttled(first, 10.0, "429")
    gate.leave(first)
    await asyncio.wait(tasks)
    assert left[0] == pytest.approx(10.5, abs=0.01)
    assert left[-1] == pytest.approx(10.5 + 29, abs=0.01)


async def test_a_cancelled_probe_leaves_its_place_to_the_next() -> None:
    gate = make_gate()
    first = await gate.enter()
    delay = gate.throttled(first, 5.0, "429")
    gate.leave(first)
    probe, second = (asyncio.create_task(gate.enter()) for _ in range(2))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_at(delay, probe.cancel)
    await asyncio.wait([probe])
    await second
    assert now() == pytest.approx(delay)


async def test_the_statistics_say_how_it_stands() -> None:
    gate = make_gate(1)
    first = await gate.enter()
    second = asyncio.create_task(gate.enter())
    await asyncio.sleep(1)
    found = gate.statistics()
    assert (found.in_flight, found.waiting, found.paused, found.step) == (1, 1, 0.0, None)
    delay = gate.throttled(first, 5.0, "429")
    assert gate.statistics().paused == pytest.approx(delay)
    gate.leave(first)
    await second
    assert gate.statistics().step == 1


async def test_what_waited_for_a_slot_while_it_closed_goes_back_in_line() -> None:
    gate = make_gate(1)
    first = await gate.enter()
    second = asyncio.create_task(gate.enter())
    await asyncio.sleep(1)
    delay = gate.throttled(first, 20.0, "429")
    gate.leave(first)
    await second
    assert now() == pytest.approx(1 + delay)


async def test_the_attempt_s_clock_starts_with_the_slot_and_tokens_come_after_it() -> None:
    gate = Gate(Slots(1), TokenBucket(Rate.parse("1/s")), rng=lambda: 0.5)
    tickets: list[GatePass] = []

    async def call() -> None:
        ticket = await gate.enter()
        tickets.append(ticket)
        await asyncio.sleep(10)
        gate.leave(ticket)

    await asyncio.gather(*(call() for _ in range(3)))
    assert [t.at for t in tickets] == pytest.approx([0, 10, 20], abs=0.01)
