"""Webhooks at a receiver: signed, sent again, late, twice, forged; and what counts as delivered."""

import asyncio
import base64
import hmac
import json
from collections.abc import Iterable

import pytest
from aiohttp import web

from nbp_async.fake import FakeServer
from nbp_async.fake import faults as f
from nbp_async.fake import task_faults as t
from nbp_async.fake.webhook_sender import SCHEDULE
from tests.loopback.fake.api_client import billed, vendor
from tests.loopback.fake.task_client import cancel, hook_receiver, task_of

pytestmark = pytest.mark.looptime(start=0)

NOW = 1_700_000_000


def marks_of(secrets: Iterable[str], headers: dict[str, str], body: bytes) -> str:
    """The signatures that Standard Webhooks requires."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    keys = [base64.b64decode(secret.removeprefix("whsec_")) for secret in secrets]
    marks = [base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in keys]
    return " ".join(f"v1,{mark}" for mark in marks)


async def test_the_webhook_of_a_task_holds_its_result_and_is_signed() -> None:
    async with vendor(latency=100, clock=lambda: NOW + 0.5) as call, hook_receiver() as receiver:
        name = await task_of(call, webhook_url=receiver.url)
        await call.server.drain(webhooks=True)
        ((headers, body),) = receiver.webhooks
        told = json.loads(body)
        assert (told["task_id"], told["status"]) == (name, "completed")
        assert told["result"]["data"] == (await call.images("a cat")).json["data"]
        assert headers["webhook-timestamp"] == str(NOW)
        assert headers["webhook-signature"] == marks_of([call.server.webhook_secret], headers, body)
        assert receiver.times == [pytest.approx(100, abs=0.1)]
        stats = call.server.stats()
        assert (stats.webhooks, stats.webhooks_delivered, stats.webhooks_failed) == (1, 1, 0)
        assert billed(call) == [True, True]


async def test_a_failure_and_a_cancel_send_webhooks_too() -> None:
    async with vendor(latency=100) as call, hook_receiver() as receiver:
        failed = t.failed("no_room", "No.", billed=True)
        await task_of(call, "a dog", failed, webhook_url=receiver.url)
        await cancel(call, await task_of(call, webhook_url=receiver.url))
        await call.server.drain(webhooks=True)
        told = [json.loads(body) for _, body in receiver.webhooks]
        assert [event["status"] for event in told] == ["cancelled", "failed"]
        assert told[1]["error"] == {"code": "no_room", "message": "No."}
        assert billed(call) == [False]


async def test_the_secret_is_known_before_the_start_or_chosen() -> None:
    chosen = "whsec_" + base64.b64encode(bytes(range(32))).decode()
    assert FakeServer(webhook_secret=chosen).webhook_secret == chosen
    assert FakeServer(seed=1).webhook_secret != FakeServer(seed=2).webhook_secret
    for wrong in ("", "whsec_%"):
        with pytest.raises(ValueError, match="secret"):
            FakeServer(webhook_secret=[wrong])


async def test_two_secrets_sign_while_one_replaces_the_other() -> None:
    secrets = ["whsec_" + base64.b64encode(bytes([n] * 32)).decode() for n in (1, 2)]
    async with vendor(webhook_secret=secrets) as call, hook_receiver() as receiver:
        await task_of(call, webhook_url=receiver.url)
        await call.server.drain(webhooks=True)
        ((headers, body),) = receiver.webhooks
        assert headers["webhook-signature"] == marks_of(secrets, headers, body)
        assert billed(call) == [True]


async def test_a_failing_receiver_gets_attempts_on_the_schedule_with_one_id() -> None:
    async with vendor() as call, hook_receiver() as receiver:
        receiver.answer = lambda number: web.Response(status=200 if number == 4 else 500)
        await task_of(call, webhook_url=receiver.url)
        await call.server.drain(webhooks=True)
        assert receiver.times == pytest.approx([0, 5, 305, 2105], abs=0.5)
        assert len({headers["webhook-id"] for headers, _ in receiver.webhooks}) == 1
        sent = call.server.webhooks_sent
        assert [(post.attempt, post.status) for post in sent] == [
            (1, 500),
            (2, 500),
            (3, 500),
            (4, 200),
        ]
        assert billed(call) == [True]


async def test_a_webhook_is_abandoned_after_three_days() -> None:
    async with vendor(speed=10) as call:
        await task_of(call, webhook_url="http://127.0.0.1:9/hook")
        await call.server.drain(webhooks=True)
        assert asyncio.get_running_loop().time() == pytest.approx(sum(SCHEDULE) / 10, abs=1)
        assert [post.status for post in call.server.webhooks_sent] == [0] * 10
        assert call.server.stats().webhooks_failed == 1
        assert billed(call) == [None]


async def test_a_receiver_can_ask_for_a_wait_or_for_no_more() -> None:
    async with vendor() as call, hook_receiver() as receiver:
        receiver.answer = lambda number: (
            web.Response(status=429, headers={"Retry-After": "60"})
            if number == 1
            else web.Response(status=410)
        )
        await task_of(call, webhook_url=receiver.url)
        await call.server.drain(webhooks=True)
        assert receiver.times == pytest.approx([0, 60], abs=0.5)
        assert call.server.stats().webhooks_failed == 1
        assert billed(call) == [None]


async def test_webhooks_can_come_twice_late_or_never() -> None:
    async with vendor(latency=10) as call, hook_receiver() as receiver:
        await task_of(call, "a cat", t.hook(late=50), webhook_url=receiver.url)
        await task_of(call, "a dog", t.hook(times=2), webhook_url=receiver.url)
        await task_of(call, "a cow", t.hook(times=0), webhook_url=receiver.url)
        await call.server.drain(webhooks=True)
        assert receiver.times == pytest.approx([10, 10, 60], abs=0.2)
        ids = [headers["webhook-id"] for headers, _ in receiver.webhooks]
        assert ids[0] == ids[1] != ids[2]
        rows = {entry.prompt: entry.delivered for entry in call.server.bank.ledger}
        assert rows == {"a cat": True, "a dog": True, "a cow": None}


@pytest.mark.parametrize("forged", ["key", "body", "id", "garbage", "unsigned"])
async def test_a_forged_webhook_comes_first_and_does_not_verify(forged: t.Forgery) -> None:
    async with vendor() as call, hook_receiver() as receiver:
        receiver.answer = lambda number: web.Response(status=401 if number == 1 else 200)
        await task_of(call, "a cat", t.hook(forged=forged), webhook_url=receiver.url)
        await call.server.drain(webhooks=True)
        secret = [call.server.webhook_secret]
        (forgery, body), (true, true_body) = receiver.webhooks
        given = forgery.get("webhook-signature", "")
        assert not forgery.keys() >= {"webhook-id"} or given != marks_of(secret, forgery, body)
        assert true["webhook-signature"] == marks_of(secret, true, true_body)
        posts = call.server.webhooks_sent
        assert [(p.forged, p.attempt, p.status) for p in posts] == [(forged, 0, 401), ("", 1, 200)]
        assert call.server.stats().webhooks_delivered == 1
        assert billed(call) == [True]


async def test_an_old_webhook_has_a_valid_signature_of_ten_minutes_ago() -> None:
    async with vendor(clock=lambda: float(NOW)) as call, hook_receiver() as receiver:
        await task_of(call, "a cat", t.hook(times=0, forged="old"), webhook_url=receiver.url)
        await call.server.drain(webhooks=True)
        ((headers, body),) = receiver.webhooks
        assert headers["webhook-timestamp"] == str(NOW - 600)
        assert headers["webhook-signature"] == marks_of([call.server.webhook_secret], headers, body)
        assert billed(call) == [None]


async def test_a_rejected_webhook_leaves_the_result_to_be_polled() -> None:
    async with vendor() as call, hook_receiver() as receiver:
        receiver.answer = lambda _: web.Response(status=307, headers={"Location": "/elsewhere"})
        call.server.script(f.ok())
        await task_of(call, webhook_url=receiver.url)
        await call.server.drain()
        await asyncio.sleep(1)
        assert [post.status for post in call.server.webhooks_sent] == [307]
        assert billed(call) == [None]


async def test_a_service_with_one_event_sends_it_once_in_any_order() -> None:
    async with vendor() as call, hook_receiver() as receiver:
        await task_of(call, "a cat", t.hook(reverse=True), webhook_url=receiver.url)
        await call.server.drain(webhooks=True)
        assert len(receiver.webhooks) == 1
        assert billed(call) == [True]


@pytest.mark.parametrize(
    "url", ["nowhere", "ftp://example.com/", "http://[", "http://x:99999/", "http://\u2028/", "//"]
)
async def test_an_invalid_callback_is_abandoned_like_any_other(url: str) -> None:
    async with vendor() as call:
        await task_of(call, webhook_url=url)
        await call.server.drain(webhooks=True)
        assert {post.status for post in call.server.webhooks_sent} == {0}
        assert call.server.stats().webhooks_failed == 1
        assert billed(call) == [None]


async def test_a_closed_server_abandons_its_webhooks() -> None:
    async with hook_receiver() as receiver:
        receiver.answer = lambda _: web.Response(status=500)
        async with vendor() as call:
            await task_of(call, webhook_url=receiver.url)
            await asyncio.sleep(10)
        await asyncio.sleep(1000)
        assert len(receiver.webhooks) == 2
        assert billed(call) == [None]
