"""What the images API is asked, what its answers mean, and what no dialect lets through."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbp_async._base.errors import (
    ConfigError,
    ContentBlockedError,
    NbpError,
    NoImageError,
    RefusedError,
)
from nbp_async._base.http import ReplyHead
from nbp_async._dialects.base import Dialect, ImageText
from nbp_async._dialects.gemini import GeminiNative
from nbp_async._dialects.openai_images import OpenAIImages
from nbp_async._models.outcomes import Reference
from tests.unit.dialects.helpers import GOOGLE, KEY, OPENAI, PNG, body_of, close, job


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
    alone = dialect.encode(job(), OPENAI, (PNG,), KEY).body
    assert (alone.count(b'name="image";'), alone.count(b"image[]")) == (1, 0)
    # The content of a file cannot end its part, because its author cannot know the boundary.
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
        (
            {"error": {"code": "moderation_blocked", "message": "no"}},
            ContentBlockedError,
            "moderation_blocked",
        ),
        ({"data": [{"b64_json": 5, "url": None}]}, NoImageError, "no data"),
    ],
)
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


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "data",
                    "b64_json",
                    "url",
                    "error",
                    "code",
                    "message",
                    "details",
                    "@type",
                    "parts",
                    "candidates",
                    "content",
                    "inlineData",
                    "thought",
                    "usageMetadata",
                    "promptFeedback",
                    "blockReason",
                    "finishReason",
                    "candidatesTokensDetails",
                    "violations",
                    "usage",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=25,
)


@given(junk, st.sampled_from([OpenAIImages(), GeminiNative()]), st.integers(100, 999))
@settings(max_examples=400)
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


@pytest.mark.parametrize(
    ("document", "billing"),
    [({"task_id": "t-1"}, "maybe"), ([], "maybe"), ({"data": []}, "yes"), ({"error": "x"}, "yes")],
)
def test_json_that_is_no_answer_of_the_api_is_not_said_to_be_billed(
    document: Any, billing: str
) -> None:
    with pytest.raises(NoImageError) as caught:
        close(OpenAIImages(), document)
    assert caught.value.billing == billing
