"""What Google's own API is asked, and what its answers mean."""

import base64
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbp_async._base.errors import (
    ConfigError,
    ContentBlockedError,
    NoImageError,
)
from nbp_async._dialects.gemini import GeminiNative
from nbp_async._models.outcomes import Reference
from nbp_async._vendors.profiles import PROFILES
from tests.unit.dialects.helpers import GOOGLE, KEY, PNG, body_of, close, job


def test_gemini_is_asked_in_its_own_words() -> None:
    request = GeminiNative().encode(job(seed=7), GOOGLE, (PNG,), KEY)
    assert request.url == f"{GOOGLE.base_url}/models/gemini-3-pro-image:generateContent"
    assert request.headers["x-goog-api-key"] == KEY
    assert "Authorization" not in request.headers
    assert "key=" not in request.url
    body = body_of(request)
    assert body["generationConfig"] == {
        "responseModalities": ["TEXT", "IMAGE"],
        "imageConfig": {"aspectRatio": "16:9", "imageSize": "2K"},
        "seed": 7,
    }
    reference, text = body["contents"][0]["parts"]
    assert base64.b64decode(reference["inlineData"]["data"]) == PNG.data
    assert text == {"text": "a red bicycle"}


def test_gemini_takes_links_bearers_and_deep_extras() -> None:
    link = Reference(mime="image/jpeg", uri="https://x.example/a.jpg")
    extra = {"generationConfig": {"temperature": 1.0}, "tools": [{"google_search": {}}]}
    relay = PROFILES["apiyi-gemini"]
    request = GeminiNative().encode(job(extra=extra), relay, (link,), KEY)
    body = body_of(request)
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert body["contents"][0]["parts"][0]["fileData"]["fileUri"] == link.uri
    assert body["generationConfig"]["temperature"] == 1.0
    assert body["generationConfig"]["imageConfig"]["imageSize"] == "2K"
    assert body["tools"] == [{"google_search": {}}]


@pytest.mark.parametrize("model", ["../x", "a/b", "a b", "a\nb", "", "x" * 129, "a?key=1"])
def test_a_model_that_would_change_the_address_is_refused(model: str) -> None:
    with pytest.raises(ConfigError):
        GeminiNative().encode(job(model=model), GOOGLE, (), KEY)


def part(data: str = "QUJD", **more: Any) -> dict[str, Any]:
    return {"inlineData": {"mimeType": "image/png", "data": data}, **more}


def gemini(*parts: Any, finish: Any = "STOP", **more: Any) -> dict[str, Any]:
    content = {"role": "model", "parts": list(parts)}
    return {"candidates": [{"content": content, "finishReason": finish}], **more}


def test_every_image_that_is_no_thought_counts_in_its_order() -> None:
    dialect = GeminiNative()
    signed = part(thoughtSignature="x" * 100_000)
    document = gemini(part(thought=True), {"text": "Here it is."}, part(), signed)
    answer = close(dialect, document)
    assert answer.images == (1, 2)
    assert answer.text == "Here it is."
    assert close(dialect, gemini(part(thought=True), part(thought=True))).images == (1,)
    snake = {"candidates": [{"content": {"parts": [{"inline_data": {"data": "QUJD"}}]}}]}
    assert close(dialect, snake).images == (0,)
    two = {"candidates": gemini(part())["candidates"] + gemini(part())["candidates"]}
    assert close(dialect, two).images == (0, 1)
    assert close(dialect, [gemini(part())]).images == (0,)


def test_a_link_in_the_text_is_an_image_that_came_by_link() -> None:
    link = "https://bucket.oss-us-west-1.aliyuncs.com/a.png?Expires=1&Signature=x"
    answer = close(GeminiNative(), gemini({"text": f"![image]({link})"}))
    assert answer.links == (link,)
    assert answer.images == ()


@pytest.mark.parametrize(
    ("said", "links"),
    [
        ("Here: https://x.example/a.webp?s=1!", ["https://x.example/a.webp?s=1"]),
        ("See https://x.example/d/A.JPEG#top.", ["https://x.example/d/A.JPEG#top"]),
        ("![a red bicycle](https://x.example/get?id=7)", ["https://x.example/get?id=7"]),
        ('![](<https://x.example/7> "title") done', ["https://x.example/7"]),
        ("  https://x.example/get?id=7\n", ["https://x.example/get?id=7"]),
        (
            "[![small](https://x.example/a.png)](https://x.example/a.png)",
            ["https://x.example/a.png"],
        ),
        (
            "![small](https://x.example/1) in full: https://x.example/b.png",
            ["https://x.example/b.png", "https://x.example/1"],
        ),
        (
            "Made with https://tool.example/about. Here: https://x.example/a.png",
            ["https://x.example/a.png"],
        ),
    ],
)
def test_links_in_words_count_if_they_lead_to_an_image(said: str, links: list[str]) -> None:
    assert close(GeminiNative(), gemini({"text": said})).links == tuple(links)


@pytest.mark.parametrize(
    "said",
    [
        "I cannot draw this. See https://policy.example/rules for what may be drawn.",
        "I cannot draw this ([the rules](https://policy.example/rules)).",
        "Such images are at https://search.example/?q=bicycle.png for you.",
        "More at https://images.png and https://a.example.webp",
        "A page of it: https://x.example/a.png.html",
    ],
)
def test_words_that_cite_a_page_are_an_answer_without_an_image(said: str) -> None:
    with pytest.raises(NoImageError) as caught:
        close(GeminiNative(), gemini({"text": said}))
    assert caught.value.text == said


@given(st.text("![]()<> htps:/x.png?#", max_size=200))
@settings(max_examples=300)
def test_whatever_the_words_are_a_link_in_them_is_one_of_http(said: str) -> None:
    try:
        answer = close(GeminiNative(), gemini({"text": said}))
    except NoImageError:
        return
    assert all(link.startswith(("http://", "https://")) and link in said for link in answer.links)


def test_a_link_in_a_refusal_is_no_image() -> None:
    said = {"text": "See https://policy.example/rules for what may be drawn."}
    with pytest.raises(ContentBlockedError):
        close(GeminiNative(), gemini(said, finish="SAFETY"))


def test_tokens_are_told_apart_and_thoughts_are_text() -> None:
    usage = {
        "promptTokenCount": 12,
        "candidatesTokenCount": 1150,
        "thoughtsTokenCount": 200,
        "totalTokenCount": 1362,
        "candidatesTokensDetails": [
            {"modality": "IMAGE", "tokenCount": 1120},
            {"modality": "TEXT", "tokenCount": 30},
        ],
    }
    more = {"usageMetadata": usage, "modelVersion": "gemini-3-pro-image", "responseId": "r-1"}
    answer = close(GeminiNative(), gemini(part(), **more))
    assert answer.usage is not None
    assert (answer.usage.image_tokens, answer.usage.text_tokens) == (1120, 230)
    assert (answer.model, answer.request_id) == ("gemini-3-pro-image", "r-1")
    prices = GOOGLE.prices_for("gemini-3-pro-image")
    assert prices is not None
    assert prices.cost(answer.usage) == Decimal("0.137184")


@pytest.mark.parametrize(
    ("document", "kind", "reason"),
    [
        (
            {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}},
            ContentBlockedError,
            "PROHIBITED_CONTENT",
        ),
        ({"promptFeedback": {"blockReason": "OTHER"}}, NoImageError, "OTHER"),
        (gemini(finish="IMAGE_SAFETY"), ContentBlockedError, "IMAGE_SAFETY"),
        (gemini(finish="NO_IMAGE"), NoImageError, "NO_IMAGE"),
        (gemini(finish="SOMETHING_NEW"), NoImageError, "SOMETHING_NEW"),
        (gemini(), NoImageError, "STOP"),
        ({"candidates": [{"finishReason": "STOP"}]}, NoImageError, "STOP"),
        (gemini({"text": "I would rather not."}), NoImageError, "STOP"),
        ({}, NoImageError, "no candidates"),
        ({"candidates": "x"}, NoImageError, "no candidates"),
    ],
)
def test_every_way_in_which_a_success_has_no_image(document: Any, kind: type, reason: str) -> None:
    document = {**document, "usageMetadata": {"promptTokenCount": 9}}
    with pytest.raises(NoImageError) as caught:
        close(GeminiNative(), document)
    assert (type(caught.value), caught.value.reason) == (kind, reason)
    assert caught.value.usage is not None
    assert caught.value.usage.input_tokens == 9


def test_what_the_model_said_instead_is_kept() -> None:
    with pytest.raises(NoImageError) as caught:
        close(GeminiNative(), gemini({"text": "I can't draw that. " * 100}))
    assert caught.value.text.startswith("I can't draw that.")
    assert len(caught.value.text) <= 500


@pytest.mark.parametrize(
    ("document", "billing"),
    [
        ({"task_id": "t-1"}, "maybe"),
        ({"candidates": [{"finishReason": "NO_IMAGE"}]}, "yes"),
        ({"promptFeedback": {"blockReason": "SAFETY"}}, "yes"),
        ({"usageMetadata": {"promptTokenCount": 9}}, "yes"),
    ],
)
def test_json_that_is_no_answer_of_the_api_is_not_said_to_be_billed(
    document: Any, billing: str
) -> None:
    with pytest.raises(NoImageError) as caught:
        close(GeminiNative(), document)
    assert caught.value.billing == billing
