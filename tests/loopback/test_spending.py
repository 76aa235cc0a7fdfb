"""Dollars under everything at once: our account, the bank's, and the caps, with images unasked."""

import asyncio
import random
from decimal import Decimal
from pathlib import Path

import pytest

from nbp_async._client.client import Client
from nbp_async._models.events import AttemptEnded, Listener
from nbp_async._models.settings import Limits, Retry
from nbp_async._vendors.profiles import DialectName
from nbp_async.fake import FakeServer, faults
from nbp_async.fake.fault_injection import FaultRates
from nbp_async.fake.faults import Fault
from tests.loopback.oracle import assert_settled
from tests.loopback.play import now, profile

pytestmark = pytest.mark.looptime

PRICE = Decimal("0.134")
CENT = Decimal("0.01")
_PROMPTS = 40
_FAULTS: list[Fault] = [
    faults.rate_limited(5),
    faults.overloaded(),
    faults.status(500),
    faults.status(500, billed=True),
    faults.status(502),
    faults.status(504),
    faults.status(408),
    faults.status(425),
    faults.disconnect(),
    faults.disconnect(before=True),
    faults.reset(),
    faults.cut_body(0.6),
    faults.cut_body(0.6, "chunked"),
    faults.no_terminator(),
    faults.gzipped(),
    faults.gzipped(0.5),
    faults.bad_base64("junk"),
    faults.bad_image("text"),
    faults.bad_image("truncated"),
    faults.html_page(),
    faults.no_image(),
    faults.blocked(),
    faults.slow_body(40_000),
    faults.wrong_size(),
]


def mix(seed: int) -> FaultRates:
    """Six faults that are rare, and unasked images that are not."""
    rng = random.Random(seed)
    rates = {fault: rng.uniform(0.01, 0.06) for fault in rng.sample(_FAULTS, 6)}
    return FaultRates({**rates, faults.extra_images(1): 0.2, faults.extra_images(2): 0.1})


class Waves(Listener):
    """When each attempt was let through, when it was settled, and what it cost."""

    def __init__(self) -> None:
        self.attempts: list[tuple[float, float, Decimal]] = []

    def on_attempt(self, event: AttemptEnded) -> None:
        attempt = event.attempt
        cost = Decimal(0) if attempt.billing == "no" else attempt.cost
        self.attempts.append((attempt.timings.queued, now(), cost))

    @property
    def beyond_price(self) -> Decimal:
        """What those that were out when the last one was let through cost beyond their price."""
        last = max((began for began, _, _ in self.attempts), default=0.0)
        out = (cost for _, ended, cost in self.attempts if ended >= last)
        return sum((max(Decimal(0), cost - PRICE) for cost in out), Decimal(0))


@pytest.mark.parametrize("dialect", ["gemini", "openai_images"])
@pytest.mark.parametrize("seed", range(20))
async def test_every_mix_of_faults_is_booked_to_the_cent_and_keeps_its_cap(
    seed: int, dialect: DialectName, tmp_path: Path
) -> None:
    async with FakeServer(latency="30-170", seed=seed, faults=mix(seed)) as vendor:
        limits, rng = Limits(max_in_flight=20), random.Random(seed).random
        retry = Retry(ambiguous="resend", ambiguous_budget_usd="1") if seed % 2 else Retry()
        waves, address = Waves(), profile(vendor, dialect)
        async with Client(
            address, vendor.key, retry=retry, limits=limits, rng=rng, listeners=[waves]
        ) as gen:
            cap = None if seed % 4 == 0 else 15 * PRICE
            prompts = [f"prompt {n}" for n in range(_PROMPTS)]
            batch = await gen.many(prompts, size="1K", out=tmp_path, max_cost=cap)
            await assert_settled(gen, vendor, batch, out=tmp_path)
        bill, bank = batch.billing, vendor.bank.billed
        assert bill.spent <= bank + CENT / 2
        assert bank <= bill.spent + bill.maybe + CENT / 2
        if cap is not None:
            assert bill.spent + bill.maybe <= cap + waves.beyond_price
            assert bank <= cap + waves.beyond_price


async def test_a_cap_holds_although_every_answer_brings_three_images(tmp_path: Path) -> None:
    three = FaultRates({faults.extra_images(2): 1.0})
    async with FakeServer(latency=60.0, faults=three) as vendor:
        limits = Limits(max_in_flight=50)
        async with Client(profile(vendor, "gemini"), vendor.key, limits=limits) as gen:
            prompts = [f"prompt {n}" for n in range(50)]
            batch = await gen.many(prompts, size="1K", out=tmp_path, max_cost="6")
            await assert_settled(gen, vendor, batch, out=tmp_path)
            assert Decimal(5) < vendor.bank.billed <= 6
            again = await gen.many(["one more", "and one"], size="1K", max_cost="0.30")
            assert "may cost $0.4" in str(again.failures[0].error)


@pytest.mark.parametrize(("cap", "wave"), [(None, 50), ("6", 14)])
async def test_nobody_buys_more_than_a_wave_of_what_he_cannot_read(
    cap: str | None, wave: int, tmp_path: Path
) -> None:
    """200 prompts at an address that answers with a web page: three alike end it. What is out by
    then is one wave, which a cap makes narrower, and two that took the places of the first ones.
    """
    async with FakeServer(latency="30-170", faults=FaultRates({faults.html_page(): 1.0})) as vendor:
        limits = Limits(max_in_flight=50)
        async with Client(profile(vendor, "gemini"), vendor.key, limits=limits) as gen:
            prompts = [f"prompt {n}" for n in range(200)]
            batch = await gen.many(prompts, size="1K", out=tmp_path, max_cost=cap)
            await assert_settled(gen, vendor, batch, out=tmp_path)
        assert 3 <= vendor.stats().requests <= wave + 2
        bought = [f for f in batch.failures if f.billing == "maybe"]
        assert len(bought) == vendor.stats().requests
        assert all(Path(failure.unread).is_file() for failure in bought)
        assert "3 attempts in a row ended alike" in str(batch.failures[-1].error)
        assert vendor.bank.billed <= batch.billing.maybe


async def test_a_cap_that_is_wide_enough_delays_nothing(tmp_path: Path) -> None:
    took: list[float] = []
    for cap in (None, 66 * PRICE):
        async with FakeServer(latency=60.0) as vendor:
            limits = Limits(max_in_flight=20)
            async with Client(profile(vendor, "gemini"), vendor.key, limits=limits) as gen:
                began = now()
                await gen.many([f"{n}" for n in range(20)], size="1K", max_cost=cap)
                took.append(now() - began)
    assert took[1] == pytest.approx(took[0], abs=0.1)


async def test_dollars_in_a_period_hold_although_answers_bring_two_images() -> None:
    two = FaultRates({faults.extra_images(1): 1.0})
    async with FakeServer(latency=20.0, faults=two) as vendor:
        limits = Limits(max_in_flight=50, spend="$3/10min")
        async with Client(profile(vendor, "gemini"), vendor.key, limits=limits) as gen:
            task = asyncio.ensure_future(gen.many([f"prompt {n}" for n in range(20)], size="1K"))
            await asyncio.sleep(500)
            assert Decimal(2) < vendor.bank.billed <= 3
            batch = await task
            await assert_settled(gen, vendor, batch)
        entries = [(entry.at, entry.price) for entry in vendor.bank.ledger]
        for start, _ in entries:
            assert sum(price for at, price in entries if start <= at < start + 600) <= 3
