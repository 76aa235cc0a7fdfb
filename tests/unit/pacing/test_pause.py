"""A 429 closes the gate for all; it reopens with one probe, and nobody stampedes."""

import asyncio
import random

import pytest

from nbp_async._models.events import GateClosed, GateOpened
from nbp_async._pacing.gate import Gate, GateEvent
from nbp_async._pacing.slots import Slots
from tests.unit.pacing.helpers import cancel, make_gate, now

pytestmark = pytest.mark.looptime


async def test_nobody_leaves_before_the_time_that_was_asked_for() -> None:
    gate = make_gate()
    ticket = await gate.enter()
    delay = gate.throttled(ticket, 7.0, "429")
    gate.leave(ticket)
    assert 7.0 <= delay <= 7.0 + 2.4
    await gate.enter()
    assert now() == pytest.approx(delay)


async def test_it_reopens_with_a_probe_and_then_doubles() -> None:
    changes: list[GateEvent] = []
    gate = make_gate(16, on_change=changes.append)
    first = await gate.enter()
    delay = gate.throttled(first, 10.0, "429")
    gate.leave(first)
    left: list[float] = []

    async def call() -> None:
        ticket = await gate.enter()
        left.append(now() - delay)
        await asyncio.sleep(100)
        gate.leave(ticket)

    await asyncio.gather(*(call() for _ in range(40)))
    waves = [sum(start <= t < start + 1 for t in left) for start in (0, 5, 10, 15, 20)]
    assert waves == [1, 2, 4, 8, 1]  # the last step is open, but sixteen slots are all there are
    assert [c.admitted for c in changes if isinstance(c, GateOpened)] == [2, 4, 8, None]
    assert isinstance(changes[0], GateClosed)


async def test_a_success_proves_a_step_before_its_time() -> None:
    gate = make_gate(4)
    first = await gate.enter()
    delay = gate.throttled(first, 1.0, "503")
    gate.leave(first)
    probe = await gate.enter()
    assert now() == pytest.approx(delay)
    gate.succeeded(probe)
    gate.leave(probe)
    await asyncio.gather(gate.enter(), gate.enter())
    assert now() == pytest.approx(delay)


async def test_a_probe_that_is_refused_closes_it_again_for_longer() -> None:
    gate = make_gate()
    delays = []
    for _ in range(5):
        ticket = await gate.enter()
        delays.append(gate.throttled(ticket, None, "503"))
        gate.leave(ticket)
    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0]


async def test_a_thousand_refusals_at_once_are_one_signal() -> None:
    """1,000 held calls are answered 429 together: one pause, one probe, few calls wasted."""
    limit, closings = 1000, 0
    waves: dict[int, int] = {}
    requests = 0

    def changed(event: GateEvent) -> None:
        nonlocal closings
        closings += isinstance(event, GateClosed)

    gate = Gate(Slots(limit), None, rng=lambda: 0.5, on_change=changed)
    outage_ends = 30.0

    async def item() -> None:
        nonlocal requests
        while True:
            ticket = await gate.enter()
            requests += 1
            waves[int(now())] = waves.get(int(now()), 0) + 1
            refused = ticket.at < outage_ends
            await asyncio.sleep(20.0 - now() if ticket.at == 0 else 0.05 if refused else 100.0)
            if refused:
                gate.throttled(ticket, None, "429")
            gate.leave(ticket)
            if not refused:
                gate.succeeded(ticket)
                return

    await asyncio.gather(*(item() for _ in range(1000)))
    later = sorted((second, count) for second, count in waves.items() if second >= 20)
    assert later[0][1] == 1  # the first wave afterwards is the probe
    probes = closings - 1
    assert requests <= 2000 + probes
    assert probes < 10


async def test_a_thousand_refusals_that_name_a_time_are_one_closing() -> None:
    """Each would draw its own spread; only a later time makes the pause longer."""
    rng = random.Random(2)
    changes: list[GateEvent] = []
    gate = Gate(Slots(1000), None, rng=rng.random, on_change=changes.append)
    tickets = [await gate.enter() for _ in range(1000)]
    await asyncio.sleep(20)
    for ticket in tickets:
        gate.throttled(ticket, 7.0, "429")
        gate.leave(ticket)
    assert len(changes) == 1
    assert 7.0 <= gate.paused_for() <= 9.4


async def test_refusals_that_name_no_time_to_speak_of_make_it_wait_longer_each_time() -> None:
    gate = make_gate()
    delays = []
    for _ in range(5):
        ticket = await gate.enter()
        delays.append(gate.throttled(ticket, 0.0, "429"))
        gate.leave(ticket)
    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0]


async def test_an_outage_of_many_hours_is_waited_out() -> None:
    gate = make_gate()
    for _ in range(1500):
        ticket = await gate.enter()
        assert gate.throttled(ticket, None, "503") <= 60.0
        gate.leave(ticket)
    assert now() > 10 * 3600


async def test_an_old_cohort_can_only_prolong_the_pause() -> None:
    gate = make_gate(3)
    tickets = [await gate.enter() for _ in range(3)]
    gate.throttled(tickets[0], 5.0, "429")
    before = gate.paused_for()
    assert gate.throttled(tickets[1], None, "429") == before
    gate.throttled(tickets[2], 60.0, "429")
    assert gate.paused_for() >= 60.0


async def test_a_step_is_not_proved_by_the_success_of_an_earlier_one() -> None:
    gate = make_gate(64)
    first = await gate.enter()
    delay = gate.throttled(first, 1.0, "429")
    gate.leave(first)
    probe = await gate.enter()
    others = [asyncio.create_task(gate.enter()) for _ in range(20)]
    await asyncio.sleep(6)
    assert sum(other.done() for other in others) == 2
    gate.succeeded(probe)
    await asyncio.sleep(1)
    assert now() < delay + 10
    assert sum(other.done() for other in others) == 2
    gate.succeeded(next(other for other in others if other.done()).result())
    await asyncio.sleep(1)
    assert sum(other.done() for other in others) == 6
    await cancel(others)


async def test_what_has_not_left_proves_nothing() -> None:
    """The probe waits for a slot that another model holds: the ramp waits with it."""
    slots = Slots(2)
    gate = Gate(slots, None, rng=lambda: 0.5)
    other = Gate(slots, None, rng=lambda: 0.5)
    first = await gate.enter()
    gate.throttled(first, 1.0, "429")
    gate.leave(first)
    held = [await other.enter() for _ in range(2)]
    waiters = [asyncio.create_task(gate.enter()) for _ in range(5)]
    await asyncio.sleep(60)
    assert gate.statistics().step == 1
    other.leave(held[0])
    await asyncio.sleep(4)
    assert gate.statistics().step == 1
    await asyncio.sleep(2)
    assert gate.statistics().step is None  # two slots are all there are
    await cancel(waiters)
