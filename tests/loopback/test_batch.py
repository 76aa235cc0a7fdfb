"""Prompts by the batch API, from the upload to the images, in virtual time, before the bank."""

import asyncio
import dataclasses
import logging
import shutil
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nbp_async._client import Client
from nbp_async._config import Limits
from nbp_async._dialects import gemini_batch
from nbp_async._errors import (
    BudgetError,
    ConfigError,
    ContentBlockedError,
    TaskLostError,
    TaskOpenError,
)
from nbp_async._flow import batch
from nbp_async._journal.base import JOURNAL
from nbp_async._models import FailedLines, Failure, Image
from nbp_async._profiles import Profile
from nbp_async.fake import FakeServer, faults
from nbp_async.fake.faults import Fault
from nbp_async.testing.journal import inline_journal
from tests.loopback.oracle import assert_settled
from tests.loopback.play import KEY, now, profile

pytestmark = pytest.mark.looptime

PROMPTS = [f"bicycle {number}" for number in range(7)]


def google(server: FakeServer, **more: Any) -> Profile:
    return dataclasses.replace(profile(server, "gemini"), **more)


def vendor(**more: Any) -> FakeServer:
    return FakeServer(**{"keys": [KEY], "batch_latency": 900.0, **more})


async def call(
    server: FakeServer, folder: Path, prompts: Sequence[Any] = PROMPTS, **more: Any
) -> Any:
    """One call on the run of `folder`, as its own client would make it."""
    async with Client(google(server), KEY, rng=lambda: 0.5) as gen:
        journal = await inline_journal(folder / JOURNAL)
        batch = await gen.many(prompts, size="1K", via="batch", journal=journal, **more)
        assert gen.in_flight == 0
        return batch


@pytest.fixture(autouse=True)
def _small_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few lines to a job, and each job with a file as those of many have it."""
    monkeypatch.setattr(batch, "MOST_LINES", 3)
    monkeypatch.setattr(gemini_batch, "MOST_INLINE", 0)


async def test_images_come_at_half_the_price(tmp_path: Path) -> None:
    async with vendor() as server, Client(google(server), KEY, rng=lambda: 0.5) as gen:
        began = now()
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(PROMPTS, size="1K", via="batch", journal=journal)
        assert now() - began >= 900
        assert [o.prompt.text for o in made] == PROMPTS
        assert all(isinstance(o, Image) for o in made)
        bill = made.billing
        assert bill.spent == server.bank.billed
        assert bill.saved_by_batch == bill.spent, "half the price: as much is saved as is paid"
        assert bill.spent < 7 * Decimal("0.09")
        await assert_settled(gen, server, made)


@pytest.mark.parametrize("options", [
    {"batch_inline": True, "weight": None}, {"batch_prefix": "JOB_STATE_"},
])  # fmt: skip
async def test_results_come_in_any_shape(tmp_path: Path, options: dict[str, Any]) -> None:
    async with vendor(**options) as server, Client(google(server), KEY, rng=lambda: 0.5) as gen:
        server.script(faults.mixed_results(twice=2), match="create")
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(PROMPTS[:3], size="1K", via="batch", journal=journal)
        assert len(made.images) == 3
        await assert_settled(gen, server, made)


async def test_a_batch_needs_a_run_and_a_vendor_that_has_it(tmp_path: Path) -> None:
    async with vendor() as server, Client(google(server), KEY) as gen:
        with pytest.raises(ConfigError, match="out="):
            gen.many(PROMPTS, via="batch")
        with pytest.raises(ConfigError, match="many"):
            await gen.one("a red bicycle", via="batch", out=tmp_path)
        assert not server.stats().requests
    async with Client("openai", KEY) as gen:
        with pytest.raises(ConfigError, match="batch API"):
            gen.many(PROMPTS, via="batch", out=tmp_path)


@pytest.mark.parametrize("fault", [
    faults.disconnect(), faults.disconnect(before=True), faults.reset(),
    faults.status(500), faults.overloaded(), faults.cut_body(0.5), faults.html_page(),
])  # fmt: skip
async def test_a_creation_in_doubt_is_looked_up_and_never_repeated(
    tmp_path: Path, fault: Fault
) -> None:
    async with vendor() as server, Client(google(server), KEY, rng=lambda: 0.5) as gen:
        server.script(fault, match="create")
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(PROMPTS[:3], size="1K", via="batch", journal=journal)
        assert len(made.images) == 3
        assert server.bank.images == 3
        await assert_settled(gen, server, made)


@pytest.mark.parametrize(("stage", "fault"), [
    ("upload", faults.disconnect()), ("upload", faults.overloaded()),
    ("piece of", faults.reset()), ("piece of", faults.status(500)),
    ("look at", faults.status(500)), ("look at", faults.disconnect()),
    ("look at", faults.status(404)), ("create", faults.rate_limited()),
    (None, faults.download(faults.status(500))), (None, faults.cut_download(0.6)),
    (None, faults.cut_download(0.0)),
])  # fmt: skip
async def test_what_goes_wrong_on_the_way_costs_nothing(
    tmp_path: Path, stage: str | None, fault: Fault
) -> None:
    async with vendor() as server, Client(google(server), KEY, rng=lambda: 0.5) as gen:
        server.script(fault, match=stage)
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(PROMPTS[:3], size="1K", via="batch", journal=journal)
        assert len(made.images) == 3
        assert server.bank.images == 3
        assert not server.unplayed
        await assert_settled(gen, server, made)


async def test_a_job_that_expires_is_submitted_again_and_not_for_ever(tmp_path: Path) -> None:
    server = vendor(batch_latency=200_000.0)
    async with server, Client(google(server), KEY, rng=lambda: 0.5) as gen:
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(PROMPTS[:3], size="1K", via="batch", journal=journal)
        assert [f.billing for f in made.failures] == ["no"] * 3
        assert "expired" in str(made.failures[0].error)
        assert now() > 3 * 48 * 3600, "it was in three jobs"
        assert server.bank.images == 0
        await assert_settled(gen, server, made)


async def test_a_job_that_failed_is_said_and_costs_nothing(tmp_path: Path) -> None:
    async with vendor() as server, Client(google(server), KEY, rng=lambda: 0.5) as gen:
        server.script(*[faults.status(400)] * 3, match="bicycle")
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(PROMPTS[:3], size="1K", via="batch", journal=journal)
        assert [f.billing for f in made.failures] == ["no"] * 3
        assert "All requests of the batch failed" in str(made.failures[0].error)
        await assert_settled(gen, server, made)


async def test_only_so_many_jobs_are_under_way(tmp_path: Path) -> None:
    async with vendor(batch_jobs=1) as server, Client(google(server), KEY, rng=lambda: 0.5) as gen:
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(PROMPTS, size="1K", via="batch", journal=journal)
        assert len(made.images) == 7
        assert now() > 2700, "one after the other"
        await assert_settled(gen, server, made)


async def test_lines_fail_alone(tmp_path: Path) -> None:
    async with vendor() as server, Client(google(server), KEY, rng=lambda: 0.5) as gen:
        server.script(faults.blocked(), match="bicycle 1")
        server.script(faults.rate_limited(), match="bicycle 2")
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(PROMPTS[:4], size="1K", via="batch", journal=journal)
        assert [o.ok for o in made] == [True, False, True, True], "the 429 went into a new job"
        assert isinstance(made.failures[0].error, ContentBlockedError)
        await assert_settled(gen, server, made)


async def test_missing_keys_are_reported_and_unknown_ones_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with vendor() as server, Client(google(server), KEY, rng=lambda: 0.5) as gen:
        server.script(faults.mixed_results(missing=1, unknown=1), match="create")
        journal = await inline_journal(tmp_path / JOURNAL)
        with caplog.at_level(logging.WARNING, "nbp_async"):
            made = await gen.many(PROMPTS[:3], size="1K", via="batch", journal=journal)
        assert "nobody-0" in caplog.text
        (missing,) = made.failures
        assert isinstance(missing.error, TaskLostError)
        assert missing.billing == "maybe"
        assert len(made.images) == 2
        await assert_settled(gen, server, made)


async def test_a_call_that_does_not_wait_is_gone_on_with(tmp_path: Path) -> None:
    async with vendor() as server:
        first = await call(server, tmp_path, wait=False)
        assert [type(f.error) for f in first.failures] == [TaskOpenError] * 7
        assert now() < 60
        assert server.bank.images == 0
        await asyncio.sleep(1000)
        async with Client(google(server), KEY, rng=lambda: 0.5) as gen:
            journal = await inline_journal(tmp_path / JOURNAL)
            # The order may have changed, and there may be more.
            more = ["a new one", *reversed(PROMPTS)]
            made = await gen.many(more, size="1K", via="batch", journal=journal)
            assert [o.prompt.text for o in made] == more
            assert len(made.images) == 8
            assert server.bank.images == 8
            assert made.billing.saved_by_batch == server.bank.billed


@pytest.mark.parametrize("after", [0.0, 0.01, 5.0, 400.0, 905.0])
async def test_a_cancelled_call_is_gone_on_with(tmp_path: Path, after: float) -> None:
    async with vendor() as server:
        task = asyncio.ensure_future(call(server, tmp_path))
        await asyncio.sleep(after)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        made = await call(server, tmp_path)
        assert len(made.images) == 7
        assert server.bank.images == 7, "none of them was bought twice"


@pytest.mark.parametrize("after", [0.0, 0.005, 0.01, 0.02, 40.0, 905.0])
async def test_a_killed_call_is_gone_on_with(tmp_path: Path, after: float) -> None:
    """What a kill leaves is the journal of that moment: a copy of it is gone on with."""
    (tmp_path / "killed").mkdir()
    async with vendor() as server:
        task = asyncio.ensure_future(call(server, tmp_path / "killed"))
        await asyncio.sleep(after)
        shutil.copytree(tmp_path / "killed", tmp_path / "left")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        made = await call(server, tmp_path / "left")
        assert len(made.images) == 7
        assert server.bank.images == 7, "none of them was bought twice"


async def test_a_held_call_leaves_what_is_in_a_batch(tmp_path: Path) -> None:
    async with vendor(latency=30.0) as server:
        await call(server, tmp_path, wait=False)
        async with Client(google(server), KEY) as gen:
            journal = await inline_journal(tmp_path / JOURNAL)
            made = await gen.many(PROMPTS, size="1K", journal=journal)
            assert all(isinstance(o, Failure) and "batch job" in str(o.error) for o in made)
        await server.drain()
        assert server.bank.images == 7


async def test_failures_are_made_again_in_their_own_places(tmp_path: Path) -> None:
    async with vendor() as server, Client(google(server), KEY, rng=lambda: 0.5) as gen:
        server.script(faults.blocked(), match="twin")
        prompts = ["a twin", "a twin", "another"]
        made = await gen.many(prompts, size="1K", via="batch", out=tmp_path)
        assert len(made.failures) == 1
        whole = await made.retry_failed()
        assert [o.ok for o in whole] == [True] * 3
        assert [o.prompt.text for o in whole] == prompts
        assert server.bank.images == 3


async def test_a_cap_holds(tmp_path: Path) -> None:
    async with vendor() as server, Client(google(server), KEY, rng=lambda: 0.5) as gen:
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(PROMPTS, size="1K", via="batch", journal=journal, max_cost="0.25")
        assert 2 <= len(made.images) < 7
        assert server.bank.billed <= Decimal("0.25")
        await assert_settled(gen, server, made)


async def test_a_bad_key_ends_it(tmp_path: Path) -> None:
    async with vendor() as server, Client(google(server), "wrong", rng=lambda: 0.5) as gen:
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(PROMPTS, size="1K", via="batch", journal=journal)
        assert [f.billing for f in made.failures] == ["no"] * 7
        await assert_settled(gen, server, made)


@pytest.mark.parametrize(
    ("choice", "made_of", "saved"), [("batch", 4, 4), ("held", 4, 3), ("keep", 3, 3)]
)
async def test_what_becomes_of_a_line_that_failed_and_cost_nothing(
    tmp_path: Path, choice: FailedLines, made_of: int, saved: int
) -> None:
    server = vendor(latency=60.0)
    async with server, Client(google(server), KEY, rng=lambda: 0.5) as gen:
        server.script(faults.rate_limited(), match="bicycle 2")
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(
            PROMPTS[:4], size="1K", via="batch", journal=journal, failed_lines=choice
        )
        assert len(made.images) == made_of == server.bank.images
        assert sum(1 for image in made.images if image.reduced) == saved
        assert [f.billing for f in made.failures] == ["no"] * (4 - made_of)
        await assert_settled(gen, server, made)


async def test_a_job_that_expired_is_made_by_held_calls(tmp_path: Path) -> None:
    server = vendor(batch_latency=200_000.0, latency=60.0)
    async with server, Client(google(server), KEY, rng=lambda: 0.5) as gen:
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(
            PROMPTS[:3], size="1K", via="batch", journal=journal, failed_lines="held"
        )
        assert len(made.images) == 3 == server.bank.images, made.failures
        assert made.billing.saved_by_batch == 0
        assert [len(image.attempts) + len(image.earlier) for image in made.images] == [2] * 3
        assert now() < 49 * 3600, "they were in one job"
        await assert_settled(gen, server, made)


async def test_held_calls_after_a_job_stay_below_the_cap(tmp_path: Path) -> None:
    server = vendor(batch_latency=200_000.0, latency=60.0)
    async with server, Client(google(server), KEY, rng=lambda: 0.5) as gen:
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(
            PROMPTS[:3], size="1K", via="batch", journal=journal, failed_lines="held",
            max_cost="0.3",
        )  # fmt: skip
        assert len(made.images) == 2, "three at half the price would have fitted"
        assert [type(failure.error) for failure in made.failures] == [BudgetError]
        await assert_settled(gen, server, made)


async def test_a_stopped_call_begins_no_held_ones(tmp_path: Path) -> None:
    server = vendor(batch_latency=200_000.0, latency=60.0)
    async with server, Client(google(server), KEY, rng=lambda: 0.5) as gen:
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
    async with server, Client(google(server), KEY, rng=lambda: 0.5, limits=limits) as gen:
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
        Client(google(server), KEY, rng=lambda: 0.5, limits=limits) as gen,
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
        Client(google(server), KEY, rng=lambda: 0.5, limits=limits) as gen,
    ):
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(PROMPTS[:2], size="1K", via="batch", journal=journal)
        assert [type(failure.error) for failure in made.failures] == [BudgetError] * 2
        assert not server.stats().requests
        await assert_settled(gen, server, made)
