"""How many batch jobs there are at once, in virtual time."""

import asyncio
from pathlib import Path

import pytest

from nbp_async._base.errors import BudgetError, TaskOpenError
from nbp_async._batch_api import batch_pool as batch
from nbp_async._client.client import Client
from nbp_async._journal.base import JOURNAL
from nbp_async._models.settings import Limits
from nbp_async.fake import faults
from nbp_async.testing.journal import inline_journal
from tests.loopback.batches import (
    ONLY_GOOGLE,
    PROMPTS,
    call,
    each_dialect,
    small_jobs,
    vendor,
    vendor_profile,
)
from tests.loopback.oracle import assert_settled
from tests.loopback.play import KEY, now

pytestmark = pytest.mark.looptime
__all__ = ["each_dialect", "small_jobs"]  # fixtures: they apply by being here


@ONLY_GOOGLE
@pytest.mark.parametrize("limit", [{"batch_jobs": 1}, {"batch_enqueued": 4}])
async def test_only_so_many_jobs_are_under_way(tmp_path: Path, limit: dict[str, int]) -> None:
    server = vendor(**limit)
    async with server, Client(vendor_profile(server), KEY, rng=lambda: 0.5) as gen:
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(PROMPTS, size="1K", via="batch", journal=journal)
        assert len(made.images) == 7
        assert now() > 1800, "one after the other"
        await assert_settled(gen, server, made)


@ONLY_GOOGLE
@pytest.mark.parametrize("wait", [True, False])
async def test_no_more_jobs_are_created_than_are_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait: bool
) -> None:
    """A call that does not wait for results waits for room, and brings what is done meanwhile."""
    monkeypatch.setattr(batch, "MOST_JOBS", 1)
    server = vendor(batch_jobs=1)
    async with server, Client(vendor_profile(server), KEY, rng=lambda: 0.5) as gen:
        server.script(faults.status(500), match="look at")
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(PROMPTS, size="1K", via="batch", journal=journal, wait=wait)
        assert len(made.images) == (7 if wait else 6)
        assert [type(f.error) for f in made.failures] == ([] if wait else [TaskOpenError])
        assert 1800 < now() < (5000 if wait else 3600)
        assert 429 not in server.stats().by_status


async def test_what_was_cancelled_before_a_job_was_created_costs_nothing(
    tmp_path: Path,
) -> None:
    limits = Limits(spend="$0.25/10min")
    async with (
        vendor() as server,
        Client(vendor_profile(server), KEY, rng=lambda: 0.5, limits=limits) as gen,
    ):
        journal = await inline_journal(tmp_path / JOURNAL)
        plan = gen.many(PROMPTS, size="1K", via="batch", journal=journal)
        task = asyncio.ensure_future(plan)
        await asyncio.sleep(60.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert plan.partial is not None
        assert sorted(left.index for left in plan.partial) == [0, 1, 2], "one job was created"
        made = await call(server, tmp_path)
        assert len(made.images) == 7
        assert server.bank.images == 7, "none of them was bought twice"


async def test_dollars_of_a_job_that_was_never_created_are_there_for_another(
    tmp_path: Path,
) -> None:
    limits = Limits(spend="$0.25/day")
    async with (
        vendor() as server,
        Client(vendor_profile(server), KEY, rng=lambda: 0.5, limits=limits) as gen,
    ):
        server.script(faults.status(400), match="create")
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(PROMPTS[:6], size="1K", via="batch", journal=journal)
        assert [outcome.ok for outcome in made] == [False] * 3 + [True] * 3
        assert now() < 5000, "it did not wait for the next day"
        await assert_settled(gen, server, made)


@pytest.mark.parametrize("wait", [True, False])
async def test_dollars_that_open_jobs_hold_are_not_waited_for_in_vain(
    tmp_path: Path, wait: bool
) -> None:
    """Without `wait`, or where a job cannot be polled any more, nobody gives them back."""
    async with vendor() as server, Client(vendor_profile(server), KEY, rng=lambda: 0.5) as gen:
        server.script(*[faults.status(403)] * 9, match="look at")
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(
            PROMPTS, size="1K", via="batch", journal=journal, wait=wait, max_cost="0.25"
        )
        kinds = [type(failure.error) for failure in made.failures]
        assert kinds == [TaskOpenError] * 3 + [BudgetError] * 4
        assert now() < 600, "the vendor takes 900 s"
        await assert_settled(gen, server, made)


async def test_dollars_that_a_job_gives_back_are_waited_for(tmp_path: Path) -> None:
    async with vendor() as server, Client(vendor_profile(server), KEY, rng=lambda: 0.5) as gen:
        for number in range(3):
            server.script(faults.status(400), match=f"bicycle {number}")
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(PROMPTS, size="1K", via="batch", journal=journal, max_cost="0.25")
        assert [o.ok for o in made] == [False] * 3 + [True] * 3 + [False]
        assert [type(failure.error) for failure in made.failures][-1] is BudgetError
        assert server.bank.images == 3
        await assert_settled(gen, server, made)
