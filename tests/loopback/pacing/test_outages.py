"""Gate, decision and retry budget together, against upstreams that misbehave for minutes."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable

import pytest

from nbp_async._base.errors import NbpError, OverloadedError, RateLimitError, ServerError
from nbp_async._models.settings import Rate, Retry
from nbp_async._pacing.budgets import RetryBudget
from nbp_async._pacing.gate import Gate
from nbp_async._pacing.retry import AttemptHistory, judge
from nbp_async._pacing.slots import Slots
from nbp_async._pacing.token_bucket import TokenBucket
from nbp_async._vendors.profiles import PROFILES
from tests.unit.pacing.helpers import now

pytestmark = pytest.mark.looptime

GOOGLE = PROFILES["google"]  # says that a 500 is not billed
Upstream = Callable[[], Awaitable[NbpError | None]]


class Simulation:
    """Many prompts through one gate; counts what a client's flow would do with them."""

    def __init__(
        self, upstream: Upstream, *, limit: int, retry: Retry | None = None, rate: str | None = None
    ) -> None:
        self._upstream = upstream
        self._retry = retry or Retry()
        self._rng = random.Random(8).random
        bucket = TokenBucket(Rate.parse(rate)) if rate else None
        self._limit = limit
        self.slots = Slots(limit)
        self.gate = Gate(self.slots, bucket, rng=self._rng)
        self.budget = RetryBudget(limit)
        self.requests = self.images = self.failures = 0
        self.least_budget = self.budget.cap
        self.most_attempts = 0
        self.refused_at: list[float] = []
        self.images_at: list[float] = []

    async def run(self, prompts: int) -> None:
        left = iter(range(prompts))

        async def work() -> None:
            for _ in left:
                await self._prompt()

        await asyncio.gather(*(work() for _ in range(self._limit)))
        assert self.images + self.failures == prompts
        assert (self.slots.in_use, self.gate.statistics().waiting) == (0, 0)
        self.gate.close()

    async def _prompt(self) -> None:
        history = AttemptHistory()
        while True:
            ticket = await self.gate.enter()
            self.requests += 1
            error = await self._upstream()
            self.gate.leave(ticket)
            if error is None:
                self.gate.succeeded(ticket)
                self.budget.succeeded()
                self.images += 1
                self.images_at.append(now())
                return
            throttled = isinstance(error, RateLimitError | OverloadedError)
            history = AttemptHistory(history.reached + 1, 0, history.throttled + throttled, 0.0)
            verdict = judge(
                error, retry=self._retry, profile=GOOGLE, history=history, rng=self._rng
            )
            if isinstance(error, RateLimitError | OverloadedError):
                self.refused_at.append(now())
                self.gate.throttled(ticket, error.retry_after, "refused")
            self.most_attempts = max(self.most_attempts, history.reached - history.throttled)
            paid = not self._retry.budget or self.budget.take(verdict.tokens, now())
            self.least_budget = min(self.least_budget, self.budget.tokens)
            if verdict.action == "finish" or not paid:
                self.failures += 1
                return
            await asyncio.sleep(verdict.delay)


async def test_an_upstream_that_fails_every_second_time_is_survived_within_the_budget() -> None:
    rng = random.Random(4)

    async def flapping() -> NbpError | None:
        await asyncio.sleep(rng.uniform(30, 170))
        return ServerError("x", status=500) if rng.random() < 0.5 else None

    simulation = Simulation(flapping, limit=50)
    await simulation.run(2000)
    assert simulation.most_attempts <= 4
    assert simulation.least_budget >= 0
    retries = simulation.requests - 2000
    assert 0 < 2 * retries <= simulation.budget.cap + simulation.images / 10 + now() / 10


@pytest.mark.parametrize(("budget", "least", "most"), [(True, 1, 100), (False, 3000, 3000)])
async def test_an_outage_costs_a_tenth_more_requests_not_four_times_as_many(
    budget: bool, least: int, most: int
) -> None:
    """Every attempt fails at once, unbilled, for as long as there are prompts."""

    async def down() -> NbpError | None:
        await asyncio.sleep(1)
        return ServerError("x", status=500)

    simulation = Simulation(down, limit=50, retry=Retry(budget=budget))
    await simulation.run(1000)
    assert least <= simulation.requests - 1000 <= most


async def test_ten_minutes_of_overload_are_waited_out_with_a_few_probes() -> None:
    async def overloaded() -> NbpError | None:
        if now() < 600:
            await asyncio.sleep(0.1)
            return OverloadedError("x", status=503)
        await asyncio.sleep(100)
        return None

    simulation = Simulation(overloaded, limit=200)
    await simulation.run(5000)
    assert simulation.images == 5000
    assert simulation.requests - 5000 <= 500
    bound = 600 + 5000 / 200 * 100
    assert now() <= bound + 60 + 300  # the last pause, and the ramp: three holds


async def test_under_the_quota_s_rate_nothing_is_refused_after_the_first_minute() -> None:
    """600/min upstream, of which somebody else used up half just before; we keep to 540."""
    refused_at = await refusals_of("540/min")
    assert refused_at, "somebody else's half was to be felt"
    assert max(refused_at) <= 60


async def test_without_a_rate_the_same_quota_refuses_again_and_again() -> None:
    """The test above can fail."""
    assert max(await refusals_of(None)) > 120


async def refusals_of(rate: str | None) -> list[float]:
    """When an upstream with a sliding quota of 600 a minute refused one of 3,000 prompts."""
    rng = random.Random(6)
    accepted: deque[float] = deque(-rng.uniform(0, 20) for _ in range(300))
    accepted = deque(sorted(accepted))

    async def quota() -> NbpError | None:
        while accepted and accepted[0] <= now() - 60:
            accepted.popleft()
        if len(accepted) >= 600:
            return RateLimitError("x", status=429, retry_after=accepted[0] + 60 - now())
        accepted.append(now())
        await asyncio.sleep(rng.uniform(10, 30))
        return None

    simulation = Simulation(quota, limit=500, rate=rate)
    await simulation.run(3000)
    assert simulation.images == 3000
    assert len(accepted) <= 600
    if rate is not None:  # and the quota is made use of
        late = [at for at in simulation.images_at if 150 <= at < 330]
        assert len(late) >= 0.85 * 540 * 3
    return simulation.refused_at
