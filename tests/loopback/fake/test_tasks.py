"""Relays' task mode: submit, poll, result, cancel; and what is billed."""

import asyncio
import base64
from decimal import Decimal

import aiohttp
import pytest

from nbp_async.fake import task_faults as t
from nbp_async.fake.faults import rate_limited
from nbp_async.fake.quotas import Quotas
from tests.loopback.fake.api_client import billed, vendor
from tests.loopback.fake.task_client import cancel, hook_receiver, poll, state, submit, task_of

pytestmark = pytest.mark.looptime(start=0)


async def test_a_task_is_answered_at_once_and_its_result_is_a_held_calls_answer() -> None:
    async with vendor(latency=100) as call:
        name = await task_of(call)
        assert asyncio.get_running_loop().time() < 1
        assert await state(call, name) == "pending"
        await asyncio.sleep(50)
        running = (await poll(call, name)).json
        assert (running["status"], running["progress"]) == ("processing", 50)
        assert running["result"] is None
        await asyncio.sleep(50)
        done = (await poll(call, name)).json
        assert (done["task_id"], done["status"], done["error"]) == (name, "completed", None)
        held = (await call.images("a cat")).json
        assert done["result"]["data"] == held["data"]
        assert billed(call) == [True, True]


async def test_a_task_is_billed_when_it_is_rendered_without_any_poll() -> None:
    async with vendor(latency=100) as call:
        await task_of(call)
        await asyncio.sleep(99)
        assert billed(call) == []
        await call.server.drain()
        assert asyncio.get_running_loop().time() == pytest.approx(100, abs=0.1)
        assert billed(call) == [None]
        assert call.server.bank.billed == Decimal("0.134")


async def test_the_result_has_links_on_request() -> None:
    async with vendor() as call:
        name = await task_of(call, response_format="url", n=2)
        await call.server.drain()
        data = (await poll(call, name)).json["result"]["data"]
        assert (await poll(call, name)).json["result"]["data"] == data
        images = [(await call.get(item["url"])).body for item in data]
        held = (await call.images("a cat", n=2)).json["data"]
        assert images == [base64.b64decode(item["b64_json"]) for item in held]
        assert billed(call) == [True, True]


async def test_edits_are_submitted_as_json_and_as_a_form() -> None:
    async with vendor() as call:
        url = f"{call.server.openai_url}/images/edits/async"
        auth = {"Authorization": f"Bearer {call.server.key}"}
        pixel = "data:image/png;base64," + base64.b64encode(b"png").decode()
        body = {"model": "nano-banana-pro", "prompt": "a", "images": [{"image_url": pixel}]}
        assert (await call.post(url, body, **auth)).status == 200
        form = aiohttp.FormData({"model": "nano-banana-pro", "prompt": "b"})
        form.add_field("image", b"png", filename="a.png", content_type="image/png")
        async with call.session.post(url, data=form, headers=auth) as answer:
            assert answer.status == 200
        await call.server.drain()
        assert [entry.prompt for entry in call.server.bank.ledger] == ["a", "b"]


async def test_a_cancelled_task_is_not_billed_and_stays_cancelled() -> None:
    async with vendor(latency=100) as call:
        name = await task_of(call)
        await asyncio.sleep(99)
        assert (await cancel(call, name)).json["status"] == "cancelled"
        await call.server.drain()
        await asyncio.sleep(10)
        assert await state(call, name) == "cancelled"
        assert call.server.stats().open_tasks == 0
        assert billed(call) == []


async def test_a_cancel_after_the_work_changes_nothing() -> None:
    async with vendor(latency=100) as call:
        name = await task_of(call)
        await asyncio.sleep(101)
        assert (await cancel(call, name)).json["status"] == "completed"
        assert (await poll(call, name)).json["result"]["data"]
        assert billed(call) == [True]


async def test_tasks_belong_to_keys_and_are_forgotten() -> None:
    async with vendor(latency=10, keys=["sk-a", "sk-b"], task_retention=60) as call:
        name = await task_of(call)
        assert (await poll(call, name, "sk-b")).status == 404
        assert (await cancel(call, name, "sk-b")).status == 404
        assert (await poll(call, name, "sk-c")).status == 401
        assert (await poll(call, "task_unknown")).status == 404
        await asyncio.sleep(69)
        assert (await poll(call, name)).status == 200
        await asyncio.sleep(2)
        reply = await poll(call, name)
        assert (reply.status, reply.json["error"]["code"]) == (404, "task_not_found")
        assert billed(call) == [True]


async def test_a_result_that_nobody_reads_in_time_is_lost() -> None:
    async with vendor(latency=10, task_retention=60) as call:
        name = await task_of(call)
        await asyncio.sleep(71)
        assert (await poll(call, name)).status == 404
        assert billed(call) == [False]
        assert call.server.stats().lost == 1


async def test_ids_and_times_depend_on_the_job_and_not_on_its_arrival() -> None:
    async def ids(prompts: list[str]) -> dict[str, tuple[str, float]]:
        async with vendor(seed=3) as call:
            names = {prompt: await task_of(call, prompt) for prompt in prompts}
            await call.server.drain()
            at = {entry.prompt: round(entry.at, 1) for entry in call.server.bank.ledger}
        return {prompt: (name, at[prompt]) for prompt, name in names.items()}

    prompts = [f"cat {n}" for n in range(8)]
    assert await ids(prompts) == await ids(prompts[::-1])


async def test_quotas_hold_for_tasks_as_for_held_calls() -> None:
    async with vendor(latency=100, quotas=Quotas(concurrency=1)) as call:
        name = await task_of(call, "a cat")
        assert (await submit(call, "a dog")).status == 429
        assert (await call.images("a dog")).status == 429
        await cancel(call, name)
        assert (await submit(call, "a dog")).status == 200
        await call.server.drain()
        assert [entry.prompt for entry in call.server.bank.ledger] == ["a dog"]


async def test_submits_and_polls_take_their_time() -> None:
    async with vendor(latency=100, speed=10, submit_latency=(1, 3), look_latency=20) as call:
        loop = asyncio.get_running_loop()
        name = await task_of(call)
        assert 0.1 <= loop.time() <= 0.31
        before = loop.time()
        await poll(call, name)
        assert loop.time() - before == pytest.approx(2, abs=0.02)
        await call.server.drain()
        assert loop.time() == pytest.approx(10, abs=0.2)
        assert billed(call) == [None]


async def test_a_known_idempotency_key_gets_the_same_task() -> None:
    async with vendor(idempotency=True) as call:
        url = f"{call.server.openai_url}/images/generations/async"
        heads = {"Authorization": f"Bearer {call.server.key}", "Idempotency-Key": "one"}
        body = {"model": "nano-banana-pro", "prompt": "a cat"}
        first, second = [(await call.post(url, body, **heads)).json for _ in range(2)]
        assert first == second
        await call.server.drain()
        assert billed(call) == [None]


async def test_polls_and_tasks_are_counted() -> None:
    async with vendor(latency=100) as call:
        names = [await task_of(call, f"cat {n}") for n in range(5)]
        assert call.server.stats().open_tasks == 5
        for name in names:
            await poll(call, name)
        await asyncio.sleep(2)
        await poll(call, names[0])
        stats = call.server.stats()
        assert (stats.tasks, stats.looks, stats.peak_looks_per_second) == (5, 6, 5)
        assert (stats.requests, stats.by_status) == (5, {200: 5})
        await call.server.drain()
        assert call.server.stats().open_tasks == 0
        assert billed(call) == [None] * 5


async def test_a_closed_server_leaves_nothing_behind_and_bills_nothing() -> None:
    async with vendor(latency=100) as call:
        await task_of(call)
    await asyncio.sleep(200)
    assert billed(call) == []


async def test_a_submit_that_is_refused_makes_no_task() -> None:
    async with vendor() as call:
        assert (await submit(call, "a cat", rate_limited(3), t.late(5))).status == 429
        assert (await submit(call, "")).status == 400
        assert (await submit(call, "a dog", key="sk-wrong")).status == 401
        assert (call.server.stats().tasks, call.server.unplayed) == (0, 1)
        assert billed(call) == []


async def test_drain_returns_when_the_server_closes() -> None:
    async with vendor(latency=100) as call:
        await task_of(call)
        waiting = asyncio.ensure_future(call.server.drain())
        await asyncio.sleep(1)
    async with asyncio.timeout(1):
        await waiting
    assert billed(call) == []


async def test_an_idempotency_key_of_a_forgotten_task_makes_a_new_one() -> None:
    async with vendor(idempotency=True, task_retention=60) as call:
        url = f"{call.server.openai_url}/images/generations/async"
        heads = {"Authorization": f"Bearer {call.server.key}", "Idempotency-Key": "one"}
        body = {"model": "nano-banana-pro", "prompt": "a cat"}
        first = (await call.post(url, body, **heads)).json["task_id"]
        await asyncio.sleep(61)
        second = (await call.post(url, body, **heads)).json["task_id"]
        assert first != second
        assert (await poll(call, second)).status == 200
        await call.server.drain()
        assert len({entry.id for entry in call.server.bank.ledger}) == 2
        assert billed(call)[0] is False


@pytest.mark.slow
async def test_two_thousand_tasks_run_at_once_and_send_webhooks() -> None:
    async with vendor(latency=120) as call, hook_receiver() as receiver:
        prompts = [f"cat {n}" for n in range(2000)]
        names = await asyncio.gather(
            *(task_of(call, p, response_format="url", webhook_url=receiver.url) for p in prompts)
        )
        assert call.server.stats().open_tasks == 2000
        await call.server.drain(webhooks=True)
        assert asyncio.get_running_loop().time() == pytest.approx(120, abs=5)
        assert len(set(names)) == len(receiver.webhooks) == 2000
        assert billed(call) == [True] * 2000
