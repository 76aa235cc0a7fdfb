"""Asking a gateway for images: in the article's forms, OpenAI's and Google's."""

import asyncio
import base64
from typing import Any

import aiohttp
import pytest

from nbp_async.fake import FakeServer, faults
from tests.loopback.gateway.site import Site, assert_books
from tests.pictures import png


async def test_without_a_token_nothing_is_asked(gateway: Site) -> None:
    for headers in ({}, {"Authorization": "Bearer nbpu_wrong"}, {"Authorization": "Basic eDp5"}):
        async with gateway.session.post(
            f"{gateway.url}/api/generate", json={"prompt": "a"}, headers=headers
        ) as response:
            assert response.status == 401
            assert await response.json() == {"error": "Unauthorized"}
    assert gateway.vendor.stats().requests == 0


async def test_the_short_forms_answer_with_a_link_that_opens(gateway: Site) -> None:
    anna = await gateway.user("anna")
    for path, keys in (("/api/generate", {"image_url"}), ("/generate", {"success", "image_url"})):
        status, answer, headers = await anna.ask("POST", path, {"prompt": "a", "size": "1024x1024"})
        assert status == 200
        assert set(answer) - {"expires"} == keys
        assert headers["X-Task-Id"].startswith("task_")
        async with gateway.session.get(answer["image_url"]) as image:
            assert image.status == 200
            assert image.content_type == "image/png"
            assert (await image.read()).startswith(b"\x89PNG")
    await assert_books(gateway.vendor, anna)


async def test_openai_s_form_answers_with_links_or_base64(gateway: Site) -> None:
    anna = await gateway.user("anna")
    path = "/v1/images/generations"
    body = {"prompt": "a", "n": 2, "model": "nano-banana-pro", "background": "auto"}
    status, answer, _ = await anna.ask("POST", path, body)
    assert (status, len(answer["data"])) == (200, 2)
    status, answer, _ = await anna.ask("POST", path, {"prompt": "b", "response_format": "b64_json"})
    assert base64.b64decode(answer["data"][0]["b64_json"]).startswith(b"\x89PNG")
    await assert_books(gateway.vendor, anna)


async def test_google_s_form_answers_with_base64(gateway: Site) -> None:
    anna = await gateway.user("anna")
    body = {
        "contents": [{"role": "user", "parts": [{"text": "a red bicycle"}]}],
        "generationConfig": {"imageConfig": {"imageSize": "1K", "aspectRatio": "16:9"}},
    }
    async with gateway.session.post(
        f"{gateway.url}/v1beta/models/nano-banana-pro:generateContent",
        json=body,
        headers={"x-goog-api-key": anna.token},
    ) as response:
        assert response.status == 200
        answer = await response.json()
    data = answer["candidates"][0]["content"]["parts"][0]["inlineData"]
    assert data["mimeType"] == "image/png"
    assert base64.b64decode(data["data"]).startswith(b"\x89PNG")


async def test_references_come_as_a_form_or_within_json(gateway: Site) -> None:
    anna = await gateway.user("anna")
    form = aiohttp.FormData()
    form.add_field("prompt", "like this")
    form.add_field("image[]", png(64, 64), filename="a.png", content_type="image/png")
    async with gateway.session.post(
        f"{gateway.url}/v1/images/edits",
        data=form,
        headers={"Authorization": f"Bearer {anna.token}"},
    ) as response:
        assert response.status == 200, await response.text()
    data = base64.b64encode(png(32, 32)).decode()
    task = await anna.submit("like this", image=f"data:image/png;base64,{data}")
    assert (await anna.ended(task["id"]))["status"] == "completed"
    await assert_books(gateway.vendor, anna)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": " "}, "prompt"),
        ({"prompt": "x" * 40_000}, "prompt"),
        ({"prompt": "a", "size": "16K"}, "size"),
        ({"prompt": "a", "n": 0}, "n"),
        ({"prompt": "a", "n": "two"}, "n"),
        ({"prompt": "a", "image": "file:///etc/passwd"}, "image"),
        ({"prompt": "a", "image": "/etc/passwd"}, "image"),
        ({"prompt": "a", "image": "data:image/png;base64,%%%"}, "image"),
        ({"prompt": "a", "webhook_url": "http://127.0.0.1/x"}, "webhook_url"),
        ({"prompt": "a", "response_format": "png"}, "response_format"),
        ({"prompt": "a", "user_id": "somebody else"}, "user_id"),
        ({"prompt": "a", "mode": "batch"}, "mode"),
    ],
)
async def test_what_cannot_be_asked_is_refused_by_its_field(
    gateway: Site, body: dict[str, Any], field: str
) -> None:
    anna = await gateway.user("anna")
    status, answer, _ = await anna.ask("POST", "/v1/images/generations/async", body)
    assert status == 400
    assert field in (answer["error"].get("field"), *answer["error"]["message"].split("`"))
    assert gateway.vendor.stats().requests == 0
    assert (await anna.account())["held_usd"] == 0


async def test_a_vendor_s_refusal_is_json_with_its_billing_and_without_the_key(
    gateway: Site,
) -> None:
    gateway.vendor.script(faults.status(400))
    anna = await gateway.user("anna")
    status, answer, _ = await anna.ask("POST", "/generate", {"prompt": "a"})
    assert status in (400, 502)
    assert answer["error"]["billing"] == "no"
    assert gateway.vendor.key not in str(answer)
    await assert_books(gateway.vendor, anna)


async def test_prefer_wait_answers_with_the_task_if_it_takes_longer(gateway: Site) -> None:
    anna = await gateway.user("anna")
    body = {"prompt": "a"}
    status, _, _ = await anna.ask("POST", "/v1/images/generations", body, Prefer="wait=30")
    assert status == 200
    status, task, headers = await anna.ask(
        "POST", "/v1/images/generations", body, Prefer="respond-async, wait=0"
    )
    assert (status, task["status"]) == (202, "running" if task["attempts"] else task["status"])
    assert headers["Location"] == task["status_url"]
    assert (await anna.ended(task["id"]))["status"] == "completed"


async def test_an_idempotency_key_makes_one_task_and_stands_for_one_request(gateway: Site) -> None:
    anna, bob = await gateway.user("anna"), await gateway.user("bob")
    path, key = "/v1/images/generations/async", {"Idempotency_Key": "order-7"}
    answers = await asyncio.gather(
        *(anna.ask("POST", path, {"prompt": "a"}, **key) for _ in range(4))
    )
    assert len({task["id"] for _, task, _ in answers}) == 1
    status, answer, _ = await anna.ask("POST", path, {"prompt": "b"}, **key)
    assert (status, answer["error"]["type"]) == (422, "idempotency_key_reused")
    status, other, _ = await bob.ask("POST", path, {"prompt": "a"}, **key)
    assert status == 202
    assert other["id"] != answers[0][1]["id"]
    for asker, task in ((anna, answers[0][1]), (bob, other)):
        await asker.ended(task["id"])
    assert gateway.vendor.stats().images == 2
    await assert_books(gateway.vendor, anna, bob)


async def test_a_user_who_leaves_finds_the_image_by_its_task(gateway: Site) -> None:
    anna = await gateway.user("anna")
    asking = asyncio.ensure_future(anna.ask("POST", "/generate", {"prompt": "a"}))
    while gateway.vendor.stats().requests == 0:
        await asyncio.sleep(0.01)
    asking.cancel()
    _, page, _ = await anna.ask("GET", "/v1/tasks")
    (task,) = page["data"]
    assert (await anna.ended(task["id"]))["status"] == "completed"
    await assert_books(gateway.vendor, anna)


async def test_a_held_answer_may_begin_with_spaces(vendor: FakeServer, tmp_path: Any) -> None:
    from tests.loopback.gateway.site import site

    async with (
        FakeServer(latency=2.5, delivery="b64_json") as slow,
        site(tmp_path / "g", slow, padding=1.0) as gateway,
    ):
        anna = await gateway.user("anna")
        async with gateway.session.post(
            f"{gateway.url}/generate",
            json={"prompt": "a"},
            headers={"Authorization": f"Bearer {anna.token}"},
        ) as response:
            text = await response.text()
        assert text.startswith(" ")
        assert '"image_url"' in text
