"""Each task service in its own words: submit, look, result, cancel, webhook; and who pays."""

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
from tests.loopback.fake.calls import billed, vendor
from tests.loopback.fake.services import SERVICES, Customer, customer
from tests.loopback.fake.tasks import mailbox

pytestmark = pytest.mark.looptime(start=0)


CANCELLING = [name for name, service in SERVICES.items() if service.cancel]


@pytest.mark.parametrize("name", SERVICES)
async def test_a_task_goes_its_way_in_the_services_words(name: str) -> None:
    async with customer(name) as me:
        task = await me.task()
        said = [await me.state(task)]
        await asyncio.sleep(50)
        said.append(await me.state(task))
        await me.call.server.drain()
        said.append(await me.state(task))
        assert tuple(said) == me.how.states[:3]
        came = await me.result(task)
        (link,) = me.how.images(came.json)
        image = (await me.call.get(link)).body
        held = await me.call.images("a cat", size="2752x1536")
        assert image == held.image
        assert [row.size for row in me.call.server.bank.ledger] == ["2K", "2K"]
        assert billed(me.call) == [True, True]


@pytest.mark.parametrize("name", SERVICES)
async def test_a_failure_is_told_in_the_services_words(name: str) -> None:
    async with customer(name) as me:
        task = await me.task("a cat", t.failed("resource_exhausted", "no room", billed=True))
        await me.call.server.drain()
        came = (await me.look(task)).json
        assert me.how.state(came) == me.how.states[3]
        assert me.how.failure(came) == "no room"
        assert billed(me.call) == [False]


@pytest.mark.parametrize("name", CANCELLING)
async def test_a_task_is_taken_back_free_and_not_twice(name: str) -> None:
    async with customer(name) as me:
        task, done = await me.task("a cat"), await me.task("a dog", t.late(0))
        assert (await me.cancel(task)).status in (200, 202)
        await me.call.server.drain()
        assert (await me.cancel(done)).status in (200, 400)
        assert await me.state(done) == me.how.states[2]
        assert await me.state(task) in ("canceled", "cancelled", "COMPLETED")
        assert [row.prompt for row in me.call.server.bank.ledger] == ["a dog"]


@pytest.mark.parametrize("name", SERVICES)
async def test_strangers_are_refused_in_the_services_words(name: str) -> None:
    async with customer(name, keys=["sk-a", "sk-b"]) as me:
        task = await me.task()
        other = Customer(me.call, name, "sk-b")
        nobody = Customer(me.call, name, "sk-c")
        refused = [await other.look(task), await nobody.look(task), await nobody.submit()]
        if name == "kie":
            assert [(came.status, came.json["code"]) for came in refused] == [
                (200, 404), (200, 401), (200, 401),
            ]  # fmt: skip
        else:
            assert refused[0].status == 404
            assert {came.status for came in refused[1:]} <= {400, 401}
            assert all(came.json for came in refused)
        await me.call.server.drain()
        assert billed(me.call) == [None]


@pytest.mark.parametrize("name", SERVICES)
async def test_faults_meet_every_service(name: str) -> None:
    async with customer(name) as me:
        me.call.server.script(f.overloaded(7))
        came = await me.submit()
        assert (came.status, came.json is not None) == (503, True)
        task = await me.task("a cat", t.several(t.hidden(looks=1), t.unknown_state("odd", looks=2)))
        hidden = await me.look(task)
        assert 404 in (hidden.status, hidden.json.get("code"))
        assert await me.state(task) == "odd"
        assert await me.state(task) == me.how.states[0]
        await me.call.server.drain()
        assert billed(me.call) == [None]


@pytest.mark.parametrize("name", SERVICES)
async def test_a_full_house_is_told_in_the_services_words(name: str) -> None:
    async with customer(name, quotas=Quotas(concurrency=1)) as me:
        await me.task("a cat")
        came = await me.submit("a dog")
        assert 429 in (came.status, came.json.get("code"))
        await me.call.server.drain()
        assert billed(me.call) == [None]


@pytest.mark.parametrize("name", [n for n in SERVICES if n != "comfly"])
async def test_the_end_is_told_to_the_address_that_was_given(name: str) -> None:
    async with customer(name, clock=lambda: 1_700_000_000.0) as me, mailbox() as box:
        task = await me.task("a cat", url=box.url)
        await me.task("a dog", t.failed(message="no"), url=box.url)
        await me.call.server.drain(webhooks=True)
        ends = [(heads, body) for heads, body in box.letters if b"processing" not in body]
        assert len(ends) == 2
        assert any(task in json.dumps(json.loads(body)) for _, body in ends)
        for heads, body in ends:
            await CHECKS[name](me, heads, body)
        assert billed(me.call) == [None if name == "google-interactions" else True]


async def check_nothing(me: Customer, heads: dict[str, str], body: bytes) -> None:
    assert not [name for name in heads if "signature" in name]


async def check_kie(me: Customer, heads: dict[str, str], body: bytes) -> None:
    task = json.loads(body)["data"]["taskId"]
    text = f"{task}.{heads['x-webhook-timestamp']}".encode()
    mark = hmac.digest(me.call.server.webhook_secret.encode(), text, "sha256")
    assert heads["x-webhook-signature"] == base64.b64encode(mark).decode()


async def check_fal(me: Customer, heads: dict[str, str], body: bytes) -> None:
    (key,) = (await me.call.get(f"{me.base}/.well-known/jwks.json")).json["keys"]
    public = Ed25519PublicKey.from_public_bytes(unpacked(key["x"]))
    lines = [heads[f"x-fal-webhook-{name}"] for name in ("request-id", "user-id", "timestamp")]
    text = "\n".join([*lines, sha256(body).hexdigest()]).encode()
    public.verify(bytes.fromhex(heads["x-fal-webhook-signature"]), text)
    assert json.loads(body)["request_id"] == lines[0]


async def check_replicate(me: Customer, heads: dict[str, str], body: bytes) -> None:
    url = f"{me.base}/webhooks/default/secret"
    secret = (await me.call.get(url, **me.how.auth(me.key))).json["key"]
    text = f"{heads['webhook-id']}.{heads['webhook-timestamp']}.".encode() + body
    mark = hmac.digest(base64.b64decode(secret.removeprefix("whsec_")), text, "sha256")
    assert heads["webhook-signature"] == f"v1,{base64.b64encode(mark).decode()}"


async def check_google(me: Customer, heads: dict[str, str], body: bytes) -> None:
    jwks = await me.call.get(f"{me.call.server.base_url}/.well-known/jwks.json")
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
    "evolink": check_nothing, "kie": check_kie, "fal": check_fal, "replicate": check_replicate,
    "google-interactions": check_google,
}  # fmt: skip


def unpacked(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


async def test_replicate_tells_the_start_too_and_in_the_wrong_order_if_so_ordered() -> None:
    async with customer("replicate") as me, mailbox() as box:
        await me.task("a cat", url=box.url)
        await me.call.server.drain(webhooks=True)
        await me.task("a dog", t.hook(reverse=True), url=box.url)
        await me.call.server.drain(webhooks=True)
        states = [json.loads(body)["status"] for _, body in box.letters]
        assert states == ["processing", "succeeded", "succeeded", "processing"]
        assert box.times[:2] == pytest.approx([10, 100], abs=0.1)
        assert billed(me.call) == [True, True]


async def test_fals_answer_names_the_addresses_and_the_result_waits() -> None:
    async with customer("fal") as me:
        said = (await me.submit()).json
        root = f"{me.base}/fal-ai/nano-banana-pro/requests/{said['request_id']}"
        assert said["status_url"] == f"{root}/status"
        assert said["cancel_url"] == f"{root}/cancel"
        auth = me.how.auth(me.key)
        early = await me.call.get(said["response_url"], **auth)
        assert (early.status, early.json) == (400, {"detail": "Request is still in progress"})
        await me.call.server.drain()
        assert (await me.call.get(said["response_url"], **auth)).json["images"]
        assert (await me.call.get(f"{said['response_url']}/response", **auth)).json["images"]
        assert billed(me.call) == [True]


async def test_comfly_hands_out_base64_where_no_links_are_asked_and_edits_pictures() -> None:
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
        came = await call.get(f"{base}/images/tasks/{task['task_id']}", **auth)
        image = came.json["data"]["data"]["data"][0]["b64_json"]
        assert base64.b64decode(image) == (await call.images("a cat")).image
        assert billed(call) == [True, None, True]


async def test_interactions_hand_out_base64_and_tokens_and_can_be_deleted() -> None:
    async with vendor(interactions=True) as call:
        base, auth = call.server.gemini_url, {"x-goog-api-key": call.server.key}
        pixel = base64.b64encode(b"png").decode()
        body = {
            "model": "gemini-3-pro-image", "background": True,
            "input": [{"type": "text", "text": "a cat"},
                      {"type": "image", "data": pixel, "mime_type": "image/png"}],
            "response_format": [{"type": "text"}, {"type": "image", "image_size": "1K"}],
        }  # fmt: skip
        task = (await call.post(f"{base}/interactions", body, **auth)).json["id"]
        await call.server.drain()
        came = await call.get(f"{base}/interactions/{task}", **auth)
        (image,) = came.json["steps"][0]["content"]
        assert base64.b64decode(image["data"]) == (await call.gemini("a cat")).image
        assert came.json["usage"]["output_tokens_by_modality"] == [
            {"modality": "image", "tokens": 1120}
        ]
        held = await call.post(f"{base}/interactions", {**body, "background": False}, **auth)
        assert (held.status, held.json["error"]["code"]) == (400, "invalid_request")
        url = f"{base}/interactions/{task}"
        async with call.session.delete(url, headers=auth) as gone:
            assert gone.status == 200
        assert (await call.get(url, **auth)).json["error"]["code"] == "not_found"
        assert billed(call) == [True, True]


async def test_interactions_are_only_there_where_they_are_wanted() -> None:
    async with vendor() as call:
        came = await call.post(f"{call.server.gemini_url}/interactions", {"background": True})
        assert came.status == 404
        assert billed(call) == []


@pytest.mark.parametrize(("fault", "count"), [(f.no_image(), 0), (f.extra_images(1), 2)])
@pytest.mark.parametrize("name", [n for n in SERVICES if n != "replicate"])
async def test_a_result_has_as_many_images_as_the_fault_says(
    name: str, fault: f.Fault, count: int
) -> None:
    async with customer(name) as me:
        task = await me.task("a cat", fault)
        await me.call.server.drain()
        assert len(me.how.images((await me.result(task)).json)) == count
        assert billed(me.call) == [True]


@pytest.mark.parametrize("name", ["fal", "google-interactions"])
async def test_what_cannot_be_signed_is_refused_at_once(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that is None in the loaded modules cannot be imported, as if it were not installed."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.rsa", None)
    async with customer(name) as me:
        came = await me.submit(url="http://127.0.0.1:9/hook")
        assert came.status == 501
        assert b"nbp-async[webhooks]" in came.body
        assert (await me.submit()).status == 200
        await me.call.server.drain()
        assert billed(me.call) == [None]
