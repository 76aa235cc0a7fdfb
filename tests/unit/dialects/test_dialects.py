"""What each API is asked, and what its answers mean."""

import base64
import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbp_async._dialects.base import Answer, Dialect, ImageText
from nbp_async._dialects.gemini import GeminiNative
from nbp_async._dialects.openai import OpenAIImages
from nbp_async._errors import (
    ConfigError,
    ContentBlockedError,
    NbpError,
    NoImageError,
    RefusedError,
)
from nbp_async._http import HttpRequest, ReplyHead
from nbp_async._models import Job, Prompt, Reference
from nbp_async._pixels import Canvas
from nbp_async._profiles import PROFILES, Profile

OPENAI = Profile(name="relay", base_url="https://relay.example/v1")
GOOGLE = PROFILES["google"]
KEY = "sk-canary-0123456789abcdef"
PNG = Reference(mime="image/png", data=b"\x89PNG....")


def job(text: str = "a red bicycle", **options: Any) -> Job:
    canvas = options.pop("canvas", Canvas("2K", "16:9", (2752, 1536)))
    model = options.pop("model", "gemini-3-pro-image")
    prompt = Prompt(text=text, **options)
    return Job(0, prompt, 0, model, canvas, Decimal(1), Decimal(1))


def body_of(request: HttpRequest) -> Any:
    return json.loads(request.body)


def close(dialect: Dialect, document: object) -> Answer:
    decoder = dialect.decoder()
    decoder.feed(json.dumps(document).encode())
    return decoder.close()


def test_the_images_api_is_asked_as_the_article_has_it() -> None:
    request = OpenAIImages().encode(job(seed=7), OPENAI, (), KEY)
    assert request.url == "https://relay.example/v1/images/generations"
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert body_of(request) == {
        "model": "gemini-3-pro-image",
        "prompt": "a red bicycle",
        "size": "2752x1536",
        "n": 1,
        "response_format": "b64_json",
        "seed": 7,
    }
    assert KEY not in repr(request)


def test_a_relay_that_wants_tiers_gets_them_and_extra_goes_last() -> None:
    tiers = replace(OPENAI, size_style="tier", response_format=None)
    request = OpenAIImages().encode(job(extra={"quality": "high", "n": 2}), tiers, (), KEY)
    body = body_of(request)
    assert (body["image_size"], body["aspect_ratio"]) == ("2K", "16:9")
    assert "size" not in body
    assert "response_format" not in body
    assert (body["quality"], body["n"]) == ("high", 2)


def test_references_go_to_edits_as_files() -> None:
    dialect = OpenAIImages()
    request = dialect.encode(job(), OPENAI, (PNG, PNG), KEY)
    assert request.url.endswith("/images/edits")
    kind = request.headers["Content-Type"]
    assert kind.startswith("multipart/form-data; boundary=")
    boundary = kind.partition("=")[2].encode()
    assert request.body.count(b"--" + boundary) == 8  # five fields, two files, the end
    assert request.body.count(b'name="image[]"') == 2
    assert request.body.endswith(b"--" + boundary + b"--\r\n")
    assert dialect.encode(job(), OPENAI, (PNG, PNG), KEY).body == request.body
    # What is in a file cannot end its part, for whoever writes it cannot know the boundary.
    hostile = Reference(mime="image/png", data=b"--" + boundary + b"\r\n\r\n")
    other = dialect.encode(job(), OPENAI, (hostile, PNG), KEY).headers["Content-Type"]
    assert other != kind


def test_references_by_link_go_to_edits_as_json() -> None:
    link = Reference(mime="image/png", uri="https://x.example/a.png")
    request = OpenAIImages().encode(job(), OPENAI, (link, PNG), KEY)
    first, second = body_of(request)["images"]
    assert first == {"image_url": "https://x.example/a.png"}
    assert second["image_url"].startswith("data:image/png;base64,")
    with pytest.raises(ConfigError, match="http"):
        OpenAIImages().encode(job(), OPENAI, (Reference(mime="x", uri="gs://b/a"),), KEY)


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


@pytest.mark.parametrize("dialect", [OpenAIImages(), GeminiNative()])
@pytest.mark.parametrize(
    "options",
    [
        {"text": "a \ud800 bicycle"},
        {"extra": {"quality": object()}},
        {"extra": {"quality": "\udfff"}},
    ],
)
def test_what_has_no_form_in_json_is_refused_before_anything_is_sent(
    dialect: Dialect, options: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match="Nothing was sent"):
        dialect.encode(job(**options), OPENAI, (), KEY)
    with pytest.raises(ConfigError, match="Nothing was sent"):
        dialect.encode(job(**options), OPENAI, (PNG,), KEY)


def test_a_field_name_cannot_write_headers_into_a_form() -> None:
    extra = {'a"\r\nX-Evil: 1': "b"}
    request = OpenAIImages().encode(job(extra=extra), OPENAI, (PNG,), KEY)
    assert b'name="a%22%0D%0AX-Evil: 1"\r\n' in request.body
    assert b"\r\nX-Evil" not in request.body


@pytest.mark.parametrize("model", ["../x", "a/b", "a b", "a\nb", "", "x" * 129, "a?key=1"])
def test_a_model_that_would_change_the_address_is_refused(model: str) -> None:
    with pytest.raises(ConfigError):
        GeminiNative().encode(job(model=model), GOOGLE, (), KEY)


def test_images_links_and_data_addresses_are_all_found() -> None:
    document = {
        "data": [
            {"b64_json": "QUJD", "revised_prompt": "x"},
            {"url": "data:image/png;base64,QUJD"},
            {"url": "https://x.example/a.png?b=1&c=2"},
        ],
        "usage": {
            "input_tokens": 10,
            "output_tokens": 1200,
            "output_tokens_details": {"image_tokens": 1120, "text_tokens": 80},
            "total_tokens": 1210,
        },
    }
    answer = close(OpenAIImages(), document)
    assert answer.images == (0, 1)
    assert answer.links == ("https://x.example/a.png?b=1&c=2",)
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.image_tokens) == (10, 1120)
    assert answer.usage.text_tokens == 80


@pytest.mark.parametrize(
    ("document", "kind", "reason"),
    [
        ({"created": 1, "data": None}, NoImageError, "no data"),
        ({"created": 1, "data": []}, NoImageError, "no data"),
        ({"data": [{}]}, NoImageError, "no data"),
        ({"data": "x"}, NoImageError, "no data"),
        ([], NoImageError, "no data"),
        ({"error": "out of paint"}, NoImageError, "error"),
        ({"error": {"code": "moderation_blocked", "message": "no"}}, ContentBlockedError,
         "moderation_blocked"),
        ({"data": [{"b64_json": 5, "url": None}]}, NoImageError, "no data"),
    ],
)  # fmt: skip
def test_a_success_without_an_image_says_why(document: Any, kind: type, reason: str) -> None:
    with pytest.raises(NoImageError) as caught:
        close(OpenAIImages(), document)
    assert type(caught.value) is kind
    assert caught.value.reason == reason


def test_an_empty_field_hides_no_link_and_two_forms_are_one_image() -> None:
    link = "https://x.example/a.png"
    dialect = OpenAIImages()
    assert close(dialect, {"data": [{"b64_json": "", "url": link}]}).links == (link,)
    assert close(dialect, {"data": [{"b64_json": "", "url": link}]}).images == ()
    both = {"b64_json": "QUJD", "url": "data:image/png;base64,QUJD"}
    assert close(dialect, {"data": [both]}).images == (0,)


def part(data: str = "QUJD", **more: Any) -> dict[str, Any]:
    return {"inlineData": {"mimeType": "image/png", "data": data}, **more}


def gemini(*parts: Any, finish: Any = "STOP", **more: Any) -> dict[str, Any]:
    content = {"role": "model", "parts": list(parts)}
    return {"candidates": [{"content": content, "finishReason": finish}], **more}


def test_the_last_image_that_is_no_thought_counts() -> None:
    dialect = GeminiNative()
    signed = part(thoughtSignature="x" * 100_000)
    document = gemini(part(thought=True), {"text": "Here it is."}, part(), signed)
    answer = close(dialect, document)
    assert answer.images == (2,)
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
@settings(max_examples=300, deadline=None)
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
    assert GOOGLE.prices.cost("2K", answer.usage) == Decimal("0.137184")


@pytest.mark.parametrize(
    ("document", "kind", "reason"),
    [
        ({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}, ContentBlockedError,
         "PROHIBITED_CONTENT"),
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
)  # fmt: skip
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


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["data", "b64_json", "url", "error", "code", "message", "details", "@type", "parts",
             "candidates", "content", "inlineData", "thought", "usageMetadata", "promptFeedback",
             "blockReason", "finishReason", "candidatesTokensDetails", "violations", "usage"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=25,
)  # fmt: skip


@given(junk, st.sampled_from([OpenAIImages(), GeminiNative()]), st.integers(100, 999))
@settings(max_examples=400, deadline=None)
def test_whatever_comes_only_typed_errors_come_out(
    document: Any, dialect: Any, status: int
) -> None:
    raw = json.dumps(document).encode()
    assert isinstance(dialect.refusal(ReplyHead(status, {}), raw, GOOGLE), RefusedError)
    decoder = dialect.decoder()
    seen: set[int] = set()
    try:
        seen.update(p.image for p in decoder.feed(raw) if isinstance(p, ImageText))
        answer = decoder.close()
    except NbpError:
        return
    assert answer.images or answer.links
