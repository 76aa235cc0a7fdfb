"""The bank records what was rendered, whether or not the client gets it."""

import asyncio
from decimal import Decimal

import pytest

from nbp_async.fake import faults as f
from tests.loopback.fake.api_client import vendor


async def test_prices_follow_the_size() -> None:
    async with vendor() as call:
        for size in ("1K", "2K", "4K"):
            await call.images("a cat", size=size)
        assert [entry.price for entry in call.server.bank.ledger] == [
            Decimal("0.134"),
            Decimal("0.134"),
            Decimal("0.24"),
        ]
        assert call.server.bank.billed == call.server.stats().dollars == Decimal("0.508")


async def test_gemini_is_billed_by_the_tokens_that_the_answer_names() -> None:
    async with vendor() as call:
        usage = (await call.gemini("a cat")).json["usageMetadata"]
        text = usage["thoughtsTokenCount"] + usage["candidatesTokenCount"] - 1120
        tokens = 1120 * 120 + text * 12 + usage["promptTokenCount"] * 2
        assert call.server.bank.billed == Decimal(tokens) / 1_000_000


async def test_urgency_changes_the_price_and_the_head_says_which_was_given() -> None:
    async with vendor() as call:
        plain, flex, priority = [
            await call.gemini("a cat", serviceTier=tier) for tier in (None, "flex", "PRIORITY")
        ]
        call.server.script(f.downgraded())
        down = await call.gemini("a cat", service_tier="priority")
        wrong = await call.gemini("a cat", serviceTier="urgent")
        prices = [entry.price for entry in call.server.bank.ledger]
    assert [reply.headers["x-gemini-service-tier"] for reply in (plain, flex, priority, down)] == [
        "standard",
        "flex",
        "priority",
        "standard",
    ]
    assert [price / prices[0] for price in prices] == [1, Decimal("0.5"), Decimal("1.8"), 1]
    assert wrong.status == 400


async def test_a_flat_price_is_flat() -> None:
    async with vendor(prices={"*": "0.09"}) as call:
        await call.images("a cat", size="4K")
        await call.gemini("a cat")
        assert call.server.bank.billed == Decimal("0.18")


async def test_a_ledger_entry_has_key_prompt_price_and_time() -> None:
    async with vendor(keys=["sk-one", "sk-two"]) as call:
        reply = await call.images("a cat", key="sk-two", size="2K")
        (entry,) = call.server.bank.ledger
        assert (entry.id, entry.key, entry.prompt, entry.size, entry.images, entry.delivered) == (
            reply.headers["x-request-id"],
            "sk-two",
            "a cat",
            "2K",
            1,
            True,
        )
        assert entry.at <= asyncio.get_running_loop().time()


async def test_errors_cost_nothing() -> None:
    async with vendor() as call:
        call.server.script(f.rate_limited(), f.overloaded(), f.status(500), f.blocked())
        statuses = [(await call.images("a cat")).status for _ in range(4)]
        assert statuses == [429, 503, 500, 400]
        assert call.server.bank.ledger == []
        assert call.server.stats().by_status == {429: 1, 503: 1, 500: 1, 400: 1}


@pytest.mark.looptime(start=0)
async def test_a_client_that_leaves_is_still_billed() -> None:
    async with vendor(latency=120) as call:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await call.images("a cat")
        assert call.server.bank.billed_for("a cat") == 0
        await call.server.drain()
        assert asyncio.get_running_loop().time() == pytest.approx(120, abs=0.5)
        assert call.server.bank.billed_for("a cat") == 1
        assert [entry.delivered for entry in call.server.bank.ledger] == [False]
        assert call.server.stats().lost == 1


async def test_drain_waits_for_a_request_on_its_way() -> None:
    async with vendor() as call:
        task = asyncio.create_task(call.images("a cat"))
        while call.server.stats().connections == 0:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await call.server.drain()
        assert call.server.stats().in_flight == 0
        assert len(call.server.bank.ledger) == call.server.stats().requests


@pytest.mark.looptime(start=0)
async def test_a_closed_server_renders_nothing_more() -> None:
    async with vendor(latency=120) as call:
        calls = [asyncio.create_task(call.images(f"cat {n}")) for n in range(20)]
        await asyncio.sleep(60)
        assert call.server.stats().in_flight == 20
        await call.server.aclose()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(outcome, OSError | Exception) for outcome in outcomes)
        assert call.server.bank.ledger == []
        assert call.server.stats().open_connections == 0


@pytest.mark.parametrize("api", ["openai", "gemini"])
async def test_an_answer_without_an_image_costs_its_text(api: str) -> None:
    async with vendor() as call:
        call.server.script(f.no_image("IMAGE_OTHER"))
        ask = call.images if api == "openai" else call.gemini
        reply = await ask("a cat")
        assert reply.status == 200
        (entry,) = call.server.bank.ledger
        assert entry.images == 0
        assert entry.price == (0 if api == "openai" else Decimal("0.002548"))
        assert call.server.bank.billed_for("a cat") == 0


async def test_a_key_can_spend_its_balance_and_no_more() -> None:
    async with vendor(keys={"sk-poor": "0.30", "sk-rich": None}) as call:
        statuses = [(await call.images("a cat", key="sk-poor")).status for _ in range(3)]
        assert statuses == [200, 200, 429]
        refused = await call.images("a cat", key="sk-poor")
        assert refused.json["error"]["code"] == "insufficient_quota"
        assert "retry-after" not in refused.headers
        google = await call.gemini("a cat", key="sk-poor")
        assert google.json["error"]["status"] == "RESOURCE_EXHAUSTED"
        assert (await call.images("a cat", key="sk-rich")).status == 200


async def test_the_stats_can_be_read_over_http_without_prompts() -> None:
    async with vendor() as call:
        await call.images("a secret cat")
        plain = await call.get(f"{call.server.base_url}/stats")
        full = await call.get(f"{call.server.base_url}/stats?prompts=1")
        assert plain.json["stats"]["dollars"] == "0.134"
        assert plain.json["rows"] == 1
        assert "images_by_prompt" not in plain.json
        assert list(full.json["images_by_prompt"].values()) == [1]
        assert b"secret" not in full.body
        assert call.server.key.encode() not in full.body
