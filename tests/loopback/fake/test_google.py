"""What the Gemini API and Vertex AI understand and answer, apart from one image for one prompt."""

import base64
import json
from typing import Any

import pytest

from tests.loopback.fake.api_client import HttpReply, vendor
from tests.pictures import png

MODEL = "gemini-3-pro-image"


def asks(*parts: dict[str, Any], **config: Any) -> dict[str, Any]:
    parts = ({"text": "a cat"}, *parts)
    return {"contents": [{"role": "user", "parts": parts}], "generationConfig": config}


def parts_of(document: Any) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = document["candidates"][0]["content"].get("parts", [])
    return parts


@pytest.mark.parametrize("urlsafe", [True, False])
@pytest.mark.parametrize("padded", [True, False])
async def test_references_come_in_either_alphabet_with_or_without_padding(
    urlsafe: bool, padded: bool
) -> None:
    encode = base64.urlsafe_b64encode if urlsafe else base64.b64encode
    text = encode(png(8, 8) + b"\xfb\xff\xfe\xff").decode()
    part = {"inlineData": {"mimeType": "image/png", "data": text if padded else text.rstrip("=")}}
    async with vendor() as call:
        url = f"{call.server.gemini_url}/models/{MODEL}:generateContent?key={call.server.key}"
        reply = await call.post(url, asks(part))
    assert reply.status == 200
    assert reply.json["usageMetadata"]["promptTokensDetails"] == [
        {"modality": "TEXT", "tokenCount": 2},
        {"modality": "IMAGE", "tokenCount": 560},
    ]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/{}:generateContent",
        "/v1beta1/projects/mine/locations/global/publishers/google/models/{}:generateContent",
        "/v1beta1/publishers/google/models/{}:generateContent",
    ],
)
async def test_every_path_of_googles_answers_in_googles_words(path: str) -> None:
    async with vendor() as call:
        url, bearer = call.server.base_url + path, f"Bearer {call.server.key}"
        good = await call.post(url.format(MODEL), asks(), Authorization=bearer)
        lost = await call.post(url.format("gemini-9"), asks(), Authorization=bearer)
        wrong = await call.post(url.format(MODEL), asks(), **{"x-goog-api-key": "wrong"})
    assert good.image
    assert lost.json["error"]["status"] == "NOT_FOUND"
    info, words = wrong.json["error"]["details"]
    assert info["reason"] == "API_KEY_INVALID"
    assert words["@type"].endswith("LocalizedMessage")


async def stream(call: Any, query: str, **config: Any) -> HttpReply:
    url = f"{call.server.gemini_url}/models/{MODEL}:streamGenerateContent{query}"
    reply: HttpReply = await call.post(url, asks(**config), **{"x-goog-api-key": call.server.key})
    return reply


async def test_a_stream_is_events_or_an_array_of_the_same_pieces() -> None:
    async with vendor() as call:
        events, array = await stream(call, "?alt=sse"), await stream(call, "")
        assert call.server.bank.images == 2
    lines = events.body.decode().strip().split("\r\n\r\n")
    read = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert events.headers["content-type"] == "text/event-stream"
    assert [list(parts_of(one)[0]) for one in read] == [
        ["text", "thoughtSignature"],
        ["inlineData", "thoughtSignature"],
    ]
    assert [parts_of(one) for one in read] == [parts_of(one) for one in array.json]
    assert ["finishReason" in one["candidates"][0] for one in read] == [False, True]
    assert read[-1]["usageMetadata"]["candidatesTokenCount"] == 1126


async def test_thoughts_are_shown_on_request_and_their_drafts_are_not_billed_as_images() -> None:
    async with vendor() as call:
        thinking = {"includeThoughts": True, "thinkingLevel": "LOW"}
        reply = await stream(call, "", thinkingConfig=thinking)
        less = await stream(call, "", thinkingConfig={"thinkingLevel": "minimal"})
        (entry,) = call.server.bank.ledger
    thoughts = [parts_of(one)[0].get("thought", False) for one in reply.json]
    assert thoughts == [True, True, False, False]
    assert "inlineData" in parts_of(reply.json[1])[0]
    assert entry.images == 1
    assert reply.json[-1]["usageMetadata"]["thoughtsTokenCount"] == 106
    assert less.status == 400


async def test_only_what_was_asked_for_comes() -> None:
    async with vendor() as call:
        images = await stream(call, "", responseModalities=["IMAGE"])
        text = await stream(call, "", responseModalities=["TEXT"])
        assert [entry.images for entry in call.server.bank.ledger] == [1, 0]
    assert [next(iter(parts_of(one)[0])) for one in images.json] == ["inlineData"]
    assert [next(iter(parts_of(one)[0])) for one in text.json] == ["text"]


async def test_real_signatures_weigh_megabytes() -> None:
    async with vendor(weight="real") as call:
        reply = await call.gemini("a cat", image={"imageSize": "2K"})
    words, image = parts_of(reply.json)
    assert len(words["thoughtSignature"]) == 1_000_000
    assert len(image["thoughtSignature"]) == 2_000_000
    assert base64.b64decode(image["thoughtSignature"], validate=True)


async def test_a_model_that_does_not_think_has_no_signatures() -> None:
    async with vendor() as call:
        reply = await call.gemini("a cat", model="gemini-2.5-flash-image")
    assert [list(part) for part in parts_of(reply.json)] == [["text"], ["inlineData"]]
    assert parts_of(reply.json)[1]["inlineData"]["mimeType"] == "image/png"
    assert "thoughtsTokenCount" not in reply.json["usageMetadata"]


@pytest.mark.parametrize(
    ("uri", "status"),
    [
        ("https://generativelanguage.googleapis.com/v1beta/files/abc", 403),
        ("files/abc", 403),
        ("abc", 400),
        ("https://example.com/cat.png", 200),
    ],
)
async def test_a_file_that_nobody_uploaded_is_refused(uri: str, status: int) -> None:
    async with vendor() as call:
        part = {"fileData": {"fileUri": uri, "mimeType": "image/png"}}
        url = f"{call.server.gemini_url}/models/{MODEL}:generateContent?key={call.server.key}"
        reply = await call.post(url, asks(part))
        assert reply.status == status
        assert call.server.bank.images == (status == 200)


async def test_tokens_are_counted_before_anything_is_paid() -> None:
    async with vendor() as call:
        url = f"{call.server.gemini_url}/models/{MODEL}:countTokens?key={call.server.key}"
        plain = await call.post(url, {"contents": asks()["contents"]})
        nested = await call.post(url, {"generateContentRequest": asks()})
        assert plain.json["totalTokens"] == nested.json["totalTokens"] == 2
        assert call.server.bank.billed == call.server.stats().requests == 0


async def test_models_come_by_page_or_one_by_one() -> None:
    async with vendor() as call:
        url, key = f"{call.server.gemini_url}/models", f"key={call.server.key}"
        first = (await call.get(f"{url}?pageSize=2&{key}")).json
        rest = (await call.get(f"{url}?pageToken={first['nextPageToken']}&{key}")).json
        one = await call.get(f"{url}/{MODEL}?{key}")
        none = await call.get(f"{url}/gemini-9?{key}")
        bad = await call.get(f"{url}?pageSize=many&{key}")
        vertex = f"{call.server.base_url}/v1beta1/publishers/google/models?{key}"
        published = (await call.get(vertex)).json["publisherModels"]
    names = [model["name"] for model in first["models"] + rest["models"]]
    assert len(first["models"]) == 2
    assert len(set(names)) == len(names) == len(published)
    assert one.json in first["models"] + rest["models"]
    assert (none.status, bad.status) == (404, 400)
