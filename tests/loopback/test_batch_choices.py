"""What becomes of a batch's failed lines, and how its jobs keep to what may be spent."""

import asyncio
from pathlib import Path

import pytest

from nbp_async._base.errors import (
    BudgetError,
    TaskOpenError,
)
from nbp_async._client.client import Client
from nbp_async._journal.base import JOURNAL
from nbp_async._models.events import AttemptEnded, Listener
from nbp_async._models.outcomes import FailedLines, Via
from nbp_async._models.settings import Limits
from nbp_async.fake import faults
from nbp_async.testing.journal import inline_journal
from tests.loopback.batches import (
    ONLY_GOOGLE,
    PROMPTS,
    each_dialect,
    small_jobs,
    vendor,
    vendor_profile,
)
from tests.loopback.oracle import assert_settled
from tests.loopback.play import KEY, now

pytestmark = pytest.mark.looptime
__all__ = ["each_dialect", "small_jobs"]  # fixtures: they apply by being here


@pytest.mark.parametrize(
    ("choice", "made_of", "saved"), [("batch", 4, 4), ("held", 4, 3), ("keep", 3, 3)]
)
async def test_what_becomes_of_a_line_that_failed_and_cost_nothing(
    tmp_path: Path, choice: FailedLines, made_of: int, saved: int
) -> None:
    server = vendor(latency=60.0)
    async with server, Client(vendor_profile(server), KEY, rng=lambda: 0.5) as gen:
        server.script(faults.rate_limited(), match="bicycle 2")
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(
            PROMPTS[:4], size="1K", via="batch", journal=journal, failed_lines=choice
        )
        assert len(made.images) == made_of == server.bank.images
        assert sum(1 for image in made.images if image.reduced) == saved
        assert [f.billing for f in made.failures] == ["no"] * (4 - made_of)
        await assert_settled(gen, server, made)


@ONLY_GOOGLE
async def test_a_job_that_expired_is_made_by_held_calls(tmp_path: Path) -> None:
    server = vendor(batch_latency=200_000.0, latency=60.0)
    async with server, Client(vendor_profile(server), KEY, rng=lambda: 0.5) as gen:
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(
            PROMPTS[:3], size="1K", via="batch", journal=journal, failed_lines="held"
        )
        assert len(made.images) == 3 == server.bank.images, made.failures
        assert made.billing.saved_by_batch == 0
        assert [len(image.attempts) + len(image.earlier) for image in made.images] == [2] * 3
        assert now() < 49 * 3600, "they were in one job"
        await assert_settled(gen, server, made)


async def test_a_listener_is_told_how_each_attempt_was_delivered(tmp_path: Path) -> None:
    class Ways(Listener):
        def on_attempt(self, event: AttemptEnded) -> None:
            ways.append(event.via)

    ways: list[Via] = []
    server = vendor(latency=60.0)
    async with server, Client(vendor_profile(server), KEY, listeners=[Ways()]) as gen:
        server.script(faults.rate_limited(), match="bicycle 2")
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(
            PROMPTS[:3], size="1K", via="batch", journal=journal, failed_lines="held"
        )
        assert ways == ["batch"] * 3 + ["held"]
        await assert_settled(gen, server, made)


@ONLY_GOOGLE
async def test_held_calls_after_a_job_stay_below_the_cap(tmp_path: Path) -> None:
    server = vendor(batch_latency=200_000.0, latency=60.0)
    async with server, Client(vendor_profile(server), KEY, rng=lambda: 0.5) as gen:
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(
            PROMPTS[:3],
            size="1K",
            via="batch",
            journal=journal,
            failed_lines="held",
            max_cost="0.3",
        )
        assert len(made.images) == 2, "three at half the price would have fitted"
        assert [type(failure.error) for failure in made.failures] == [BudgetError]
        await assert_settled(gen, server, made)


async def test_a_stopped_call_begins_no_held_ones(tmp_path: Path) -> None:
    server = vendor(batch_latency=200_000.0, latency=60.0)
    async with server, Client(vendor_profile(server), KEY, rng=lambda: 0.5) as gen:
        journal = await inline_journal(tmp_path / JOURNAL)
        plan = gen.many(PROMPTS[:3], size="1K", via="batch", journal=journal, failed_lines="held")
        task = asyncio.ensure_future(plan)
        await asyncio.sleep(100.0)
        plan.stop()
        made = await task
        assert [type(failure.error) for failure in made.failures] == [TaskOpenError] * 3
        assert server.bank.images == 0


async def test_jobs_are_created_as_a_period_has_room_for_their_dollars(tmp_path: Path) -> None:
    """Each of seven lines may cost $0.073: a period of $0.25 has room for three of them."""
    server = vendor()
    limits = Limits(spend="$0.25/10min")
    async with server, Client(vendor_profile(server), KEY, rng=lambda: 0.5, limits=limits) as gen:
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(PROMPTS, size="1K", via="batch", journal=journal)
        assert len(made.images) == 7
        ends = sorted(row.at for row in server.bank.ledger)
        assert min(ends[3] - ends[0], ends[6] - ends[3]) >= 600, "three, then three, then one"
        await assert_settled(gen, server, made)


async def test_a_job_that_waits_for_dollars_can_be_stopped(tmp_path: Path) -> None:
    limits = Limits(spend="$0.25/day")
    async with (
        vendor() as server,
        Client(vendor_profile(server), KEY, rng=lambda: 0.5, limits=limits) as gen,
    ):
        journal = await inline_journal(tmp_path / JOURNAL)
        plan = gen.many(PROMPTS, size="1K", via="batch", journal=journal)
        task = asyncio.ensure_future(plan)
        await asyncio.sleep(2000.0)
        plan.stop()
        made = await task
        assert len(made.images) == 3 == server.bank.images
        assert [failure.billing for failure in made.failures] == ["no"] * 3, "one was not drawn"
        await assert_settled(gen, server, made)


async def test_a_line_above_what_a_period_may_see_is_refused(tmp_path: Path) -> None:
    limits = Limits(spend="$0.05/10min")
    async with (
        vendor() as server,
        Client(vendor_profile(server), KEY, rng=lambda: 0.5, limits=limits) as gen,
    ):
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(PROMPTS[:2], size="1K", via="batch", journal=journal)
        assert [type(failure.error) for failure in made.failures] == [BudgetError] * 2
        assert not server.stats().requests
        await assert_settled(gen, server, made)
