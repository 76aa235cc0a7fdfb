"""Bodies come as fast as the bandwidth allows, and connections are counted."""

import asyncio
from typing import Literal

import pytest

from nbp_async import Client
from nbp_async.testing.sink import NowhereSink

pytestmark = pytest.mark.looptime


@pytest.mark.parametrize("delivery", ["b64_json", "url"])
async def test_a_connection_carries_so_many_bytes_a_second(
    delivery: Literal["b64_json", "url"],
) -> None:
    loop = asyncio.get_running_loop()
    line = {"latency": 60.0, "weight": 1_000_000, "bandwidth": 100_000.0, "delivery": delivery}
    async with Client.fake(server=line) as gen:
        assert gen.server is not None
        batch = await gen.many(["a"], size="1K", response_format=delivery, out=NowhereSink())
        text = 4 / 3 if delivery == "b64_json" else 1
        assert loop.time() == pytest.approx(60 + 10 * text, abs=0.5)
        assert gen.server.bank.billed == batch.billing.spent


async def test_open_connections_are_counted_and_timed() -> None:
    async with Client.fake(server={"latency": 60.0}) as gen:
        assert gen.server is not None
        await gen.many(["a", "b", "c"], size="1K")
        stats = gen.server.stats()
    assert stats.peak_connections == 3
    assert stats.connection_seconds == pytest.approx(180, abs=1)
