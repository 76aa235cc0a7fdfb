"""Latency is drawn from the job, and waiting happens on the loop's clock."""

import asyncio

import pytest

from nbp_async.fake.faults import rate_limited
from tests.loopback.fake.api_client import ApiClient, vendor

pytestmark = pytest.mark.looptime(start=0)


async def held(call: ApiClient, prompt: str, size: str = "1K") -> float:
    """Seconds that a call takes."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    assert (await call.images(prompt, size=size)).status == 200
    return loop.time() - start


async def test_two_minutes_are_held_exactly() -> None:
    async with vendor(latency=120) as call:
        assert await held(call, "a cat") == pytest.approx(120, abs=0.01)


async def test_speed_divides_the_hold() -> None:
    async with vendor(latency=120, speed=30) as call:
        assert await held(call, "a cat") == pytest.approx(4, abs=0.01)


async def test_the_hold_depends_on_job_and_seed_and_never_on_the_order() -> None:
    prompts = [f"prompt {n}" for n in range(12)]

    async def holds(order: list[str], seed: int) -> dict[str, float]:
        async with vendor(latency=(30, 170), seed=seed) as call:
            times = await asyncio.gather(*(held(call, prompt) for prompt in order))
        return {prompt: round(seconds, 1) for prompt, seconds in zip(order, times, strict=True)}

    first = await holds(prompts, 1)
    assert await holds(prompts[::-1], 1) == first
    assert await holds(prompts, 2) != first
    assert all(30 <= seconds <= 170.1 for seconds in first.values())
    assert max(first.values()) - min(first.values()) > 40


async def test_the_same_prompt_again_takes_another_time_and_a_429_before_it_changes_nothing() -> (
    None
):
    async with vendor(seed=1) as call:
        first, second = await held(call, "a cat"), await held(call, "a cat")
    async with vendor(seed=1, latency=(0, 100)) as call:
        plain = [await held(call, "a cat"), await held(call, "a cat")]
    async with vendor(seed=1, latency=(0, 100)) as call:
        call.server.script(rate_limited())
        assert (await call.images("a cat")).status == 429
        again = [await held(call, "a cat"), await held(call, "a cat")]
    assert first == pytest.approx(0, abs=0.1)
    assert second == pytest.approx(0, abs=0.1)
    assert plain[0] != pytest.approx(plain[1], abs=0.1)
    assert again == pytest.approx(plain, abs=0.1)


async def test_latency_can_follow_the_size() -> None:
    async with vendor(latency="by-size") as call:
        for size, low, high in [("1K", 30, 90), ("2K", 50, 120), ("4K", 100, 170)]:
            assert low <= await held(call, "a cat", size) <= high + 0.1


@pytest.mark.slow
async def test_two_thousand_calls_are_held_at_once() -> None:
    async with vendor(latency=120) as call:
        statuses = await asyncio.gather(*(call.images(f"cat {n}") for n in range(2000)))
        stats = call.server.stats()
    assert {reply.status for reply in statuses} == {200}
    assert (stats.requests, stats.peak_in_flight, stats.connections) == (2000, 2000, 2000)
    assert asyncio.get_running_loop().time() == pytest.approx(120, abs=1)
    assert stats.in_flight == 0
    assert stats.by_status == {200: 2000}
