"""OpenAI's files and batches, driven by its own SDK in virtual time."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Final

import aiohttp
import openai
import pytest

from nbp_async.fake import FakeServer, faults
from tests.loopback.fake.task_client import hook_receiver

pytestmark = pytest.mark.looptime
KEY = "sk-fake-openai-batch"
PATH: Final = "/v1/images/generations"


@asynccontextmanager
async def vendor(**options: Any) -> AsyncIterator[tuple[FakeServer, openai.AsyncOpenAI]]:
    async with FakeServer(keys=KEY, seed=3, **{"batch_latency": 600, **options}) as server:
        base = f"{server.base_url}/v1"
        async with openai.AsyncOpenAI(api_key=KEY, base_url=base, max_retries=0) as client:
            yield server, client


def line(name: str, **body: Any) -> dict[str, Any]:
    full = {"model": "gemini-3-pro-image", "prompt": f"p-{name}", **body}
    return {"custom_id": name, "method": "POST", "url": PATH, "body": full}


async def create(client: openai.AsyncOpenAI, *lines: dict[str, Any]) -> Any:
    data = "".join(json.dumps(one) + "\n" for one in lines).encode()
    file = await client.files.create(file=("in.jsonl", data), purpose="batch")
    return await client.batches.create(
        input_file_id=file.id, endpoint=PATH, completion_window="24h"
    )


async def poll(client: openai.AsyncOpenAI, job: Any) -> Any:
    return await client.batches.retrieve(job.id)


async def results(client: openai.AsyncOpenAI, file: str | None) -> dict[str, Any]:
    assert file is not None
    text = (await client.files.content(file)).text
    return {one["custom_id"]: one for one in map(json.loads, text.splitlines())}


async def test_a_job_costs_half_and_lists_its_errors() -> None:
    async with vendor() as (server, client):
        server.script(faults.status(500), match="p-bad")
        job = await create(client, *(line(f"k{n}") for n in range(4)), line("bad"))
        assert job.status == "validating"
        await server.drain()
        job = await poll(client, job)
        assert job.status == "completed"
        counts = job.request_counts
        assert (counts.total, counts.completed, counts.failed) == (5, 4, 1)
        good = await results(client, job.output_file_id)
        assert set(good) == {"k0", "k1", "k2", "k3"}
        assert all(one["response"]["body"]["data"][0]["b64_json"] for one in good.values())
        bad = await results(client, job.error_file_id)
        assert bad["bad"]["response"]["status_code"] == 500
        assert [entry.delivered for entry in server.bank.ledger] == [True] * 4
        assert server.bank.images == 4
        assert server.bank.billed < Decimal("0.134") * 4 * Decimal("0.55")


async def endpoint(server: FakeServer, url: str, *types: str) -> str:
    """Make an endpoint for webhooks, as an account does once; returns its secret."""
    wanted = {"name": "n", "url": url, "event_types": types}
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session,
        session.post(f"{server.openai_url}/webhook_endpoints", json=wanted) as answer,
    ):
        secret: str = (await answer.json())["signing_secret"]
        return secret


async def ended(client: openai.AsyncOpenAI, ending: str) -> str:
    """Let a job end so; returns its id."""
    if ending == "failed":
        file = await client.files.create(file=("in.jsonl", b"no JSON\n"), purpose="batch")
        job = await client.batches.create(
            input_file_id=file.id, endpoint=PATH, completion_window="24h"
        )
    else:
        job = await create(client, line("a"))
    if ending == "cancelled":
        await client.batches.cancel(job.id)
    return job.id


@pytest.mark.parametrize("ending", ["completed", "failed", "expired", "cancelled"])
async def test_each_end_is_told_to_the_endpoints_that_want_it(ending: str) -> None:
    latency = 48 * 3600 if ending == "expired" else 600
    # The client's check of the signature reads the wall's clock, so the server has it as well.
    async with vendor(batch_latency=latency, clock=time.time) as (server, client):
        async with hook_receiver() as wanting, hook_receiver() as other:
            secret = await endpoint(server, wanting.url, f"batch.{ending}", "response.completed")
            others = {"completed", "failed", "expired", "cancelled"} - {ending}
            await endpoint(server, other.url, *(f"batch.{name}" for name in others))
            id_ = await ended(client, ending)
            await server.drain(webhooks=True)
            assert other.webhooks == []
            ((headers, body),) = wanting.webhooks
            event = client.webhooks.unwrap(body, headers, secret=secret)
        assert event.type == f"batch.{ending}"
        known = json.loads(body)
        assert (known["object"], known["data"]) == ("event", {"id": id_})
        assert (await client.batches.retrieve(id_)).status == ending


async def test_nobody_is_told_without_an_endpoint() -> None:
    async with vendor() as (server, client):
        await create(client, line("a"))
        await server.drain(webhooks=True)
        assert server.stats().webhooks == 0


async def test_an_expired_job_has_the_results_rendered_by_then() -> None:
    async with vendor(batch_latency=48 * 3600) as (server, client):
        job = await create(client, *(line(f"k{n}") for n in range(4)))
        await server.drain()
        job = await client.batches.retrieve(job.id)
        assert job.status == "expired"
        done = await results(client, job.output_file_id)
        late = await results(client, job.error_file_id)
        assert len(done) + len(late) == 4
        assert all(one["error"]["code"] == "batch_expired" for one in late.values())
        assert server.bank.images == len(done) > 0


async def test_a_cancelled_job_renders_no_more() -> None:
    async with vendor() as (server, client):
        job = await client.batches.cancel((await create(client, line("a"), line("b"))).id)
        assert job.status == "cancelling"
        await server.drain()
        assert (await client.batches.retrieve(job.id)).status == "cancelled"
        assert server.bank.images == 0
        with pytest.raises(openai.ConflictError):
            await client.batches.cancel(job.id)


async def test_an_invalid_file_fails_the_job() -> None:
    async with vendor() as (server, client):
        job = await create(client, line("a"), line("a"))
        await server.drain()
        job = await poll(client, job)
        assert job.status == "failed"
        assert job.errors.data[0].code == "duplicate_custom_id"
        assert job.errors.data[0].line == 2
        assert server.bank.ledger == []


async def test_a_create_without_an_answer_makes_a_job_and_the_next_makes_another() -> None:
    async with vendor() as (server, client):
        server.script(faults.disconnect(), match="create in.jsonl")
        with pytest.raises(openai.APIConnectionError):
            await create(client, line("a"))
        await create(client, line("a"))
        await server.drain()
        page = await client.batches.list(limit=1)
        assert page.has_more
        assert len([one async for one in page]) == 2
        assert server.bank.billed_for("p-a") == 2
