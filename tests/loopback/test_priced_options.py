"""Service tier, quality and thinking: sent as the vendor spells them, and booked as given."""

import base64
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nbp_async import Client, ConfigError, Image, Limits, Prompt
from nbp_async._vendors.profiles import fake_profile, find_profile
from nbp_async.fake import FakeServer, faults
from tests.pictures import png

PICTURE = png(1024, 1024)
PRO, NEW = "gemini-3-pro-image", "gemini-nano-banana-2.1"


@asynccontextmanager
async def asking(model: str, **options: Any) -> AsyncIterator[tuple[Client, FakeServer]]:
    """A client that asks a fake of the model's maker."""
    async with FakeServer(latency=0.01) as server:
        profile = fake_profile(server.gemini_url, "gemini")
        if model.startswith("gpt"):
            profile = fake_profile(server.openai_url, "openai_images")
            profile = replace(profile, response_format=None)
        async with Client(profile, server.key, model=model, **options) as gen:
            yield gen, server


def sent(server: FakeServer) -> dict[str, Any]:
    """The body of the latest paid request."""
    body = server.received[-1].body
    assert isinstance(body, dict)
    return body


def encode(data: bytes) -> str:
    """Base64, as answers have it."""
    return base64.b64encode(data).decode()


def reply(answer: dict[str, Any]) -> bytes:
    """The bytes of a success that says this and nothing else."""
    body = json.dumps(answer).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body


async def test_flex_costs_half_on_the_same_held_call() -> None:
    async with asking(PRO) as (gen, server):
        full = await gen.one("a red bicycle")
        half = await gen.one("a red bicycle", tier="flex")
        assert sent(server)["serviceTier"] == "flex"
    assert half.cost == full.cost / 2
    assert half.cost + full.cost == server.bank.billed
    assert half.notes == ()


async def test_priority_costs_more_and_its_whole_price_is_reserved() -> None:
    async with asking(PRO, limits=Limits(max_in_flight=1)) as (gen, server):
        batch = await gen.many(["a", "b"], tier="priority", max_cost="0.40")
    assert [outcome.ok for outcome in batch] == [True, False]
    assert batch.billing.spent == server.bank.billed > Decimal("0.24")


async def test_a_downgrade_is_booked_and_told() -> None:
    async with asking(PRO) as (gen, server):
        server.script(faults.downgraded())
        image = await gen.one("a red bicycle", tier="priority")
    assert image.cost == server.bank.billed < Decimal("0.15")
    assert image.notes == ("asked for tier priority, got standard",)


@pytest.mark.parametrize(
    ("tier", "cost"), [("flex", Decimal("0.134")), ("priority", Decimal("0.2412"))]
)
async def test_an_answer_that_names_no_tier_counts_as_the_dearer_one(
    tier: Any, cost: Decimal
) -> None:
    part = {"inlineData": {"mimeType": "image/png", "data": encode(PICTURE)}}
    answer = {"candidates": [{"content": {"parts": [part]}, "finishReason": "STOP"}]}
    async with asking(PRO) as (gen, server):
        server.script(faults.raw(reply(answer)))
        image = await gen.one("a red bicycle", tier=tier)
    assert image.cost == cost >= server.bank.billed - Decimal("0.01")
    assert "does not say which it got" in image.notes[0]


async def test_a_paid_answer_without_an_image_is_booked_at_its_tier() -> None:
    async with asking(PRO) as (gen, server):
        server.script(faults.no_image())
        (failure,) = await gen.many(["a red bicycle"], tier="flex")
    assert failure.billing == "yes"
    assert failure.cost == server.bank.billed > 0


async def test_the_tier_of_a_client_holds_for_its_calls_unless_they_name_one() -> None:
    async with asking(PRO, tier="flex") as (gen, server):
        half = await gen.one("a")
        full = await gen.one("a", tier="standard")
        assert "serviceTier" not in sent(server)
    assert full.cost == 2 * half.cost


async def test_a_tier_does_not_make_another_image_so_a_run_goes_on_with_any(
    tmp_path: Path,
) -> None:
    async with asking(PRO) as (gen, server):
        await gen.many(["a", "b"], out=tmp_path, tier="flex")
        again = await gen.many(["a", "b"], out=tmp_path)
    assert all(isinstance(image, Image) and image.resumed for image in again)
    assert server.bank.images == 2


@pytest.mark.parametrize(
    ("model", "asked"),
    [("gpt-image-2", {"quality": "low"}), (NEW, {"thinking": "high"})],
)
async def test_quality_and_thinking_make_another_image(
    model: str, asked: dict[str, Any], tmp_path: Path
) -> None:
    async with asking(model) as (gen, server):
        await gen.many(["a"], out=tmp_path)
        other = await gen.many(["a"], out=tmp_path, **asked)
        same = await gen.many(["a"], out=tmp_path, **asked)
    assert server.bank.images == 2
    assert other.billing.spent + other.billing.saved > 0
    assert same.billing.spent == 0


@pytest.mark.parametrize("quality", ["low", "medium", "high", "max"])
async def test_a_quality_has_its_own_price(quality: str) -> None:
    async with asking("gpt-image-2") as (gen, server):
        image = await gen.one("a red bicycle", quality=quality, size="1K")
        assert sent(server)["quality"] == quality
    assert image.cost == server.bank.billed
    assert image.notes == ()


async def test_the_quality_of_a_prompt_goes_before_that_of_call_and_client() -> None:
    async with asking("gpt-image-2", quality="low") as (gen, server):
        await gen.one("a")
        assert sent(server)["quality"] == "low"
        await gen.one("a", quality="medium")
        assert sent(server)["quality"] == "medium"
        await gen.one(Prompt("a", quality="high"), quality="medium")
        assert sent(server)["quality"] == "high"


async def test_a_cap_reserves_the_price_of_the_quality() -> None:
    async with asking("gpt-image-2", limits=Limits(max_in_flight=1)) as (gen, server):
        batch = await gen.many(["a"] * 3, quality="low", size="1K", max_cost="0.0135")
        with pytest.raises(ConfigError, match="no known price"):
            await gen.many(["a"], quality="max", size="1K", max_cost="1")
    assert [outcome.ok for outcome in batch] == [True, True, False]
    assert server.bank.billed == batch.billing.spent


async def test_a_lower_quality_that_was_given_is_booked_and_told() -> None:
    answer = {"data": [{"b64_json": encode(PICTURE)}], "quality": "low"}
    async with asking("gpt-image-2") as (gen, server):
        server.script(faults.raw(reply(answer)))
        image = await gen.one("a red bicycle", quality="high", size="1K")
    assert image.cost == Decimal("0.006")
    assert "asked for quality high, got low" in image.notes


async def test_thinking_is_asked_for_and_billed_as_text() -> None:
    async with asking(NEW) as (gen, server):
        little = await gen.one("a", thinking="minimal")
        much = await gen.one("a", thinking="high")
        config = sent(server)["generationConfig"]
        assert config["thinkingConfig"] == {"thinkingLevel": "high"}
    assert much.cost > little.cost
    assert much.cost + little.cost == server.bank.billed


@pytest.mark.parametrize(
    ("model", "asked", "says"),
    [
        (PRO, {"tier": "batch"}, "\"flex\".*way of delivery.* Pass via='batch'"),
        (PRO, {"quality": "high"}, "no choice of quality"),
        (PRO, {"thinking": "high"}, "no choice of thinking"),
        (NEW, {"thinking": "hi"}, "minimal, medium, high"),
        ("gemini-2.5-flash-image", {"tier": "flex"}, "not known to have service tiers"),
        ("gpt-image-2", {"tier": "flex"}, "no place"),
        ("gpt-image-2", {"quality": "hgh"}, "did you mean 'high'"),
        ("gpt-image-2", {"thinking": "high"}, "no choice of thinking"),
    ],
)
async def test_what_a_model_or_vendor_does_not_sell_is_refused_unsent(
    model: str, asked: dict[str, Any], says: str
) -> None:
    async with asking(model) as (gen, server):
        with pytest.raises(ConfigError, match=says):
            await gen.one("a red bicycle", **asked)
        with pytest.raises(ConfigError, match=says):
            await gen.many(["a red bicycle"], **asked)
    assert server.received == []


@pytest.mark.parametrize(
    ("extra", "option"),
    [
        ({"serviceTier": "priority"}, "tier"),
        ({"service_tier": "priority"}, "tier"),
        ({"quality": "high"}, "quality"),
        ({"n": 4}, "n"),
        ({"num_images": 4}, "n"),
        ({"size": "4K"}, "size"),
        ({"model": "other"}, "model"),
        ({"generationConfig": {"candidateCount": 2}}, "n"),
        ({"generation_config": {"image_config": {"image_size": "4K"}}}, "size"),
        ({"generationConfig": {"thinkingConfig": {"thinkingLevel": "high"}}}, "thinking"),
    ],
)
async def test_extra_has_nothing_that_changes_a_price(extra: dict[str, Any], option: str) -> None:
    async with asking(PRO) as (gen, server):
        with pytest.raises(ConfigError, match=f"use the option '{option}'"):
            await gen.one(Prompt("a", extra=extra))
    assert server.received == []


async def test_flex_is_waited_for_longer() -> None:
    profile = find_profile("google")
    assert profile.read_timeout("2K") == 300
    assert profile.read_timeout("2K", "flex") == profile.read_timeout("4K", "flex") >= 900


async def unknown(server: FakeServer, **options: Any) -> Client:
    """A client for a model that nobody has a price for; the fake draws it all the same."""
    profile = fake_profile(server.openai_url, "openai_images")
    return Client(replace(profile, response_format=None), server.key, **options)


async def test_a_model_without_a_price_makes_images_and_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with (
        FakeServer(latency=0.01) as server,
        await unknown(server, model="gpt-image-9") as gen,
    ):
        with caplog.at_level(logging.WARNING, "nbp_async"):
            await gen.many(["a", "b"])
            await gen.one("c")
        assert [r.message for r in caplog.records if "no known price" in r.message] == [
            caplog.records[0].message
        ]
        assert "Client(price=" in caplog.records[0].message
    assert server.bank.images == 3


async def test_a_model_without_a_price_takes_no_limit_in_dollars() -> None:
    async with FakeServer(latency=0.01) as server:
        async with await unknown(server, model="gpt-image-9") as gen:
            with pytest.raises(ConfigError, match="no known price") as error:
                await gen.many(["a"], max_cost="1")
            assert error.value.option == "max_cost"
        limits = Limits(spend="$1/10min")
        async with await unknown(server, model="gpt-image-9", limits=limits) as gen:
            with pytest.raises(ConfigError, match="no known price") as error:
                await gen.one("a")
            assert error.value.option == "spend"
        assert server.received == []
        async with await unknown(server, model="gpt-image-9", price="0.05") as gen:
            batch = await gen.many(["a"] * 3, max_cost="0.11")
    assert [outcome.ok for outcome in batch] == [True, True, False]
    assert batch.billing.spent == Decimal("0.10")
