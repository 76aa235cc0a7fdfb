"""Prompts by the batch API, from the upload to the images, in virtual time, before the bank."""

import asyncio
import logging
import shutil
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nbp_async._base.errors import (
    ConfigError,
    ContentBlockedError,
    InvalidRequestError,
    ParkedError,
    TaskFailedError,
    TaskLostError,
    TaskOpenError,
)
from nbp_async._client.client import Client
from nbp_async._journal.base import JOURNAL
from nbp_async._models.outcomes import Failure, Image, Prompt
from nbp_async.fake import faults
from nbp_async.fake.faults import Fault
from nbp_async.testing.journal import inline_journal
from tests.loopback.batches import (
    ONLY_GOOGLE,
    ONLY_OPENAI,
    PROMPTS,
    call,
    each_dialect,
    small_jobs,
    vendor,
    vendor_profile,
)
from tests.loopback.oracle import assert_settled
from tests.loopback.play import KEY, now
from tests.pictures import png

pytestmark = pytest.mark.looptime
__all__ = ["each_dialect", "small_jobs"]  # fixtures: they apply by being here


async def test_images_come_at_half_the_price(tmp_path: Path) -> None:
    async with vendor() as server, Client(vendor_profile(server), KEY, rng=lambda: 0.5) as gen:
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


@ONLY_GOOGLE
@pytest.mark.parametrize(
    "options",
    [
        {"batch_inline": True, "weight": None},
        {"batch_prefix": "JOB_STATE_"},
    ],
)
async def test_results_come_in_any_shape(tmp_path: Path, options: dict[str, Any]) -> None:
    async with (
        vendor(**options) as server,
        Client(vendor_profile(server), KEY, rng=lambda: 0.5) as gen,
    ):
        server.script(faults.mixed_results(twice=2), match="create")
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(PROMPTS[:3], size="1K", via="batch", journal=journal)
        assert len(made.images) == 3
        await assert_settled(gen, server, made)


async def test_a_batch_needs_a_run_and_a_vendor_that_has_it(tmp_path: Path) -> None:
    async with vendor() as server, Client(vendor_profile(server), KEY) as gen:
        with pytest.raises(ConfigError, match="out="):
            gen.many(PROMPTS, via="batch")
        with pytest.raises(ConfigError, match="many"):
            await gen.one("a red bicycle", via="batch", out=tmp_path)
        assert not server.stats().requests
    async with Client("apiyi", KEY) as gen:
        with pytest.raises(ConfigError, match="batch API"):
            gen.many(PROMPTS, via="batch", out=tmp_path)


@pytest.mark.parametrize(
    "fault",
    [
        faults.disconnect(),
        faults.disconnect(before=True),
        faults.reset(),
        faults.status(500),
        faults.overloaded(),
        faults.cut_body(0.5),
        faults.html_page(),
    ],
)
async def test_a_creation_in_doubt_is_found_in_the_list_and_never_repeated(
    tmp_path: Path, fault: Fault
) -> None:
    async with vendor() as server, Client(vendor_profile(server), KEY, rng=lambda: 0.5) as gen:
        server.script(fault, match="create")
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(PROMPTS[:3], size="1K", via="batch", journal=journal)
        assert len(made.images) == 3
        assert server.bank.images == 3
        await assert_settled(gen, server, made)


@pytest.mark.parametrize(
    ("stage", "fault"),
    [
        ("upload", faults.disconnect()),
        ("upload", faults.overloaded()),
        ("look at", faults.status(500)),
        ("look at", faults.disconnect()),
        ("look at", faults.status(404)),
        ("create", faults.rate_limited()),
        (None, faults.download(faults.status(500))),
        (None, faults.cut_download(0.6)),
        (None, faults.cut_download(0.0)),
    ],
)
async def test_what_goes_wrong_on_the_way_costs_nothing(
    tmp_path: Path, stage: str | None, fault: Fault
) -> None:
    async with vendor() as server, Client(vendor_profile(server), KEY, rng=lambda: 0.5) as gen:
        server.script(fault, match=stage)
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(PROMPTS[:3], size="1K", via="batch", journal=journal)
        assert len(made.images) == 3
        assert server.bank.images == 3
        assert not server.unplayed
        await assert_settled(gen, server, made)


@ONLY_GOOGLE
@pytest.mark.parametrize("fault", [faults.reset(), faults.status(500)])
async def test_a_piece_of_an_upload_that_is_cut_costs_nothing(tmp_path: Path, fault: Fault) -> None:
    async with vendor() as server, Client(vendor_profile(server), KEY, rng=lambda: 0.5) as gen:
        server.script(fault, match="piece of")
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(PROMPTS[:3], size="1K", via="batch", journal=journal)
        assert len(made.images) == 3 == server.bank.images
        await assert_settled(gen, server, made)


@ONLY_OPENAI
async def test_what_was_done_when_a_job_expired_is_there_and_the_rest_goes_on(
    tmp_path: Path,
) -> None:
    """OpenAI's jobs end after a day. Of one that takes 30 hours, most is done by then."""
    async with (
        vendor(batch_latency=108_000.0) as server,
        Client(vendor_profile(server), KEY, rng=lambda: 0.5) as gen,
    ):
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(PROMPTS[:3], size="1K", via="batch", journal=journal)
        assert [len(o.earlier) + len(o.attempts) for o in made] == [1, 1, 3]
        assert len(made.images) == server.bank.images == 2
        (late,) = made.failures
        assert (late.billing, type(late.error)) == ("no", TaskFailedError)
        assert "24h" in str(late.error)
        await assert_settled(gen, server, made)


@ONLY_OPENAI
async def test_prompts_with_references_are_in_jobs_of_their_own(tmp_path: Path) -> None:
    picture = png(64, 64)
    prompts = [Prompt(f"bicycle {n}", references=[picture] if n % 2 else []) for n in range(6)]
    async with vendor() as server, Client(vendor_profile(server), KEY, rng=lambda: 0.5) as gen:
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(prompts, size="1K", via="batch", journal=journal)
        assert len(made.images) == 6
        assert len({row.id for row in server.bank.ledger}) == 2, "a job for each address"
        await assert_settled(gen, server, made)


async def test_a_job_that_is_refused_costs_nothing(tmp_path: Path) -> None:
    async with vendor() as server, Client(vendor_profile(server), KEY, rng=lambda: 0.5) as gen:
        server.script(faults.status(400), match="create")
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(PROMPTS[:2], size="1K", via="batch", journal=journal)
        assert [failure.billing for failure in made.failures] == ["no"] * 2
        assert not server.bank.ledger
        await assert_settled(gen, server, made)


async def test_a_job_that_is_refused_for_want_of_credits_is_not_waited_for(tmp_path: Path) -> None:
    refusal = faults.status(429, body={"error": {"message": "Insufficient credits. Top up."}})
    async with vendor() as server, Client(vendor_profile(server), KEY, rng=lambda: 0.5) as gen:
        server.script(refusal, match="create")
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(PROMPTS[:2], size="1K", via="batch", journal=journal)
        assert [type(failure.error).__name__ for failure in made.failures] == ["QuotaError"] * 2
        assert not server.bank.ledger
        assert now() < 60
        await assert_settled(gen, server, made)


@ONLY_GOOGLE
async def test_a_job_that_expires_is_submitted_again_and_not_for_ever(tmp_path: Path) -> None:
    server = vendor(batch_latency=200_000.0)
    async with server, Client(vendor_profile(server), KEY, rng=lambda: 0.5) as gen:
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(PROMPTS[:3], size="1K", via="batch", journal=journal)
        assert [f.billing for f in made.failures] == ["no"] * 3
        assert "expired" in str(made.failures[0].error)
        assert now() > 3 * 48 * 3600, "it was in three jobs"
        created = [r for r in server.received if r.path.endswith("batchGenerateContent")]
        assert len(created) == 3, "its lines go on together"
        assert server.bank.images == 0
        await assert_settled(gen, server, made)


@ONLY_GOOGLE
async def test_a_job_that_failed_is_reported_and_costs_nothing(tmp_path: Path) -> None:
    async with vendor() as server, Client(vendor_profile(server), KEY, rng=lambda: 0.5) as gen:
        server.script(*[faults.status(400)] * 3, match="bicycle")
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(PROMPTS[:3], size="1K", via="batch", journal=journal)
        assert [f.billing for f in made.failures] == ["no"] * 3
        assert "All requests of the batch failed" in str(made.failures[0].error)
        await assert_settled(gen, server, made)


async def test_lines_fail_alone(tmp_path: Path) -> None:
    async with vendor() as server, Client(vendor_profile(server), KEY, rng=lambda: 0.5) as gen:
        server.script(faults.blocked(), match="bicycle 1")
        server.script(faults.rate_limited(), match="bicycle 2")
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(PROMPTS[:4], size="1K", via="batch", journal=journal)
        assert [o.ok for o in made] == [True, False, True, True], "the 429 went into a new job"
        assert isinstance(made.failures[0].error, ContentBlockedError | InvalidRequestError)
        await assert_settled(gen, server, made)


@ONLY_GOOGLE
async def test_missing_keys_are_reported_and_unknown_ones_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with vendor() as server, Client(vendor_profile(server), KEY, rng=lambda: 0.5) as gen:
        server.script(faults.mixed_results(missing=1, unknown=1), match="create")
        journal = await inline_journal(tmp_path / JOURNAL)
        with caplog.at_level(logging.WARNING, "nbp_async"):
            made = await gen.many(PROMPTS[:3], size="1K", via="batch", journal=journal)
        assert "nobody-0" in caplog.text
        assert "may have been billed $" in caplog.text, "the line that never came"
        (missing,) = made.failures
        assert isinstance(missing.error, TaskLostError)
        assert missing.billing == "maybe"
        assert len(made.images) == 2
        await assert_settled(gen, server, made)


async def test_a_call_that_does_not_wait_is_resumed(tmp_path: Path) -> None:
    async with vendor() as server:
        first = await call(server, tmp_path, wait=False)
        assert [type(f.error) for f in first.failures] == [TaskOpenError] * 7
        assert now() < 60
        assert server.bank.images == 0
        await asyncio.sleep(1000)
        async with Client(vendor_profile(server), KEY, rng=lambda: 0.5) as gen:
            journal = await inline_journal(tmp_path / JOURNAL)
            # The order may have changed, and there may be more.
            more = ["a new one", *reversed(PROMPTS)]
            made = await gen.many(more, size="1K", via="batch", journal=journal)
            assert [o.prompt.text for o in made] == more
            assert len(made.images) == 8
            assert server.bank.images == 8
            assert made.billing.saved_by_batch == server.bank.billed


@pytest.mark.parametrize("after", [0.0, 0.01, 5.0, 400.0, 905.0])
async def test_a_cancelled_call_is_resumed(tmp_path: Path, after: float) -> None:
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
async def test_a_killed_call_is_resumed(tmp_path: Path, after: float) -> None:
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
        async with Client(vendor_profile(server), KEY) as gen:
            journal = await inline_journal(tmp_path / JOURNAL)
            made = await gen.many(PROMPTS, size="1K", journal=journal)
            assert all(isinstance(o, Failure) and "batch job" in str(o.error) for o in made)
        await server.drain()
        assert server.bank.images == 7


async def test_a_line_of_an_unknown_job_is_not_bought_again(tmp_path: Path) -> None:
    """Its line is armed, and so may be paid for, though the job's own record is lost."""
    async with vendor(latency=30.0) as server:
        await call(server, tmp_path, wait=False)
        with sqlite3.connect(tmp_path / JOURNAL) as db:
            db.execute("DELETE FROM batch")
        db.close()
        made = await call(server, tmp_path)
        assert [type(failure.error) for failure in made.failures] == [ParkedError] * 7
        assert [failure.billing for failure in made.failures] == ["maybe"] * 7
        await server.drain()
        assert server.bank.images == 7


async def test_failures_are_made_again_in_their_own_places(tmp_path: Path) -> None:
    async with vendor() as server, Client(vendor_profile(server), KEY, rng=lambda: 0.5) as gen:
        server.script(faults.blocked(), match="twin")
        prompts = ["a twin", "a twin", "another"]
        made = await gen.many(prompts, size="1K", via="batch", out=tmp_path)
        assert len(made.failures) == 1
        whole = await made.retry_failed()
        assert [o.ok for o in whole] == [True] * 3
        assert [o.prompt.text for o in whole] == prompts
        assert server.bank.images == 3


async def test_a_cap_holds(tmp_path: Path) -> None:
    async with vendor() as server, Client(vendor_profile(server), KEY, rng=lambda: 0.5) as gen:
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(PROMPTS, size="1K", via="batch", journal=journal, max_cost="0.25")
        assert 2 <= len(made.images) < 7
        assert server.bank.billed <= Decimal("0.25")
        await assert_settled(gen, server, made)


async def test_a_bad_key_ends_it(tmp_path: Path) -> None:
    async with vendor() as server, Client(vendor_profile(server), "wrong", rng=lambda: 0.5) as gen:
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(PROMPTS, size="1K", via="batch", journal=journal)
        assert [f.billing for f in made.failures] == ["no"] * 7
        await assert_settled(gen, server, made)
