"""Refusals that no waiting solves, by held calls and tasks, before the bank."""

import dataclasses
import re
import time
from pathlib import Path
from typing import Any

import pytest

from nbp_async._base.errors import InvalidRequestError, QuotaError, StoppedError
from nbp_async._calls.batch import Batch
from nbp_async._client.client import Client
from nbp_async._journal.base import JOURNAL
from nbp_async._models.outcomes import Failure
from nbp_async._models.settings import Limits
from nbp_async._pacing.daily_quota import next_pacific_midnight
from nbp_async._vendors.profiles import DialectName
from nbp_async._vendors.services import services
from nbp_async.fake import FakeServer, faults
from nbp_async.testing.journal import inline_journal
from tests.loopback.oracle import assert_settled
from tests.loopback.play import KEY, now, play, profile

pytestmark = pytest.mark.looptime

_NO_CREDITS = {"error": {"code": 429, "message": "Your prepayment credits are depleted."}}
_NO_MODEL = {"error": {"code": "model_not_found", "message": "No available channel for model x"}}
_NO_DAY = {
    "error": {
        "code": 429,
        "message": "You exceeded your current quota.",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}],
            },
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3s"},
        ],
    }
}


@pytest.mark.parametrize("dialect", ["openai_images", "gemini"])
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, _NO_CREDITS, QuotaError),
        (429, _NO_DAY, QuotaError),
        (503, _NO_MODEL, InvalidRequestError),
    ],
)
async def test_what_no_waiting_solves_ends_at_once(
    dialect: DialectName, status: int, body: dict[str, Any], kind: type, tmp_path: Path
) -> None:
    outcome, server = await play(faults.status(status, body=body), dialect=dialect, out=tmp_path)
    assert isinstance(outcome, Failure)
    assert type(outcome.error) is kind
    assert body["error"]["message"].rstrip(".") in str(outcome.error)
    assert outcome.billing == "no"
    assert server.stats().requests == 1
    assert now() < 1


async def test_a_days_quota_says_when_it_is_renewed() -> None:
    before = time.time()
    outcome, _ = await play(faults.status(429, body=_NO_DAY), dialect="gemini")
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, QuotaError)
    assert outcome.error.resets_at == next_pacific_midnight(before)
    assert re.search(r"midnight Pacific time, 20\d\d-.* 0[78]:00 UTC", str(outcome.error))


async def test_a_task_that_is_not_accepted_for_want_of_credits_ends_at_once() -> None:
    async with FakeServer(latency=60.0, keys=[KEY]) as server:
        server.script(faults.status(429, body=_NO_CREDITS))
        relay = dataclasses.replace(
            profile(server, "openai_images"), tasks=services()["article"].tasks
        )
        async with Client(relay, KEY) as gen:
            batch = await gen.many(["a red bicycle"], size="1K", via="poll")
            assert [type(failure.error) for failure in batch.failures] == [QuotaError]
            await assert_settled(gen, server, batch)
    assert now() < 1


async def test_pages_that_may_be_billed_are_not_bought_for_every_prompt() -> None:
    async with FakeServer(latency=60.0, keys=[KEY]) as server:
        server.script(*[faults.html_page()] * 20)
        limits = Limits(max_in_flight=4)
        async with Client(profile(server, "openai_images"), KEY, limits=limits) as gen:
            batch = await gen.many([f"bicycle {n}" for n in range(20)], size="1K")
            kinds = [type(failure.error) for failure in batch.failures]
            assert kinds.count(StoppedError) >= 20 - 2 * 4
            assert server.bank.images <= 2 * 4
            await assert_settled(gen, server, batch)


async def test_a_run_that_a_days_quota_stopped_goes_on_when_it_is_renewed(tmp_path: Path) -> None:
    prompts = [f"bicycle {n}" for n in range(8)]
    async with FakeServer(latency=60.0, keys=[KEY]) as server:
        used_up = faults.status(429, body=_NO_DAY)
        server.script(faults.ok(), faults.ok(), used_up, used_up, used_up)

        async def call() -> Batch:
            limits = Limits(max_in_flight=1)
            async with Client(profile(server, "gemini"), KEY, limits=limits) as gen:
                journal = await inline_journal(tmp_path / JOURNAL)
                return await gen.many(prompts, size="1K", journal=journal)

        first = await call()
        assert len(first.images) == 2
        assert isinstance(first.stopped, QuotaError)
        assert first.stopped.resets_at is not None
        for failure in first.failures:
            assert failure.billing == "no"
            assert "renewed at midnight Pacific time, 20" in str(failure.error)
        made = await call()
        assert [outcome.ok for outcome in made] == [True] * 8
        assert server.bank.images == 8
        assert server.bank.billed == sum(o.spent + o.spent_earlier for o in made)
