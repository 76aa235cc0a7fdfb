"""A cap holds although answers cost more than was set aside, but for one wave that was out."""

import asyncio
import random
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbp_async._models.settings import Spend
from nbp_async._pacing.budgets import SpendCap
from nbp_async._pacing.price_margins import PriceKind, PriceMargins
from nbp_async._pacing.spend_window import SpendWindow
from tests.unit.pacing.helpers import now

PRICE = Decimal("0.15")
KIND = PriceKind("gemini-3-pro-image", "2K")
costs = st.integers(1, 60).map(lambda cents: Decimal(cents) / 100)


class Run:
    """Requests under a cap: they leave whenever it lets them, and are answered in any order."""

    def __init__(self, limit: Decimal) -> None:
        self.margins = PriceMargins()
        self.cap = SpendCap(limit, self.margins)
        self.out = 0
        self.sent = 0
        self.waves: list[int] = []  # how many were out whenever one more had left

    def send_all(self) -> None:
        while self.out < 100 and self.cap.reserve_nowait(PRICE, KIND):
            self.out += 1
            self.sent += 1
            self.waves.append(self.out)

    def answer(self, cost: Decimal) -> None:
        self.out -= 1
        self.margins.record(KIND, PRICE, cost)
        self.cap.settle(PRICE, cost, KIND)


@given(st.integers(15, 1000), st.integers(15, 45))
@settings(deadline=None)
def test_answers_that_cost_alike_never_pass_the_cap(cents: int, cost_in_cents: int) -> None:
    """Whatever that is, up to three times the price; but the first request tells what it is."""
    run, cost = Run(Decimal(cents) / 100), Decimal(cost_in_cents) / 100
    run.send_all()
    while run.out:
        run.answer(cost)
        run.send_all()
    assert run.sent >= 1
    assert run.cap.spent <= run.cap.limit or run.sent == 1
    assert run.cap.left < cost, "what is left would not pay for one more"


@given(st.integers(15, 1000), st.lists(costs, min_size=100, max_size=100), st.randoms())
@settings(deadline=None)
def test_the_cap_is_passed_by_no_more_than_one_wave_beyond_its_price(
    cents: int, each: list[Decimal], rng: random.Random
) -> None:
    run = Run(Decimal(cents) / 100)
    run.send_all()
    first_wave, last_wave, beyond = run.sent, run.sent, Decimal(0)
    answers = iter(each)
    while run.out and (cost := next(answers, None)) is not None:
        sent = run.sent
        beyond += max(Decimal(0), cost - PRICE)
        run.answer(cost)
        if rng.random() < 0.7:
            run.send_all()
        if run.sent > sent:
            last_wave, beyond = run.out, Decimal(0)
    assert first_wave == max(1, min(100, int(run.cap.limit / (3 * PRICE))))
    assert run.cap.spent <= run.cap.limit + beyond
    assert beyond <= last_wave * (Decimal("0.60") - PRICE)


def test_each_answer_that_confirms_the_price_lets_more_leave() -> None:
    run = Run(Decimal(9))  # for 60 images
    run.send_all()
    assert run.out == 20
    run.answer(PRICE)
    run.send_all()
    assert run.out == 29, "twice the price is plausible now"
    for _ in range(9):
        run.answer(PRICE)
    run.send_all()
    assert run.out == 42, "(9 - 10 * 0.15) / (0.15 * 13/11)"


def test_a_dearer_answer_raises_what_is_set_aside_for_all_that_are_out() -> None:
    run = Run(Decimal(9))
    run.send_all()
    run.answer(2 * PRICE)
    assert run.cap.price_of(PRICE, KIND) == 2 * PRICE
    assert run.cap.reserved == 19 * 2 * PRICE
    for _ in range(19):
        run.answer(PRICE)
    assert run.cap.price_of(PRICE, KIND) == 2 * PRICE
    run.margins.record(KIND, PRICE, PRICE)
    assert run.cap.price_of(PRICE, KIND) == PRICE, "twenty answers later it is forgotten"


def test_doubt_alone_refuses_nothing() -> None:
    run = Run(PRICE)
    run.send_all()
    assert run.sent == 1


def test_another_size_is_doubted_on_its_own_and_lines_of_batch_jobs_are_not() -> None:
    run = Run(Decimal("1.50"))
    for _ in range(1000):
        run.margins.record(KIND, PRICE, PRICE)
    run.send_all()
    assert run.sent == 9
    other = Run(Decimal("1.50"))
    other.margins.record(KIND._replace(size="4K"), PRICE, PRICE)
    other.send_all()
    assert other.sent == 3
    batch = KIND._replace(in_batch=True)
    assert sum(SpendCap(Decimal("1.50")).reserve_nowait(PRICE, batch) for _ in range(1)) == 1
    cap = SpendCap(Decimal("1.50"))
    assert sum(cap.reserve_nowait(PRICE, batch) for _ in range(20)) == 10


@pytest.mark.looptime
async def test_no_period_sees_more_although_every_answer_brings_three_images() -> None:
    margins = PriceMargins()
    window, rng = SpendWindow(Spend(Decimal(5), 600.0), margins), random.Random(3)
    charged: list[tuple[float, float, Decimal]] = []

    async def image() -> None:
        charge = await window.reserve(PRICE, KIND)
        began = now()
        await asyncio.sleep(rng.uniform(30, 170))
        margins.record(KIND, PRICE, 3 * PRICE)
        window.settle(charge, 3 * PRICE)
        charged.append((began, now(), 3 * PRICE))

    await asyncio.gather(*(image() for _ in range(60)))
    for moments in (0, 1):
        counted = sorted((c[moments], c[2]) for c in charged)
        for start, _ in counted:
            assert sum(cost for at, cost in counted if start <= at < start + 600) <= 5
