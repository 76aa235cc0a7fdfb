"""A 429 closes the gate for all; it reopens with one probe, and nobody stampedes."""

import asyncio
import random

import anyio
import pytest

from nbp_async._config import Rate
from nbp_async._events import GateClosed, GateOpened
from nbp_async._pacing.bucket import TokenBucket
from nbp_async._pacing.gate import Gate, Ticket
from nbp_async._pacing.slots import Slots

pytestmark = pytest.mark.looptime


def now() -> float:
    return asyncio.get_running_loop().time()


def make_gate(limit: int = 10, **more: object) -> Gate:
    return Gate(Slots(limit), None, rng=lambda: 0.5, **more)  # type: ignore[arg-type]


async def test_nobody_leaves_before_the_time_that_was_asked_for() -> None:
    gate = make_gate()
    ticket = await gate.enter()
    delay = gate.throttled(ticket, 7.0, "429")
    gate.leave(ticket)
    assert 7.0 <= delay <= 7.0 + 2.4
    await gate.enter()
    assert now() == pytest.approx(delay)


async def test_it_reopens_with_a_probe_and_then_doubles() -> None:
    changes: list[GateClosed | GateOpened] = []
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

    def changed(event: GateClosed | GateOpened) -> None:
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


async def test_an_old_cohort_can_only_prolong_the_pause() -> None:
    gate = make_gate(3)
    tickets = [await gate.enter() for _ in range(3)]
    gate.throttled(tickets[0], 5.0, "429")
    before = gate.paused_for()
    assert gate.throttled(tickets[1], None, "429") == before
    gate.throttled(tickets[2], 60.0, "429")
    assert gate.paused_for() >= 60.0


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
    for waiter in waiters:
        waiter.cancel()
    await asyncio.wait(waiters)


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
    tickets: list[Ticket] = []

    async def call() -> None:
        ticket = await gate.enter()
        tickets.append(ticket)
        await asyncio.sleep(10)
        gate.leave(ticket)

    await asyncio.gather(*(call() for _ in range(3)))
    assert [t.at for t in tickets] == pytest.approx([0, 10, 20], abs=0.01)


@pytest.mark.parametrize("scope", ["task", "anyio"])
async def test_cancelling_anywhere_leaves_nothing_taken(scope: str) -> None:
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
        await asyncio.gather(*(call_for(rng.random() * 60) for _ in range(2000)))
    else:
        tasks = [asyncio.create_task(call()) for _ in range(2000)]
        for task in rng.sample(tasks, len(tasks)):
            await asyncio.sleep(rng.random() / 20)
            task.cancel()
        await asyncio.wait(tasks)
    assert slots.in_use == 0
    assert gate.statistics().waiting == 0
    ticket = await asyncio.wait_for(gate.enter(), 120)
    gate.leave(ticket)
    gate.close()
