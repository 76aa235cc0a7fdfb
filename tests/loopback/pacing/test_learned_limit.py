"""`max_in_flight="auto"` against the fake server: a ceiling is found, and asking costs nothing."""

import asyncio

import pytest

from nbp_async import AutoLimit, Client, Limits
from nbp_async._models.events import LimitChanged, Listener
from nbp_async.fake.quotas import Quotas
from nbp_async.testing.virtual_time import run_virtual


class Limit(Listener):
    def __init__(self) -> None:
        self.changes: list[LimitChanged] = []

    def on_limit(self, event: LimitChanged) -> None:
        self.changes.append(event)


@pytest.mark.parametrize("cap", [5, 40])
def test_a_hidden_ceiling_is_found_and_every_image_is_paid_once(cap: int) -> None:
    async def run() -> None:
        heard = Limit()
        server = {"latency": "30-170", "quotas": Quotas(concurrency=cap)}
        limits = Limits(max_in_flight=AutoLimit(ceiling=100))
        async with Client.fake(server=server, limits=limits, listeners=[heard]) as gen:
            batch = await gen.many([f"picture {n}" for n in range(cap * 8)])
            (gate,) = gen.statistics().values()
            assert gen.server is not None
            bank = gen.server.bank
        assert len(batch.images) == cap * 8
        assert batch.billing.spent == bank.billed
        assert 0.9 * cap <= gate.limit <= cap + 1
        assert gate.is_learned
        assert heard.changes[0].before == 8
        assert {change.model for change in heard.changes} == {gen.model}
        assert all(change.limit <= 100 for change in heard.changes)

    run_virtual(run())


def test_an_announced_rate_is_kept_without_a_refusal_more() -> None:
    async def run() -> None:
        server = {"latency": "30-60", "quotas": Quotas(per_minute=30)}
        async with Client.fake(
            dialect="openai_images", server=server, limits=Limits(max_in_flight="auto")
        ) as gen:
            began = asyncio.get_running_loop().time()
            batch = await gen.many([f"picture {n}" for n in range(200)])
            seconds = asyncio.get_running_loop().time() - began
            assert gen.server is not None
            asked = len(gen.server.received)
        assert len(batch.images) == 200
        assert asked < 230, "only those were refused that left before the rate was known"
        assert seconds < 200 / 30 * 60 * 1.3

    run_virtual(run())
