"""Whole answers with the wrong content: all but one are billed."""

import asyncio
import base64
import io
import json
from typing import Any

import pytest
from PIL import Image

from nbp_async.fake import faults as f
from tests.loopback.fake.api_client import billed, one, vendor

pytestmark = pytest.mark.looptime(start=0)


def pixels(data: bytes) -> tuple[int, int]:
    """The size of an image that can be decoded to its end."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image.size


@pytest.mark.parametrize("api", ["openai", "gemini"])
@pytest.mark.parametrize("kind", ["cut", "garbage", "empty", "deep", "digits", "utf8"])
async def test_bad_json_has_the_right_length_and_is_billed(kind: Any, api: str) -> None:
    async with vendor() as call:
        reply = await one(call, f.bad_json(kind), api)
        assert reply.status == 200
        assert int(reply.headers["content-length"]) == len(reply.body)
        with pytest.raises((ValueError, RecursionError)):
            json.loads(reply.body)
        assert billed(call) == [True]


async def test_a_web_page_can_replace_the_answer() -> None:
    async with vendor() as call:
        reply = await one(call, f.html_page())
        assert reply.status == 200
        assert reply.headers["content-type"].startswith("text/html")
        assert reply.body.startswith(b"<!DOCTYPE html>")
        assert billed(call) == [True]


@pytest.mark.parametrize("kind", ["junk", "overpad"])
async def test_bad_base64_is_refused_by_a_strict_reader(kind: Any) -> None:
    async with vendor() as call:
        reply = await one(call, f.bad_base64(kind))
    with pytest.raises(ValueError, match=r"base64|padding"):
        base64.b64decode(reply.json["data"][0]["b64_json"], validate=True)


@pytest.mark.parametrize("kind", ["nopad", "newlines", "data-uri", "urlsafe"])
async def test_odd_base64_still_holds_the_image(kind: Any) -> None:
    async with vendor() as call:
        plain = await call.images("a cat")
        reply = await one(call, f.bad_base64(kind))
    text = reply.json["data"][0]["b64_json"]
    assert text != plain.json["data"][0]["b64_json"]
    text = text.rpartition(",")[2].replace("\n", "")
    text += "=" * (-len(text) % 4)
    assert base64.urlsafe_b64decode(text.replace("+", "-").replace("/", "_")) == plain.image


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("kind", ["text", "truncated", "tiny", "empty", "huge"])
async def test_bad_images_are_not_images_of_that_size(kind: Any, link: bool) -> None:
    async with vendor() as call:
        call.server.script(f.bad_image(kind))
        if link:
            data = (await call.get(await call.link("a cat"))).body
        else:
            data = (await call.images("a cat")).image
        assert billed(call) == [True]
    with pytest.raises((OSError, Image.DecompressionBombError, AssertionError)):
        assert pixels(data) == (1024, 1024)


async def test_an_image_can_have_the_wrong_type() -> None:
    async with vendor() as call:
        reply = await one(call, f.bad_image("mislabelled"), "gemini")
        inline = reply.json["candidates"][0]["content"]["parts"][1]["inlineData"]
        call.server.script(f.bad_image("mislabelled"))
        stored = await call.get(await call.link("a cat"))
    assert (inline["mimeType"], stored.headers["content-type"]) == ("image/png", "image/jpeg")
    assert reply.image.startswith(b"\xff\xd8")
    assert stored.body.startswith(b"\x89PNG")


async def test_an_image_can_be_smaller_than_requested() -> None:
    async with vendor() as call:
        reply = await one(call, f.wrong_size(), size="2K")
    assert pixels(reply.image) == (1024, 1024)


async def test_every_image_can_be_a_thought() -> None:
    async with vendor() as call:
        gemini = await one(call, f.thought_only(), "gemini")
        openai = await one(call, f.thought_only())
    parts = gemini.json["candidates"][0]["content"]["parts"]
    assert [part.get("thought") for part in parts if "inlineData" in part] == [True]
    assert openai.json["data"] == []


async def test_the_image_can_be_in_the_other_api_s_form() -> None:
    async with vendor() as call:
        plain = await call.images("a cat")
        openai = await one(call, f.foreign(), "openai")
        gemini = await one(call, f.foreign(), "gemini")
        call.server.script(f.foreign())
        linked = await call.images("a cat", response_format="url")
        assert billed(call) == [True] * 4
    (part,) = openai.json["candidates"][0]["content"]["parts"]
    assert base64.b64decode(part["inlineData"]["data"]) == plain.image
    assert pixels(base64.b64decode(gemini.json["data"][0]["b64_json"])) == (1024, 1024)
    (part,) = linked.json["candidates"][0]["content"]["parts"]
    assert part["fileData"]["fileUri"].startswith("http")


async def test_a_success_can_have_text_only() -> None:
    async with vendor() as call:
        gemini = await one(call, f.no_image("STOP", "I would rather not."), "gemini")
        openai = await one(call, f.no_image(text="I would rather not."))
    (candidate,) = gemini.json["candidates"]
    assert [part["text"] for part in candidate["content"]["parts"]] == ["I would rather not."]
    assert candidate["finishReason"] == "STOP"
    assert openai.json["data"] == []
    assert openai.json["message"] == "I would rather not."


async def test_googles_refusal_of_an_image_has_no_parts_and_says_why() -> None:
    async with vendor() as call:
        reply = await one(call, f.no_image("IMAGE_PROHIBITED_CONTENT"), "gemini")
    (candidate,) = reply.json["candidates"]
    assert candidate["content"] == {"role": "model"}
    assert candidate["finishReason"] == "IMAGE_PROHIBITED_CONTENT"
    assert candidate["finishMessage"]
    assert "candidatesTokenCount" not in reply.json["usageMetadata"]


async def test_a_blocked_prompt_costs_at_most_its_text() -> None:
    async with vendor(latency=100) as call:
        gemini = await one(call, f.blocked("SAFETY"), "gemini")
        openai = await one(call, f.blocked())
        assert gemini.json["promptFeedback"] == {"blockReason": "SAFETY"}
        assert "candidates" not in gemini.json
        assert "candidatesTokenCount" not in gemini.json["usageMetadata"]
        assert (openai.status, openai.json["error"]["code"]) == (400, "moderation_blocked")
        (entry,) = call.server.bank.ledger
        assert entry.images == 0
        assert entry.price < 1
        assert asyncio.get_running_loop().time() < 1


async def test_extra_images_and_a_signature_of_megabytes() -> None:
    async with vendor() as call:
        openai = await one(call, f.extra_images(2))
        gemini = await one(call, f.extra_images(2), "gemini")
        long = await one(call, f.long_signature(1_000_000), "gemini")
    assert len(openai.json["data"]) == 3
    assert len(gemini.json["candidates"][0]["content"]["parts"]) == 4
    assert gemini.json["usageMetadata"]["candidatesTokensDetails"][0]["tokenCount"] == 3 * 1120
    assert len(long.json["candidates"][0]["content"]["parts"][1]["thoughtSignature"]) == 1_000_000
