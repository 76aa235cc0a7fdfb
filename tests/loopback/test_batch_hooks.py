"""Batch jobs that call back: a hint that ends a wait, and nothing that is believed."""

import asyncio
import dataclasses
import socket
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from nbp_async._base.errors import ConfigError
from nbp_async._batch_api import batch_job as batch_jobs
from nbp_async._client.client import Client
from nbp_async._journal.base import JOURNAL
from nbp_async._webhooks import receiver as app
from nbp_async._webhooks.jwks import PublicKeys, fetch_jwks
from nbp_async._webhooks.schemes import SCHEMES
from nbp_async._webhooks.webhook import Webhook
from nbp_async.fake import FakeServer
from nbp_async.fake.signing import OutgoingWebhook, SigningKeys
from nbp_async.testing.journal import inline_journal
from tests.loopback.batches import (
    ONLY_GOOGLE,
    ONLY_OPENAI,
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
SECRET = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"
DAY = 86_400.0


@pytest.fixture(autouse=True)
def _seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks come so seldom that only a hint can bring one in time."""
    monkeypatch.setattr(batch_jobs, "FIRST_POLL", DAY)
    monkeypatch.setattr(batch_jobs, "LONGEST_POLL", DAY)


def googles(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Webhook:
    """Hooks that each job asks for; their public keys are the server's."""

    async def read(url: str) -> bytes:
        assert url == SCHEMES["google"].jwks_url
        return await fetch_jwks(f"{server.base_url}/.well-known/jwks.json")

    monkeypatch.setattr(app, "PublicKeys", lambda url: PublicKeys(url, read))
    return Webhook(scheme="google")


async def make(server: FakeServer, folder: Path, hook: Webhook | None, **more: Any) -> Client:
    async with Client(vendor_profile(server), KEY, rng=lambda: 0.5, webhook=hook, **more) as gen:
        journal = await inline_journal(folder / JOURNAL)
        made = await gen.many(PROMPTS[:4], size="1K", via="batch", journal=journal)
        assert len(made.images) == 4 == server.bank.images
        await assert_settled(gen, server, made)
        return gen


@ONLY_GOOGLE
async def test_a_job_that_calls_back_is_polled_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Signed by the server's clock, which goes on with the loop's, and checked by the wall's.
    async with vendor(batch_latency=200.0, interactions=True) as server:
        await make(server, tmp_path, googles(server, monkeypatch))
        assert 200 <= now() < 250
        assert server.stats().webhooks_delivered == 2, "one for each job"


@ONLY_GOOGLE
async def test_without_a_webhook_a_job_is_polled_when_it_is_due(tmp_path: Path) -> None:
    async with vendor() as server:
        await make(server, tmp_path, None)
        assert now() >= DAY
        assert server.stats().webhooks == 0


@ONLY_GOOGLE
async def test_without_reachable_webhooks_jobs_are_polled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address is of somebody who is not there: the vendor tries, and looks go on."""
    async with vendor() as server:
        hook = dataclasses.replace(
            googles(server, monkeypatch), public_url="http://127.0.0.1:9", allow_private=True
        )
        await make(server, tmp_path, hook)
        assert now() >= DAY


@ONLY_OPENAI
@pytest.mark.parametrize("forged", [False, True])
async def test_an_accounts_own_webhook_is_a_hint_if_it_is_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forged: bool
) -> None:
    """OpenAI's are set up once for an account: the test sends what it would."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    hook = Webhook(secret=SECRET, port=port, path="a-path-that-nobody-guesses")
    begun = batch_jobs.BatchJob.follow
    sent: list[int] = []

    async def follow(job: Any) -> None:
        body = b'{"type":"batch.completed","data":{"id":"%s"}}' % job.record.id.encode()
        letter = OutgoingWebhook(f"evt-{job.record.id}", job.record.id, hook.address(port), body)
        keys = SigningKeys(0, "whsec_bm90LXRoZS1zZWNyZXQtYXQtYWxsLTEyMw==" if forged else SECRET)

        async def post() -> None:
            await asyncio.sleep(1000)
            body, headers = await keys.send_as(letter, "standard", time.time(), "")
            async with (
                aiohttp.ClientSession() as session,
                session.post(letter.url, data=body, headers=headers) as answer,
            ):
                sent.append(answer.status)

        async with asyncio.TaskGroup() as group:
            group.create_task(post())
            await begun(job)

    monkeypatch.setattr(batch_jobs.BatchJob, "follow", follow)
    async with vendor() as server:
        await make(server, tmp_path, hook)
    assert sent == [401 if forged else 200] * 2
    assert (now() >= DAY) == forged


async def test_a_webhook_with_another_signature_scheme_is_refused(tmp_path: Path) -> None:
    async with vendor() as server:
        hook = Webhook(scheme="kie", secret="not-a-secret-of-anybody-at-all")
        async with Client(vendor_profile(server), KEY, webhook=hook) as gen:
            with pytest.raises(ConfigError, match="use another signature scheme"):
                gen.many(PROMPTS, via="batch", out=tmp_path)
        assert not server.stats().requests
