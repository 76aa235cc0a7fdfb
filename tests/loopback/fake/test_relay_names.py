"""The names of models and sizes that relays take beside the vendors' own."""

from typing import Any

import pytest

from tests.loopback.fake.api_client import vendor
from tests.loopback.fake.task_client import task_of


@pytest.mark.parametrize(
    ("fields", "size", "pixels", "price"),
    [
        ({"model": "nano-banana-pro-4k"}, "4K", "4096x4096", "0.24"),
        ({"model": "nano-banana-pro-2k", "size": "16:9"}, "2K", "2752x1536", "0.134"),
        ({"model": "gemini/gemini-3.1-flash-image-4k"}, "4K", "4096x4096", "0.151"),
        ({"model": "nano-banana-pro-4k", "size": "1K"}, "1K", "1024x1024", "0.134"),
        ({"size": "2048x2048"}, "2K", "2048x2048", "0.134"),
        ({"size": "9:16", "image_size": "4K"}, "4K", "3072x5504", "0.24"),
    ],
)
async def test_a_relays_spelling_is_drawn_and_billed(
    fields: dict[str, Any], size: str, pixels: str, price: str
) -> None:
    async with vendor() as call:
        link = await call.link("a cat", **fields)
        (entry,) = call.server.bank.ledger
        assert f"-{pixels}-" in link
        assert (entry.size, str(entry.price)) == (size, price)


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"model": "nano-banana-pro-8k"}, 404), ({"size": "7:5"}, 400), ({"size": "0:0"}, 400)],
)
async def test_other_spellings_are_refused(fields: dict[str, Any], status: int) -> None:
    async with vendor() as call:
        assert (await call.images("a cat", **fields)).status == status
        assert call.server.bank.ledger == []


async def test_a_task_has_an_address_of_its_state_as_well() -> None:
    async with vendor() as call:
        name = await task_of(call)
        await call.server.drain()
        url = f"{call.server.openai_url}/tasks/{name}"
        auth = {"Authorization": f"Bearer {call.server.key}"}
        assert (await call.get(f"{url}/status", **auth)).json == (await call.get(url, **auth)).json
