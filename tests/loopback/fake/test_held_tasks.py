"""Tasks whose submit is held until the result, lists of tasks, and states that come as events."""

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest

from nbp_async.fake import faults as f
from nbp_async.fake import task_faults as t
from tests.loopback.fake.api_client import HttpReply, billed
from tests.loopback.fake.service_clients import ServiceClient, input_of, service_client

pytestmark = pytest.mark.looptime(start=0)
FAL = "fal-ai/nano-banana-pro"


def now() -> float:
    return asyncio.get_running_loop().time()


async def prefer(client: ServiceClient, wish: str, **body: Any) -> HttpReply:
    """Submit a prediction with this wish."""
    url = f"{client.base}/models/google/nano-banana-pro/predictions"
    auth = client.how.auth(client.key)
    return await client.call.post(url, {"input": input_of("a cat"), **body}, Prefer=wish, **auth)


async def run(client: ServiceClient, prompt: str = "a cat") -> HttpReply:
    url = f"{client.base}/run/{FAL}"
    return await client.call.post(url, input_of(prompt), **client.how.auth(client.key))


@pytest.mark.parametrize(
    ("wish", "latency", "held", "state"),
    [
        ("wait", 30, 30, "succeeded"),
        ("wait=40", 30, 30, "succeeded"),
        ("wait", 90, 60, "processing"),
        ("wait=5", 90, 5, "starting"),
        ("wait=500", 90, 60, "processing"),
        ("wait=odd", 30, 30, "succeeded"),
        ("respond-async", 30, 0, "starting"),
    ],
)
async def test_replicate_holds_a_submit_as_long_as_it_is_preferred(
    wish: str, latency: float, held: float, state: str
) -> None:
    async with service_client("replicate", latency=latency) as client:
        made = await prefer(client, wish)
        assert made.status == 201
        assert now() == pytest.approx(held, abs=0.1)
        assert made.json["status"] == state
        assert (made.json["output"] is not None) == (state == "succeeded")
        await client.call.server.drain()
        assert billed(client.call) == [True if state == "succeeded" else None]


async def test_a_prediction_says_what_it_ran_when_and_how_long() -> None:
    async with service_client("replicate") as client:
        versions = await client._ask("GET", "/models/google/nano-banana-pro/versions")
        version = versions.json["results"][0]["id"]
        hidden = (await client.submit()).json
        assert (hidden["version"], hidden["started_at"], hidden["metrics"]) == ("hidden", None, {})
        body = {"version": version, "input": input_of("a dog")}
        made = (await client._ask("POST", "/predictions", body)).json
        await client.call.server.drain()
        done = (await client.poll(made["id"])).json
        assert (done["version"], done["model"]) == (version, "google/nano-banana-pro")
        assert done["metrics"]["image_count"] == 1
        assert made["created_at"] <= done["started_at"] <= done["completed_at"]


async def test_predictions_are_listed_by_page_newest_first_for_each_key() -> None:
    async with service_client("replicate", latency=1, keys=["a", "b"]) as client:
        ids = [await client.task(f"cat {number}") for number in range(101)][::-1]
        await client.call.server.drain()
        page = (await client._ask("GET", "/predictions")).json
        following = page["next"].removeprefix(client.base)
        rest = (await client._ask("GET", following)).json
        assert [one["id"] for one in page["results"] + rest["results"]] == ids
        assert (len(rest["results"]), rest["next"]) == (1, None)
        assert billed(client.call) == [True] * 101
        other = ServiceClient(client.call, "replicate", "b")
        assert (await other._ask("GET", "/predictions")).json["results"] == []
        assert (await client._ask("GET", "/predictions?cursor=odd")).status == 400


async def test_replicate_lists_models_and_keeps_files_of_their_owner() -> None:
    async with service_client("replicate", keys=["a", "b"]) as client:
        names = (await client._ask("GET", "/models")).json["results"]
        assert {"google/nano-banana-pro", "openai/gpt-image-2"} <= {
            f"{model['owner']}/{model['name']}" for model in names
        }
        assert (await client._ask("GET", "/models/openai/nano-banana-pro")).status == 404
        assert (await client._ask("GET", "/models/google/nano-banana-pro/versions/7")).status == 404
        form = b'--x\r\nContent-Disposition: form-data; name="content"; filename="a.png"\r\n\r\n'
        heads = client.how.auth("a") | {"Content-Type": "multipart/form-data; boundary=x"}
        url = f"{client.base}/files"
        async with client.call.session.post(
            url, data=form + b"png\r\n--x--\r\n", headers=heads
        ) as answer:
            file = json.loads(await answer.read())
        assert (answer.status, file["name"], file["size"]) == (201, "a.png", 3)
        path = f"/files/{file['id']}"
        other = ServiceClient(client.call, "replicate", "b")
        assert (await client._ask("GET", path)).json == file
        assert (await other._ask("GET", path)).status == 404
        assert (await client._ask("DELETE", path)).status == 204
        assert (await client._ask("GET", "/files")).json["results"] == []


async def test_fal_runs_without_its_queue() -> None:
    async with service_client("fal") as client:
        made = await run(client)
        assert made.status == 200
        assert now() == pytest.approx(100, abs=0.1)
        assert len(made.json["images"]) == 1
        assert billed(client.call) == [True]
        assert client.call.server.bank.billed == Decimal("0.134")


async def test_a_run_that_nobody_gets_is_billed_and_lost() -> None:
    async with service_client("fal") as client:
        server = client.call.server
        server.script(f.status(502, billed=True), match="billed")
        assert (await run(client, "billed")).status == 502
        server.script(t.failed(billed=True), match="fails")
        assert (await run(client, "fails")).status == 500
        server.script(f.blocked(), match="refused")
        refused = await run(client, "refused")
        assert (refused.status, refused.json["detail"][0]["type"]) == (
            422,
            "content_policy_violation",
        )
        await server.drain()
        ledger = [(entry.prompt, entry.delivered) for entry in server.bank.ledger]
        assert ledger == [("billed", False), ("fails", False)]


async def test_fal_tells_each_state_as_it_comes_with_logs_if_they_are_wanted() -> None:
    async with service_client("fal") as client:
        task = await client.task()
        url = f"{client.base}/{FAL}/requests/{task}/status/stream?logs=1"
        times, states = [], []
        async with client.call.session.get(url, headers=client.how.auth(client.key)) as answer:
            assert answer.content_type == "text/event-stream"
            async for line in answer.content:
                if line.startswith(b"data: "):
                    times.append(now())
                    states.append(json.loads(line[6:]))
        assert [one["status"] for one in states] == ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]
        assert times == pytest.approx([0, 10, 100], abs=0.1)
        assert states[1]["logs"][0]["message"]
        assert (await client.poll(task)).json["logs"] is None


async def test_a_stream_of_states_ends_with_a_cancelled_task() -> None:
    async with service_client("fal") as client:
        task = await client.task()

        async def stop() -> HttpReply:
            await asyncio.sleep(20)
            return await client.cancel(task)

        stopping = asyncio.create_task(stop())
        path = f"/{FAL}/requests/{task}/status/stream"
        events = (await client._ask("GET", path)).body.split(b"data: ")[1:]
        last = json.loads(events[-1])
        assert (last["status"], last["error_type"]) == ("COMPLETED", "request_cancelled")
        assert now() == pytest.approx(20, abs=0.1)
        assert (await stopping).status == 202
        assert billed(client.call) == []
