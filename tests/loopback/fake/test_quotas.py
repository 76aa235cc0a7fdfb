"""Quotas refuse in each vendor's own words, with the time to wait."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from nbp_async.fake.quotas import Quotas
from tests.loopback.fake.api_client import ApiClient, vendor

pytestmark = pytest.mark.looptime(start=0)


def detail(body: Any, name: str) -> Any:
    """The entry of Google's typed details with this name."""
    details = body["error"]["details"]
    return next(d for d in details if d["@type"].endswith(f"google.rpc.{name}"))


async def crowd(call: ApiClient, count: int) -> list[int]:
    answers = await asyncio.gather(*(call.images(f"cat {n}") for n in range(count)))
    return [reply.status for reply in answers]


async def test_the_minute_of_requests_slides() -> None:
    async with vendor(quotas=Quotas(per_minute=3)) as call:
        await call.images("a cat")
        await asyncio.sleep(20)
        assert [(await call.images("a cat")).status for _ in range(3)] == [200, 200, 429]
        refused = await call.images("a cat")
        assert refused.headers["retry-after"] == "40"
        assert 39_000 < float(refused.headers["retry-after-ms"]) <= 40_000
        assert refused.headers["x-ratelimit-limit-requests"] == "3"
        assert refused.headers["x-ratelimit-remaining-requests"] == "0"
        assert refused.headers["x-ratelimit-reset-requests"].startswith(("1m0s", "59.", "60"))
        assert refused.json["error"]["code"] == "rate_limit_exceeded"
        await asyncio.sleep(41)
        reply = await call.images("a cat")
        assert reply.status == 200
        assert reply.headers["x-ratelimit-remaining-requests"] == "0"


async def test_google_names_the_quota_and_the_wait() -> None:
    async with vendor(quotas=Quotas(per_minute=1)) as call:
        await call.gemini("a cat")
        refused = await call.gemini("a cat")
    assert refused.status == 429
    assert refused.json["error"]["status"] == "RESOURCE_EXHAUSTED"
    (violation,) = detail(refused.json, "QuotaFailure")["violations"]
    assert "PerMinute" in violation["quotaId"]
    assert violation["quotaValue"] == "1"
    assert 59 < float(detail(refused.json, "RetryInfo")["retryDelay"].removesuffix("s")) <= 60
    assert "retry-after" not in refused.headers


async def test_concurrent_requests_are_limited() -> None:
    async with vendor(latency=50, quotas=Quotas(concurrency=10)) as call:
        statuses = await crowd(call, 15)
        assert (statuses.count(200), statuses.count(429)) == (10, 5)
        assert (await call.images("a cat")).status == 200
        assert call.server.stats().peak_in_flight <= 15
        assert call.server.bank.images == 11


async def test_a_call_without_its_client_counts_until_it_is_rendered() -> None:
    async with vendor(latency=50, quotas=Quotas(concurrency=1)) as call:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await call.images("a cat")
        assert (await call.images("a dog")).status == 429
        await asyncio.sleep(45)
        assert (await call.images("a dog")).status == 200


async def test_dollars_count_for_ten_minutes_and_while_the_work_goes_on() -> None:
    limit = Decimal("0.50")
    async with vendor(latency=30, quotas=Quotas(dollars_per_ten_minutes=limit)) as call:
        statuses = await crowd(call, 5)
        assert (statuses.count(200), statuses.count(429)) == (3, 2)
        refused = await call.images("a cat")
        assert refused.headers["retry-after"] == "600"
        google = await call.gemini("a cat")
        (violation,) = detail(google.json, "QuotaFailure")["violations"]
        assert violation["quotaValue"] == "$0.50"
        await asyncio.sleep(601)
        assert (await call.images("a cat")).status == 200


async def test_speed_shortens_windows_and_waits() -> None:
    async with vendor(quotas=Quotas(per_minute=1), speed=60) as call:
        await call.images("a cat")
        refused = await call.images("a cat")
        assert refused.headers["retry-after"] == "1"
        await asyncio.sleep(1.01)
        assert (await call.images("a cat")).status == 200


async def test_each_key_has_its_own_quota() -> None:
    async with vendor(quotas=Quotas(per_minute=1), keys=["sk-one", "sk-two"]) as call:
        statuses = [
            (await call.images("a cat", key=key)).status for key in ("sk-one", "sk-two", "sk-one")
        ]
    assert statuses == [200, 200, 429]
