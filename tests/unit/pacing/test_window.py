"""Dollars per rolling period: whatever window the vendor looks at, it never holds too many."""

import asyncio
import random
from decimal import Decimal

import pytest

from nbp_async._base.errors import BudgetError, ConfigError
from nbp_async._models.settings import Spend
from nbp_async._pacing.spend_window import Charge, SpendWindow
from tests.unit.pacing.helpers import now

pytestmark = pytest.mark.looptime

TEN_DOLLARS = Spend(Decimal(10), 600.0)


def test_the_usual_forms_are_read() -> None:
    assert Spend.parse("$50/10min") == Spend(Decimal(50), 600.0)
    assert Spend.parse("9.60/hour") == Spend(Decimal("9.60"), 3600.0)
    assert str(Spend.parse("200/day")) == "$200/86400s"
    for wrong in ("50", "$50/10", "fifty/min", "0/min", "-1/min", "$5/0min"):
        with pytest.raises(ConfigError):
            Spend.parse(wrong)


async def test_no_window_ever_sees_more_whenever_the_vendor_counts() -> None:
    """200 images of 30-170 s; the vendor may count one at any moment in between."""
    window, rng = SpendWindow(TEN_DOLLARS), random.Random(5)
    spans: list[tuple[float, float, Decimal]] = []

    async def image() -> None:
        charge = await window.reserve(Decimal("0.25"))
        began = now()
        await asyncio.sleep(rng.uniform(30, 170))
        cost = rng.choice([Decimal(0), Decimal("0.24")])
        spans.append((began, now(), cost))
        window.settle(charge, cost)

    await asyncio.gather(*(image() for _ in range(200)))
    for moments in ("departure", "end", "any"):
        counted = sorted(
            (rng.uniform(began, end) if moments == "any" else (began, end)[moments == "end"], cost)
            for began, end, cost in spans
        )
        for start, _ in counted:
            seen = sum(cost for at, cost in counted if start <= at < start + 600)
            assert seen <= 10, moments
    assert now() < 2400, "what was not billed makes room at once"


async def test_it_is_reserved_in_turn_and_a_cancelled_one_takes_nothing() -> None:
    window = SpendWindow(Spend(Decimal(1), 60.0))
    first = await window.reserve(Decimal(1))
    order: list[int] = []

    async def take(number: int) -> Charge:
        charge = await window.reserve(Decimal("0.5"))
        order.append(number)
        return charge

    waiters = [asyncio.create_task(take(n)) for n in range(3)]
    await asyncio.sleep(1)
    assert window.reserve_nowait(Decimal("0.01")) is None
    waiters[0].cancel()
    window.settle(first, Decimal(0))
    await asyncio.gather(*waiters[1:])
    assert order == [1, 2]
    assert window.counted == 1


async def test_a_price_that_never_fits_is_refused_at_once() -> None:
    window = SpendWindow(Spend(Decimal("0.10"), 60.0))
    with pytest.raises(
        BudgetError, match=r"spend=.\$0.1/60s.: not sent, because one image may cost \$0.24"
    ):
        await window.reserve(Decimal("0.24"))


async def test_what_an_earlier_process_spent_counts_and_what_we_spent_ourselves_not_twice() -> None:
    await asyncio.sleep(100)
    window = SpendWindow(TEN_DOLLARS)
    window.remember([(700.0, Decimal(9)), (500.0, Decimal(6)), (50.0, Decimal(3))], since=100.0)
    assert window.counted == 6
    charge = await window.reserve(Decimal(4))
    began = now()
    await window.reserve(Decimal(5))
    assert now() - began == pytest.approx(100, abs=0.01)
    window.settle(charge, Decimal(4))
