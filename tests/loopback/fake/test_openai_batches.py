"""OpenAI's files and batches, driven by its own SDK in virtual time."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Final

import openai
import pytest

from nbp_async.fake import FakeServer, faults

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
