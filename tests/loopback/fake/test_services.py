"""Each task service: submit, poll, result, cancel, webhook; and what is billed."""

import asyncio
import base64
import hmac
import json
import sys
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA256

from nbp_async.fake import faults as f
from nbp_async.fake import task_faults as t
from nbp_async.fake.quotas import Quotas
from tests.loopback.fake.api_client import billed, vendor
from tests.loopback.fake.service_clients import SERVICES, ServiceClient, service_client
from tests.loopback.fake.task_client import hook_receiver

pytestmark = pytest.mark.looptime(start=0)


WITHOUT_WEBHOOKS = ("comfly", "sub2api", "bifrost")
CANCELLING = [name for name, service in SERVICES.items() if service.cancel]


@pytest.mark.parametrize("name", SERVICES)
async def test_a_task_has_the_services_states_and_result(name: str) -> None:
    async with service_client(name) as client:
        task = await client.task()
        said = [await client.state(task)]
        await asyncio.sleep(50)
        said.append(await client.state(task))
        await client.call.server.drain()
        said.append(await client.state(task))
        assert tuple(said) == client.how.states[:3]
        reply = await client.result(task)
        (link,) = client.how.images(reply.json)
        image = (await client.call.get(link)).body
        kind = "jpeg" if name == "google-interactions" else "png"
        held = await client.call.images("a cat", size="2752x1536", output_format=kind)
        assert image == held.image
        assert [entry.size for entry in client.call.server.bank.ledger] == ["2K", "2K"]
        assert billed(client.call) == [True, True]


@pytest.mark.parametrize("name", SERVICES)
async def test_a_failure_has_the_services_document(name: str) -> None:
    async with service_client(name) as client:
        task = await client.task("a cat", t.failed("resource_exhausted", "no room", billed=True))
        await client.call.server.drain()
        reply = (await client.poll(task)).json
        assert client.how.state(reply) == client.how.states[3]
        assert client.how.failure(reply) == "no room"
        assert billed(client.call) == [False]


@pytest.mark.parametrize("name", CANCELLING)
async def test_a_task_can_be_cancelled_once_at_no_cost(name: str) -> None:
    async with service_client(name) as client:
        task, done = await client.task("a cat"), await client.task("a dog", t.late(0))
        assert (await client.cancel(task)).status in (200, 202)
        await client.call.server.drain()
        assert (await client.cancel(done)).status in (200, 400)
        assert await client.state(done) == client.how.states[2]
        assert await client.state(task) in ("canceled", "cancelled", "COMPLETED")
        assert [entry.prompt for entry in client.call.server.bank.ledger] == ["a dog"]


@pytest.mark.parametrize("name", SERVICES)
async def test_other_keys_get_the_services_errors(name: str) -> None:
    async with service_client(name, keys=["sk-a", "sk-b"]) as client:
        task = await client.task()
        other = ServiceClient(client.call, name, "sk-b")
        nobody = ServiceClient(client.call, name, "sk-c")
        refused = [await other.poll(task), await nobody.poll(task), await nobody.submit()]
        if name == "kie":
            assert [(reply.status, reply.json["code"]) for reply in refused] == [
                (200, 404),
                (200, 401),
                (200, 401),
            ]
        else:
            assert refused[0].status == 404
            assert {reply.status for reply in refused[1:]} <= {400, 401}
            assert all(reply.json for reply in refused)
        await client.call.server.drain()
        assert billed(client.call) == [None]


@pytest.mark.parametrize("name", SERVICES)
async def test_faults_happen_at_every_service(name: str) -> None:
    async with service_client(name) as client:
        client.call.server.script(f.overloaded(7))
        reply = await client.submit()
        assert (reply.status, reply.json is not None) == (503, True)
        task = await client.task(
            "a cat", t.several(t.hidden(looks=1), t.unknown_state("odd", looks=2))
        )
        hidden = await client.poll(task)
        assert 404 in (hidden.status, hidden.json.get("code"))
        assert await client.state(task) == "odd"
        assert await client.state(task) == client.how.states[0]
        await client.call.server.drain()
        assert billed(client.call) == [None]


@pytest.mark.parametrize("name", SERVICES)
async def test_a_quota_has_the_services_error(name: str) -> None:
    async with service_client(name, quotas=Quotas(concurrency=1)) as client:
        await client.task("a cat")
        reply = await client.submit("a dog")
        assert 429 in (reply.status, reply.json.get("code"))
        await client.call.server.drain()
        assert billed(client.call) == [None]


@pytest.mark.parametrize("name", [n for n in SERVICES if n not in WITHOUT_WEBHOOKS])
async def test_the_end_of_a_task_is_sent_to_its_callback(name: str) -> None:
    async with (
        service_client(name, clock=lambda: 1_700_000_000.0) as client,
        hook_receiver() as receiver,
    ):
        task = await client.task("a cat", url=receiver.url)
        await client.task("a dog", t.failed(message="no"), url=receiver.url)
        await client.call.server.drain(webhooks=True)
        ends = [(heads, body) for heads, body in receiver.webhooks if b"processing" not in body]
        assert len(ends) == 2
        assert any(task in json.dumps(json.loads(body)) for _, body in ends)
        for heads, body in ends:
            await CHECKS[name](client, heads, body)
        assert billed(client.call) == [None if name == "google-interactions" else True]


async def check_nothing(client: ServiceClient, heads: dict[str, str], body: bytes) -> None:
    assert not [name for name in heads if "signature" in name]


async def check_kie(client: ServiceClient, heads: dict[str, str], body: bytes) -> None:
    task = json.loads(body)["data"]["taskId"]
    text = f"{task}.{heads['x-webhook-timestamp']}".encode()
    mark = hmac.digest(client.call.server.webhook_secret.encode(), text, "sha256")
    assert heads["x-webhook-signature"] == base64.b64encode(mark).decode()


async def check_fal(client: ServiceClient, heads: dict[str, str], body: bytes) -> None:
    (key,) = (await client.call.get(f"{client.base}/.well-known/jwks.json")).json["keys"]
    public = Ed25519PublicKey.from_public_bytes(unpacked(key["x"]))
    lines = [heads[f"x-fal-webhook-{name}"] for name in ("request-id", "user-id", "timestamp")]
    text = "\n".join([*lines, sha256(body).hexdigest()]).encode()
    public.verify(bytes.fromhex(heads["x-fal-webhook-signature"]), text)
    assert json.loads(body)["request_id"] == lines[0]


async def check_replicate(client: ServiceClient, heads: dict[str, str], body: bytes) -> None:
    url = f"{client.base}/webhooks/default/secret"
    secret = (await client.call.get(url, **client.how.auth(client.key))).json["key"]
    text = f"{heads['webhook-id']}.{heads['webhook-timestamp']}.".encode() + body
    mark = hmac.digest(base64.b64decode(secret.removeprefix("whsec_")), text, "sha256")
    assert heads["webhook-signature"] == f"v1,{base64.b64encode(mark).decode()}"


async def check_google(client: ServiceClient, heads: dict[str, str], body: bytes) -> None:
    jwks = await client.call.get(f"{client.call.server.base_url}/.well-known/jwks.json")
    (key,) = jwks.json["keys"]
    numbers = (int.from_bytes(unpacked(key[name])) for name in ("e", "n"))
    head, claims, mark = heads["webhook-signature"].split(".")
    public = RSAPublicNumbers(*numbers).public_key()
    public.verify(unpacked(mark), f"{head}.{claims}".encode(), PKCS1v15(), SHA256())
    told, event = json.loads(unpacked(claims)), json.loads(body)
    assert told["data"] == event["data"]
    assert event["type"] in ("interaction.completed", "interaction.failed")
    assert event["user_metadata"] == {"job": "7"}


CHECKS = {
    "evolink": check_nothing,
    "kie": check_kie,
    "fal": check_fal,
    "replicate": check_replicate,
    "google-interactions": check_google,
}


def unpacked(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


async def test_replicate_sends_the_start_too_and_a_fault_reverses_the_order() -> None:
    async with service_client("replicate") as client, hook_receiver() as receiver:
        await client.task("a cat", url=receiver.url)
        await client.call.server.drain(webhooks=True)
        await client.task("a dog", t.hook(reverse=True), url=receiver.url)
        await client.call.server.drain(webhooks=True)
        states = [json.loads(body)["status"] for _, body in receiver.webhooks]
        assert states == ["processing", "succeeded", "succeeded", "processing"]
        assert receiver.times[:2] == pytest.approx([10, 100], abs=0.1)
        assert billed(client.call) == [True, True]


async def test_fal_names_addresses_and_has_no_result_before_the_end() -> None:
    async with service_client("fal") as client:
        said = (await client.submit()).json
        root = f"{client.base}/fal-ai/nano-banana-pro/requests/{said['request_id']}"
        assert said["status_url"] == f"{root}/status"
        assert said["cancel_url"] == f"{root}/cancel"
        auth = client.how.auth(client.key)
        early = await client.call.get(said["response_url"], **auth)
        assert (early.status, early.json) == (400, {"detail": "Request is still in progress"})
        await client.call.server.drain()
        assert (await client.call.get(said["response_url"], **auth)).json["images"]
        assert (await client.call.get(f"{said['response_url']}/response", **auth)).json["images"]
        assert billed(client.call) == [True]


async def test_comfly_delivers_base64_by_default_and_accepts_edits() -> None:
    async with vendor() as call:
        base = call.server.service_url("comfly")
        auth = {"Authorization": f"Bearer {call.server.key}"}
        body = {"model": "nano-banana-pro", "prompt": "a cat"}
        task = (await call.post(f"{base}/images/generations?async=true", body, **auth)).json
        pixel = "data:image/png;base64," + base64.b64encode(b"png").decode()
        edit = {**body, "prompt": "a hat", "images": [{"image_url": pixel}]}
        assert (await call.post(f"{base}/images/edits?async=true", edit, **auth)).status == 200
        assert (await call.post(f"{base}/images/generations", body, **auth)).status == 404
        await call.server.drain()
        reply = await call.get(f"{base}/images/tasks/{task['task_id']}", **auth)
        image = reply.json["data"]["data"]["data"][0]["b64_json"]
        assert base64.b64decode(image) == (await call.images("a cat")).image
        assert billed(call) == [True, None, True]


async def test_interactions_deliver_base64_and_tokens_and_can_be_deleted() -> None:
    async with vendor(interactions=True) as call:
        base, auth = call.server.gemini_url, {"x-goog-api-key": call.server.key}
        pixel = base64.b64encode(b"png").decode()
        body = {
            "model": "gemini-3-pro-image",
            "background": True,
            "input": [
                {"type": "text", "text": "a cat"},
                {"type": "image", "data": pixel, "mime_type": "image/png"},
            ],
            "response_format": [{"type": "text"}, {"type": "image", "image_size": "1K"}],
        }
        task = (await call.post(f"{base}/interactions", body, **auth)).json["id"]
        await call.server.drain()
        reply = await call.get(f"{base}/interactions/{task}", **auth)
        (image,) = reply.json["steps"][0]["content"]
        assert base64.b64decode(image["data"]) == (await call.gemini("a cat")).image
        assert reply.json["usage"]["output_tokens_by_modality"] == [
            {"modality": "image", "tokens": 1120}
        ]
        held = await call.post(f"{base}/interactions", {**body, "background": False}, **auth)
        assert (held.status, held.json["error"]["code"]) == (400, "invalid_request")
        url = f"{base}/interactions/{task}"
        async with call.session.delete(url, headers=auth) as gone:
            assert gone.status == 200
        assert (await call.get(url, **auth)).json["error"]["code"] == "not_found"
        assert billed(call) == [True, True]


async def test_interactions_are_off_by_default() -> None:
    async with vendor() as call:
        reply = await call.post(f"{call.server.gemini_url}/interactions", {"background": True})
        assert reply.status == 404
        assert billed(call) == []


@pytest.mark.parametrize(("fault", "count"), [(f.no_image(), 0), (f.extra_images(1), 2)])
@pytest.mark.parametrize("name", [n for n in SERVICES if n != "replicate"])
async def test_a_result_has_as_many_images_as_the_fault_says(
    name: str, fault: f.Fault, count: int
) -> None:
    async with service_client(name) as client:
        task = await client.task("a cat", fault)
        await client.call.server.drain()
        assert len(client.how.images((await client.result(task)).json)) == count
        assert billed(client.call) == [True]


@pytest.mark.parametrize("name", ["fal", "google-interactions"])
async def test_a_webhook_that_cannot_be_signed_is_refused_at_once(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that is None in the loaded modules cannot be imported, as if it were not installed."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.rsa", None)
    async with service_client(name) as client:
        reply = await client.submit(url="http://127.0.0.1:9/hook")
        assert reply.status == 501
        assert b"nbp-async[webhooks]" in reply.body
        assert (await client.submit()).status == 200
        await client.call.server.drain()
        assert billed(client.call) == [None]
