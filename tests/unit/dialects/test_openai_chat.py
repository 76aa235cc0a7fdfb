"""Images in a chat: what is asked, and what an answer without an image says."""

import json
from typing import Any

import pytest

from nbp_async._base.errors import ContentBlockedError, NoImageError
from nbp_async._base.http import Usage
from nbp_async._dialects.openai_chat import OpenAIChat
from nbp_async._models.outcomes import Reference
from nbp_async._vendors.profiles import (
    PROFILES,
    endpoint_of,
    find_profile,
)
from tests.contracts.dialects.kit import KEY, LINK, PNG, decode, make_job

OPENROUTER = PROFILES["openrouter"]
SPENT = {
    "prompt_tokens": 1362,
    "completion_tokens": 1707,
    "completion_tokens_details": {"image_tokens": 1120},
    "total_tokens": 3069,
}


def encoded(*references: Reference, **extra: Any) -> dict[str, Any]:
    request = OpenAIChat().encode(make_job(extra=extra), OPENROUTER, references, KEY)
    assert request.url == "https://openrouter.ai/api/v1/chat/completions"
    body: dict[str, Any] = json.loads(request.body)
    return body


def test_a_prompt_is_a_message_and_its_canvas_the_image_config() -> None:
    assert encoded() == {
        "model": "gemini-3-pro-image",
        "messages": [{"role": "user", "content": "a red bicycle"}],
        "modalities": ["image", "text"],
        "image_config": {"aspect_ratio": "16:9", "image_size": "2K"},
        "seed": 7,
    }


def test_references_follow_the_text_as_links_and_data() -> None:
    text, link, data = encoded(LINK, PNG)["messages"][0]["content"]
    assert text == {"type": "text", "text": "a red bicycle"}
    assert link == {"type": "image_url", "image_url": {"url": LINK.uri}}
    assert data["image_url"]["url"].startswith("data:image/png;base64,")


def test_extra_fields_are_merged_into_the_body() -> None:
    body = encoded(image_config={"strength": 1}, modalities=["image"])
    assert body["image_config"] == {"aspect_ratio": "16:9", "image_size": "2K", "strength": 1}
    assert body["modalities"] == ["image"]


def answer_of(document: Any) -> Any:
    return decode(OpenAIChat().decoder(), json.dumps(document).encode()).answer


def test_text_usage_and_names_are_read() -> None:
    url = {"image_url": {"url": LINK.uri}}
    message = {"content": "Here it is.", "images": [url]}
    answer = answer_of(
        {"id": "gen-1", "model": "m", "choices": [{"message": message}], "usage": SPENT}
    )
    assert (answer.text, answer.request_id, answer.model) == ("Here it is.", "gen-1", "m")
    prices = OPENROUTER.prices_for(OPENROUTER.model)
    assert prices is not None
    assert str(prices.cost(answer.usage)) == "0.144168", "what OpenRouter said that it charged"


def test_where_image_tokens_are_not_told_apart_reasoning_is() -> None:
    usage = {"completion_tokens": 1700, "completion_tokens_details": {"reasoning_tokens": 500}}
    url = {"image_url": {"url": LINK.uri}}
    document = {"choices": [{"message": {"images": [url]}}], "usage": usage}
    assert answer_of(document).usage == Usage(image_tokens=1200, text_tokens=500)


RULES = "I cannot draw that. See https://rules.example/policy and ![x](https://rules.example/a.png)"


@pytest.mark.parametrize(
    ("choice", "kind", "reason", "words"),
    [
        (
            {"message": {"content": "I would rather not."}, "finish_reason": "stop"},
            "no",
            "stop",
            "I w",
        ),
        ({"message": {"content": ""}, "finish_reason": "stop"}, "no", "stop", ""),
        ({"message": {"content": None, "refusal": "No."}}, "blocked", "refusal", "No."),
        (
            {"message": {"content": ""}, "finish_reason": "content_filter"},
            "blocked",
            "content_f",
            "",
        ),
        (
            {
                "message": {"content": RULES},
                "finish_reason": "stop",
                "native_finish_reason": "PROHIBITED_CONTENT",
            },
            "blocked",
            "PROHIBITED_CONTENT",
            "I cannot draw that.",
        ),
        (
            {"message": {"content": ""}, "error": {"code": 502, "message": "Provider lost"}},
            "no",
            "502",
            "Provider lost",
        ),
    ],
)
def test_a_success_without_an_image_says_why(
    choice: Any, kind: str, reason: str, words: str
) -> None:
    with pytest.raises(NoImageError) as caught:
        answer_of({"choices": [choice], "usage": {"completion_tokens": 9}})
    assert isinstance(caught.value, ContentBlockedError) == (kind == "blocked")
    assert caught.value.reason.startswith(reason)
    assert caught.value.text.startswith(words)
    assert caught.value.usage == Usage(text_tokens=9)
    assert caught.value.billing == "yes"


@pytest.mark.parametrize(
    ("document", "billing"),
    [({}, "maybe"), ({"ok": True}, "maybe"), ({"error": {"code": 500}}, "yes")],
)
def test_json_that_is_no_answer_of_the_api_is_not_said_to_be_billed(
    document: Any, billing: str
) -> None:
    with pytest.raises(NoImageError) as caught:
        answer_of(document)
    assert caught.value.billing == billing


def test_an_address_that_ends_like_a_chat_is_one() -> None:
    relay = find_profile("https://relay.example/v1/chat/completions/")
    assert (relay.dialect, relay.base_url) == ("openai_chat", "https://relay.example/v1")
    assert find_profile(endpoint_of(relay)) == relay
    assert endpoint_of(OPENROUTER) == "openrouter"
