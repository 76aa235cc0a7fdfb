"""What the client says that an image cost is what the vendor's bank says, for every model."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from nbp_async import Client, Limits, Model, models
from nbp_async.fake import FakeServer
from nbp_async.testing.profile import fake_profile
from tests.pictures import png

SIZES = [(model, size) for model in models() for size in model.sizes]
BY_NAME = {model.name: model for model in models()}


@asynccontextmanager
async def vendor(
    model: Model, limits: Limits | None = None, **options: Any
) -> AsyncIterator[tuple[Client, FakeServer]]:
    """A client that asks a fake of the model's maker."""
    async with FakeServer(latency=0.01, **options) as server:
        profile = fake_profile(server.gemini_url, "gemini")
        if model.vendor == "openai":
            profile = fake_profile(server.openai_url, "openai_images")
            profile = replace(profile, response_format=None)
        async with Client(profile, server.key, model=model.name, limits=limits) as gen:
            yield gen, server


@pytest.mark.parametrize(
    ("model", "size"), SIZES, ids=[f"{model.name}-{size}" for model, size in SIZES]
)
async def test_client_and_bank_agree_to_the_last_digit(model: Model, size: str) -> None:
    async with vendor(model) as (gen, server):
        image = await gen.one("a red bicycle", size=size)
    assert image.cost == server.bank.billed > 0
    assert not image.mismatch


@pytest.mark.parametrize("name", ["gemini-3-pro-image", "gemini-3.1-flash-image"])
async def test_a_second_image_costs_what_its_tokens_say(name: str) -> None:
    async with vendor(BY_NAME[name], faults="extra=1") as (gen, server):
        image = await gen.one("a red bicycle", size="1K")
    assert image.usage is not None
    assert image.usage.image_tokens == 2240
    assert image.cost == server.bank.billed


async def test_references_cost_their_own_price_a_token() -> None:
    async with vendor(BY_NAME["gpt-image-2"]) as (gen, server):
        image = await gen.one({"text": "a red bicycle", "references": [png(8, 8)]})
    assert image.usage is not None
    assert image.usage.input_image_tokens == 560
    assert image.cost == server.bank.billed


async def test_a_cap_reserves_what_the_model_costs_and_not_another() -> None:
    lite = BY_NAME["gemini-3.1-flash-lite-image"]
    async with vendor(lite, Limits(max_in_flight=1)) as (gen, server):
        batch = await gen.many(["a", "b", "c", "d"], max_cost="0.11")
    assert [outcome.ok for outcome in batch] == [True, True, True, False]
    assert batch.billing.spent == server.bank.billed == 3 * Decimal("0.0336")
