"""OpenAI's responses whose image tool makes an image: held, in the background, and webhooks."""

import asyncio
import base64
import hmac
import json
from decimal import Decimal
from typing import Any

import pytest

from nbp_async.fake import faults as f
from nbp_async.fake import task_faults as t
from tests.loopback.fake.api_client import ApiClient, HttpReply, billed, vendor
from tests.loopback.fake.task_client import hook_receiver

pytestmark = pytest.mark.looptime(start=0)
TOOL = {"type": "image_generation", "size": "1024x1024", "quality": "low"}


async def respond(call: ApiClient, text: Any = "a cat", **fields: Any) -> HttpReply:
    body = {"model": "gpt-5.4", "input": text, "tools": [TOOL], **fields}
    return await call.post(f"{call.server.openai_url}/responses", body, **auth(call))


def auth(call: ApiClient) -> dict[str, str]:
    return {"Authorization": f"Bearer {call.server.key}"}


async def look(call: ApiClient, id_: str) -> Any:
    return (await call.get(f"{call.server.openai_url}/responses/{id_}", **auth(call))).json


async def test_a_response_is_held_and_billed_as_the_images_api_bills_its_image() -> None:
    async with vendor(latency=100) as call:
        made = await respond(call)
        assert asyncio.get_running_loop().time() == pytest.approx(100, abs=0.1)
        image = made.json["output"][0]
        assert (image["type"], image["status"]) == ("image_generation_call", "completed")
        held = await call.images("a cat", model="gpt-image-2", size="1024x1024", quality="low")
        assert base64.b64decode(image["result"]) == held.image
        first, second = (entry.price for entry in call.server.bank.ledger)
        assert first == second > Decimal(0)
        usage = made.json["tool_usage"]["image_gen"]
        assert (usage["input_tokens"], usage["output_tokens"]) == (2, 196)
        assert billed(call) == [True, True]


async def test_in_the_background_it_is_polled() -> None:
    async with vendor(latency=100) as call:
        id_ = (await respond(call, background=True)).json["id"]
        states = []
        for _ in range(3):
            states.append((await look(call, id_))["status"])
            await asyncio.sleep(60)
        assert states == ["queued", "in_progress", "completed"]
        assert billed(call) == [True]


async def test_a_cancelled_response_costs_nothing() -> None:
    async with vendor(latency=100) as call:
        id_ = (await respond(call, background=True)).json["id"]
        url = f"{call.server.openai_url}/responses/{id_}/cancel"
        assert (await call.post(url, None, **auth(call))).json["status"] == "cancelled"
        await call.server.drain()
        assert billed(call) == []


async def test_references_come_from_messages_and_earlier_images() -> None:
    async with vendor() as call:
        pixel = "data:image/png;base64," + base64.b64encode(b"png").decode()
        content = [
            {"type": "input_text", "text": "with a hat"},
            {"type": "input_image", "image_url": pixel},
        ]
        earlier = {"type": "image_generation_call", "id": "ig_1"}
        made = await respond(
            call,
            [{"role": "user", "content": "a cat"}, earlier, {"role": "user", "content": content}],
        )
        assert call.server.bank.ledger[0].prompt == "with a hat"
        assert made.json["tool_usage"]["image_gen"]["input_tokens_details"]["image_tokens"] == 1120


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": []}, "tools"),
        ({"model": ""}, "model"),
        ({"input": None}, "input"),
        ({"stream": True}, "stream"),
        ({"tools": [TOOL | {"size": "7x7"}]}, "size"),
        ({"tools": [TOOL | {"model": "nano-banana-pro"}]}, "tools[0].model"),
    ],
)
async def test_what_it_cannot_make_is_refused(fields: dict[str, Any], param: str) -> None:
    async with vendor() as call:
        reply = await respond(call, **fields)
        assert (reply.status, reply.json["error"]["param"]) == (400, param)
        assert billed(call) == []


@pytest.mark.parametrize(
    ("fault", "code", "ledger"),
    [
        (f.blocked(), "image_content_policy_violation", []),
        (t.failed(billed=True), "server_error", [False]),
    ],
)
async def test_a_failed_response_says_why(
    fault: f.Fault, code: str, ledger: list[bool | None]
) -> None:
    async with vendor() as call:
        call.server.script(fault)
        made = (await respond(call)).json
        assert (made["status"], made["error"]["code"], made["output"]) == ("failed", code, [])
        assert billed(call) == ledger


async def test_an_endpoint_is_told_the_events_it_wants_signed_by_standard_webhooks() -> None:
    async with vendor(latency=10) as call, hook_receiver() as receiver:
        url = f"{call.server.openai_url}/webhook_endpoints"
        wanted = {"name": "n", "url": receiver.url, "event_types": ["response.completed"]}
        made = (await call.post(url, wanted, **auth(call))).json
        assert made["signing_secret"] == call.server.webhook_secret
        id_ = (await respond(call, background=True)).json["id"]
        call.server.script(t.failed(), match="fails")
        await respond(call, "it fails", background=True)
        await respond(call, "held")
        await call.server.drain(webhooks=True)
        ((headers, body),) = receiver.webhooks
        event = json.loads(body)
        assert (event["type"], event["data"]) == ("response.completed", {"id": id_})
        key = base64.b64decode(made["signing_secret"].removeprefix("whsec_"))
        text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        signature = base64.b64encode(hmac.digest(key, text, "sha256")).decode()
        assert headers["webhook-signature"] == f"v1,{signature}"
        async with call.session.delete(f"{url}/{made['id']}", headers=auth(call)) as answer:
            assert (await answer.json())["deleted"] is True
        assert (await call.get(url, **auth(call))).json["data"] == []
        await respond(call, "nobody is told", background=True)
        await call.server.drain(webhooks=True)
        assert len(receiver.webhooks) == 1
