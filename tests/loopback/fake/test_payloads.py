"""The answers of the two APIs when nothing goes wrong, and their errors for invalid requests."""

import asyncio
import base64
import io
from typing import Any

import aiohttp
import pytest
from PIL import Image

from tests.loopback.fake.api_client import HttpReply, vendor
from tests.pictures import png

REFERENCE = base64.b64encode(png(8, 8)).decode()


def drawn(data: bytes) -> tuple[str | None, tuple[int, int]]:
    """Format and size of an image, all of its pixels decoded."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image.format, image.size


async def test_the_images_api_gives_base64_by_default() -> None:
    async with vendor() as call:
        reply = await call.images("a red bicycle", size="1376x768")
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-request-id"].startswith("req_")
    assert isinstance(reply.json["created"], int)
    assert list(reply.json["data"][0]) == ["b64_json"]
    assert drawn(reply.image) == ("PNG", (1376, 768))


async def test_the_images_api_gives_a_link_on_request() -> None:
    async with vendor() as call:
        reply = await call.images("a red bicycle", response_format="url")
        assert list(reply.json["data"][0]) == ["url"]
        image = await call.get(reply.json["data"][0]["url"])
    assert (image.status, image.headers["content-type"]) == (200, "image/png")
    assert drawn(image.body) == ("PNG", (1024, 1024))


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({}, (1024, 1024)),
        ({"size": "auto"}, (1024, 1024)),
        ({"size": "2K"}, (2048, 2048)),
        ({"size": "4K", "aspect_ratio": "21:9"}, (6336, 2688)),
        ({"image_size": "2K", "aspect_ratio": "9:16"}, (1536, 2752)),
        ({"size": "5056x3392"}, (5056, 3392)),
        ({"model": "nano-banana", "size": "1344x768"}, (1344, 768)),
        ({"model": "gpt-image-2", "size": "1536x1024"}, (1536, 1024)),
    ],
)
async def test_the_image_has_the_requested_pixels(
    fields: dict[str, str], size: tuple[int, int]
) -> None:
    async with vendor() as call:
        reply = await call.images("a lighthouse", **fields)
    assert drawn(reply.image)[1] == size


async def test_several_images_of_one_prompt_differ() -> None:
    async with vendor() as call:
        reply = await call.images("a lighthouse", n=3)
    assert len({item["b64_json"] for item in reply.json["data"]}) == 3
    assert call.server.bank.billed_for("a lighthouse") == 3


async def test_the_format_follows_the_request_or_the_server() -> None:
    async with vendor(kind="jpeg") as call:
        assert drawn((await call.images("a cat")).image)[0] == "JPEG"
        assert drawn((await call.images("a cat", output_format="png")).image)[0] == "PNG"


async def test_files_can_be_as_large_as_real_ones() -> None:
    async with vendor(weight={"1K": 300_000}) as call:
        heavy = await call.images("a cat")
        light = await call.images("a cat", size="2K")
    assert 300_000 <= len(heavy.image) <= 300_003
    assert len(light.image) < 20_000
    assert drawn(heavy.image) == ("PNG", (1024, 1024))


async def test_gemini_gives_text_image_signature_and_usage() -> None:
    async with vendor() as call:
        reply = await call.gemini("a cat", image={"imageSize": "2K", "aspectRatio": "16:9"})
    candidate = reply.json["candidates"][0]
    words, image = candidate["content"]["parts"]
    assert words["text"]
    assert image["inlineData"]["mimeType"] == "image/jpeg"
    assert base64.b64decode(image["thoughtSignature"], validate=True)
    assert drawn(reply.image) == ("JPEG", (2752, 1536))
    assert candidate["finishReason"] == "STOP"
    assert reply.json["modelVersion"] == "gemini-3-pro-image"
    assert reply.json["responseId"] == reply.headers["x-request-id"]
    usage = reply.json["usageMetadata"]
    counts = [usage[n + "TokenCount"] for n in ("prompt", "candidates", "thoughts")]
    assert usage["totalTokenCount"] == sum(counts)
    assert usage["candidatesTokensDetails"] == [{"modality": "IMAGE", "tokenCount": 1120}]


async def test_gemini_can_give_a_link_in_its_text() -> None:
    async with vendor(delivery="url") as call:
        reply = await call.gemini("a cat")
        (part,) = reply.json["candidates"][0]["content"]["parts"]
        link = part["text"].split()[-1]
        assert drawn((await call.get(link)).body) == ("JPEG", (1024, 1024))


async def test_gemini_ignores_a_size_in_lower_case() -> None:
    async with vendor() as call:
        reply = await call.gemini("a cat", image={"imageSize": "4k"})
    assert drawn(reply.image)[1] == (1024, 1024)


async def test_gemini_reads_snake_case_and_a_bearer_token() -> None:
    async with vendor() as call:
        body = {
            "contents": [
                {
                    "parts": [
                        {"inline_data": {"mime_type": "image/png", "data": REFERENCE}},
                        {"text": "a cat"},
                    ]
                }
            ],
            "generation_config": {"image_config": {"image_size": "2K", "aspect_ratio": "3:2"}},
        }
        url = f"{call.server.gemini_url}/models/gemini-3-pro-image:generateContent"
        reply = await call.post(url, body, Authorization=f"Bearer {call.server.key}")
    assert drawn(reply.image)[1] == (2528, 1696)
    assert reply.json["usageMetadata"]["promptTokenCount"] > 560


async def test_an_edit_comes_as_a_form_or_as_json() -> None:
    async with vendor() as call:
        url = f"{call.server.openai_url}/images/edits"
        auth = {"Authorization": f"Bearer {call.server.key}"}
        form = aiohttp.FormData()
        form.add_field("model", "nano-banana-pro")
        form.add_field("prompt", "a cat with a hat")
        form.add_field("size", "1024x1024")
        for name in ("a.png", "b.png"):
            form.add_field("image[]", png(8, 8), filename=name, content_type="image/png")
        async with call.session.post(url, data=form, headers=auth) as answer:
            assert answer.status == 200
        link = f"data:image/png;base64,{REFERENCE}"
        body = {"model": "nano-banana-pro", "prompt": "a cat", "images": [{"image_url": link}]}
        assert (await call.post(url, body, **auth)).status == 200
        no_image = await call.post(url, {"model": "nano-banana-pro", "prompt": "a cat"}, **auth)
    assert no_image.json["error"]["param"] == "images"
    form_body, json_body = (received.body for received in call.server.received)
    assert form_body["files"] == {"0-a.png": len(png(8, 8)), "1-b.png": len(png(8, 8))}
    assert json_body["images"] == [{"image_url": link}]


async def test_received_requests_are_kept_without_the_key() -> None:
    async with vendor() as call:
        await call.images("a cat", style="x" * 20_000)
        await call.gemini("a dog")
        first, second = call.server.received
    assert first.path == "/v1/images/generations"
    assert first.body["prompt"] == "a cat"
    assert len(first.body["style"]) < 300
    assert first.headers["content-type"] == "application/json"
    assert call.server.key not in repr([first, second])


async def test_models_are_listed_at_no_cost() -> None:
    async with vendor() as call:
        bearer = f"Bearer {call.server.key}"
        openai = await call.get(f"{call.server.openai_url}/models", Authorization=bearer)
        gemini = await call.get(f"{call.server.gemini_url}/models", x_goog_api_key=call.server.key)
        nobody = await call.get(f"{call.server.openai_url}/models")
    assert "nano-banana-pro" in [model["id"] for model in openai.json["data"]]
    assert "models/gemini-3-pro-image" in [model["name"] for model in gemini.json["models"]]
    assert nobody.status == 401
    assert call.server.stats().requests == 0


def assert_refused(reply: HttpReply, code: int, /, **error: Any) -> None:
    assert reply.status == code
    assert reply.headers["x-request-id"]
    assert {name: reply.json["error"][name] for name in error} == error


async def test_a_wrong_key_gets_each_apis_own_error() -> None:
    async with vendor() as call:
        openai = await call.images("a cat", key="sk-wrong")
        google = await call.gemini("a cat", key="wrong")
        url = f"{call.server.gemini_url}/models/gemini-3-pro-image:generateContent"
        bearer = await call.post(url, {}, Authorization="Bearer wrong")
        none = await call.post(url, {})
    assert_refused(openai, 401, code="invalid_api_key", type="invalid_request_error")
    assert "sk-wrong" not in openai.json["error"]["message"]
    assert_refused(google, 400, code=400, status="INVALID_ARGUMENT")
    assert google.json["error"]["details"][0]["reason"] == "API_KEY_INVALID"
    assert_refused(bearer, 401, code=401, status="UNAUTHENTICATED")
    assert_refused(none, 403, code=403, status="PERMISSION_DENIED")
    assert call.server.bank.ledger == []


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"n": 0}, "n"),
        ({"n": 11}, "n"),
        ({"n": True}, "n"),
        ({"size": "1000x1000"}, "size"),
        ({"size": "2k"}, "size"),
        ({"size": "2K", "aspect_ratio": "7:3"}, "aspect_ratio"),
        ({"response_format": "png"}, "response_format"),
        ({"model": "gpt-image-2", "response_format": "url"}, "response_format"),
        ({"model": "gpt-image-2", "size": "1000x1000"}, "size"),
        ({"output_format": "gif"}, "output_format"),
    ],
)
async def test_the_images_api_names_the_field_that_is_wrong(
    fields: dict[str, Any], param: str
) -> None:
    async with vendor() as call:
        reply = await call.images(**{"prompt": "a cat", **fields})
    assert_refused(reply, 400, param=param, type="invalid_request_error")
    assert call.server.bank.ledger == []


async def test_a_model_that_does_not_exist_is_404() -> None:
    async with vendor() as call:
        openai = await call.images("a cat", model="nano-banana-xl")
        gemini = await call.gemini("a cat", model="gemini-9-pro-image")
    assert_refused(openai, 404, code="model_not_found", param="model")
    assert_refused(gemini, 404, code=404, status="NOT_FOUND")


@pytest.mark.parametrize(
    ("fields", "image"),
    [
        ({"contents": []}, {}),
        ({"contents": [{"parts": []}]}, {}),
        ({"contents": [{"parts": "a cat"}]}, {}),
        ({"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "!"}}]}]}, {}),
        ({"contents": [{"parts": [{"inlineData": {"mimeType": "text/x", "data": "AA=="}}]}]}, {}),
        ({}, {"aspectRatio": "7:3"}),
    ],
)
async def test_gemini_refuses_invalid_requests(fields: dict[str, Any], image: Any) -> None:
    async with vendor() as call:
        reply = await call.gemini("a cat", image=image, **fields)
    assert_refused(reply, 400, code=400, status="INVALID_ARGUMENT")


async def test_more_references_than_a_model_takes_are_refused() -> None:
    part = {"inlineData": {"mimeType": "image/png", "data": REFERENCE}}
    async with vendor() as call:
        many = await call.gemini("a cat", contents=[{"parts": [{"text": "x"}, *[part] * 15]}])
        right = await call.gemini("a cat", contents=[{"parts": [{"text": "x"}, *[part] * 14]}])
    assert (many.status, right.status) == (400, 200)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"[" * 100_000, b"\xff"])
async def test_a_body_that_is_not_a_json_object_is_400(body: bytes) -> None:
    async with vendor() as call:
        url = f"{call.server.openai_url}/images/generations"
        auth = {"Authorization": f"Bearer {call.server.key}"}
        async with call.session.post(url, data=body, headers=auth) as answer:
            assert answer.status == 400
            assert (await answer.json())["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"abc"),
        ("multipart/form-data; boundary=x", b"abc"),
        ("multipart/form-data; boundary=x", b"--x\r\nabc\r\n\r\nabc--x--"),
        ("multipart/form-data; boundary=x", b"--x--\r\n"),
        ("text/plain", b"abc"),
    ],
)
async def test_an_invalid_form_is_400(kind: str, body: bytes) -> None:
    async with vendor() as call:
        url = f"{call.server.openai_url}/images/edits"
        headers = {"Authorization": f"Bearer {call.server.key}", "Content-Type": kind}
        async with call.session.post(url, data=body, headers=headers) as answer:
            assert answer.status == 400
            assert (await answer.json())["error"]["type"] == "invalid_request_error"


async def test_a_client_that_leaves_during_its_request_is_not_billed() -> None:
    async with vendor() as call:
        port = int(call.server.base_url.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"POST /v1/images/generations HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n"
            b"Authorization: Bearer " + call.server.key.encode() + b'\r\n\r\n{"prompt":'
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        await call.server.drain()
        assert call.server.stats().by_status == {0: 1}
        assert call.server.bank.ledger == []


async def test_an_unknown_path_is_404_in_json() -> None:
    async with vendor() as call:
        post = await call.post(f"{call.server.openai_url}/videos", {})
        get = await call.get(f"{call.server.openai_url}/images/generations")
    assert_refused(post, 404, type="invalid_request_error")
    assert_refused(get, 404, type="invalid_request_error")


async def test_a_large_image_arrives_whole() -> None:
    async with vendor(weight=6_000_000) as call:
        reply = await call.images("a cat", size="4K")
    assert len(reply.image) >= 6_000_000
    assert drawn(reply.image) == ("PNG", (4096, 4096))
    assert call.server.bank.ledger[0].delivered is True
