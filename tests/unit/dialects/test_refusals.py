"""Whatever a server says no with, the right class of error comes out, and no key with it."""

import json
from typing import Any

import pytest

from nbp_async._base.errors import (
    AuthError,
    InvalidRequestError,
    OverloadedError,
    QuotaError,
    RateLimitError,
    RefusedError,
    ServerError,
)
from nbp_async._base.http import ReplyHead
from nbp_async._dialects.gemini import GeminiNative
from nbp_async._vendors.profiles import PROFILES, Profile

GOOGLE = PROFILES["google"]
KEY = "sk-canary-0123456789abcdef"


def refused(status: int, body: Any, profile: Profile = GOOGLE) -> RefusedError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return GeminiNative().refusal(ReplyHead(status, {}), raw, profile)


def google_error(status: int, word: str, *details: dict[str, Any]) -> dict[str, Any]:
    typed = [{**d, "@type": f"type.googleapis.com/google.rpc.{d['@type']}"} for d in details]
    return {"error": {"code": status, "message": "no", "status": word, "details": typed}}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {"error": {"message": "bad key"}}, AuthError),
        (402, {"error": "pay first"}, AuthError),
        (403, {"message": "forbidden"}, AuthError),
        (
            400,
            google_error(
                400, "INVALID_ARGUMENT", {"@type": "ErrorInfo", "reason": "API_KEY_INVALID"}
            ),
            AuthError,
        ),
        (400, {"error": {"code": "moderation_blocked", "message": "x"}}, InvalidRequestError),
        (404, {"code": 5, "msg": "no model"}, InvalidRequestError),
        (413, b"", InvalidRequestError),
        (422, b"[]", InvalidRequestError),
        (429, {"error": {"code": "rate_limit_exceeded"}}, RateLimitError),
        (429, {"error": {"code": "insufficient_quota"}}, QuotaError),
        (
            429,
            google_error(
                429,
                "RESOURCE_EXHAUSTED",
                {
                    "@type": "QuotaFailure",
                    "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}],
                },
            ),
            QuotaError,
        ),
        (
            429,
            google_error(
                429,
                "RESOURCE_EXHAUSTED",
                {
                    "@type": "QuotaFailure",
                    "violations": [{"quotaId": "GenerateRequestsPerMinutePerProject"}],
                },
            ),
            RateLimitError,
        ),
        (429, {"error": {"code": None, "status": 429, "type": "insufficient_quota"}}, QuotaError),
        (429, {"error": {"code": "429", "type": "insufficient_quota"}}, QuotaError),
        (503, {"error": {"message": "overloaded"}}, OverloadedError),
        (500, b"oops", ServerError),
        (502, b"<html><title>502 Bad Gateway</title>", ServerError),
        (504, b"\xff\xfe\x00", ServerError),
        (408, b"", ServerError),
        (421, b"", ServerError),
        (425, b"", ServerError),
        (499, {"error": {"status": "CANCELLED"}}, ServerError),
        (409, b"", InvalidRequestError),
        (302, b"", InvalidRequestError),
        (204, b"", ServerError),
        (999, b"", ServerError),
        (500, b"[" * 200_000, ServerError),
        (500, b'{"error":' + b"1" * 5000 + b"}", ServerError),
        (500, b'{"error":NaN}', ServerError),
    ],
)
def test_refusals_of_any_shape_find_their_class(status: int, body: Any, kind: type) -> None:
    error = refused(status, body)
    assert type(error) is kind
    assert error.status == status
    assert str(error).startswith(f"google answered {status}")
    assert len(str(error)) < 400


def test_the_wait_is_read_from_the_body_where_google_says_it() -> None:
    body = google_error(429, "RESOURCE_EXHAUSTED", {"@type": "RetryInfo", "retryDelay": "58.932s"})
    assert refused(429, body).retry_after == 58.932
    assert refused(429, [body]).retry_after == 58.932
    assert refused(429, [body]).code == "RESOURCE_EXHAUSTED"
    for odd in ("1m2s", "-3s", "s", 5, None, "٣s"):
        odd_body = google_error(429, "X", {"@type": "RetryInfo", "retryDelay": odd})
        assert refused(429, odd_body).retry_after is None


def test_a_redirect_says_that_it_is_not_followed() -> None:
    assert "never followed" in str(refused(307, b""))


@pytest.mark.parametrize(
    "key",
    [
        KEY,
        "AIza" + "SyA1234567890abcdefghijklmnopqrstuv",
        "AIza" + "SyA12345678901",
        "sk-proj-Ab_9",
        "sk-0123456789abcdef",
        "abcdef0123456789ABCDEF0123456789",
        "Bearer abcdefghij",
    ],
)
def test_a_key_that_the_vendor_repeats_is_hidden(key: str) -> None:
    for words in (f"Incorrect API key provided: {key}. Try again", f"wrong key ({key})", key):
        for body in ({"error": {"message": words}}, {"unheard": {"of": words}}, words.encode()):
            assert key.removeprefix("Bearer ") not in str(refused(401, body))


def test_words_that_look_long_are_not_taken_for_keys() -> None:
    words = "Quota exceeded for generate_content_paid_tier_requests of gemini-3-pro-image"
    assert words in str(refused(429, {"error": {"message": words}}))


def test_a_body_of_unknown_shape_speaks_for_itself() -> None:
    body = {"detail": [{"loc": ["body", "size"], "msg": "no such size"}]}
    assert "no such size" in str(refused(422, body))


def test_a_message_has_no_control_characters_and_an_end() -> None:
    body = {"error": {"message": "a\x00b\x1b[31mc\r\nd\u202ee " + "word " * 1000}}
    message = str(refused(500, body))
    assert message.isprintable()
    assert len(message) < 300


def test_a_page_is_told_by_its_title() -> None:
    error = refused(502, b"<!doctype html><html><head><title>Bad\ngateway</title></head>")
    assert "an HTML page, Bad gateway" in str(error)


def google_quota(message: str, quota: str, value: str = "100") -> dict[str, Any]:
    violations = [{"quotaId": quota, "quotaValue": value}]
    body = google_error(
        429, "RESOURCE_EXHAUSTED", {"@type": "QuotaFailure", "violations": violations}
    )
    body["error"]["message"] = message
    return body


_RELAYED = json.dumps({"error": {"details": [{"violations": [{"quotaId": "RequestsPerDay"}]}]}})


@pytest.mark.parametrize(
    ("status", "body", "hint"),
    [
        (429, {"error": {"message": "Your prepayment credits are depleted."}}, "top up"),
        (429, {"error": {"code": "insufficient_user_quota", "message": "用户额度不足"}}, "top up"),
        (429, {"error": {"message": "用户额度不足, 剩余额度: ＄0.000000"}}, "top up"),
        (429, {"error": {"code": "pre_consume_token_quota_failed"}}, "top up"),
        (500, {"error": {"code": "pre_consume_token_quota_failed"}}, "top up"),
        (429, {"code": 429, "msg": "Insufficient credits. Please top up."}, "top up"),
        (503, {"code": 503, "msg": "Credits insufficient"}, "top up"),
        (400, {"error": {"code": "billing_hard_limit_reached"}}, "top up"),
        (429, {"error": {"message": 'upstream: {"code":"insufficient_quota"}'}}, "top up"),
        (429, {"error": {"message": f"upstream: {_RELAYED}"}}, "day's quota"),
        (429, google_quota("no", "GenerateRequestsPerDayPerProjectPerModel"), "day's quota"),
        (429, google_quota("Quota exceeded, limit: 0, model: x", "PerMinute"), "no access"),
        (429, google_quota("no", "RequestsPerMinute", "0"), "no access"),
    ],
)
def test_what_no_waiting_solves_says_so(status: int, body: Any, hint: str) -> None:
    error = refused(status, body)
    assert type(error) is QuotaError
    assert not error.is_transient
    assert hint in str(error)
    assert error.is_daily == (hint == "day's quota")


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "Quota exceeded, limit: 0.5 images"}},
        {"error": {"message": "Quota exceeded, limit: 05"}},
        {"error": {"message": "Rate limit reached on requests per day (RPD), try again in 7m12s"}},
        {"error": {"message": "You exceeded your current quota, please check your plan"}},
        google_quota("Quota exceeded, limit: 10", "GenerateRequestsPerMinutePerProject"),
    ],
)
def test_a_limit_that_passes_is_waited_for(body: Any) -> None:
    assert type(refused(429, body)) is RateLimitError


@pytest.mark.parametrize(
    "error",
    [
        {"code": "model_not_found", "message": "no"},
        {"message": "No available channel for model x under group default (request id: 2026)"},
        {"message": "当前分组 default 下对于模型 x 无可用渠道"},
    ],
)
def test_a_model_that_nobody_serves_is_not_an_overload(error: dict[str, str]) -> None:
    found = refused(503, {"error": error})
    assert type(found) is InvalidRequestError
    assert not found.is_transient
    assert "Check the model's name" in str(found)


def test_a_list_of_details_gives_its_first_words_and_type() -> None:
    body = {"detail": [{"loc": ["body"], "msg": "flagged", "type": "content_policy_violation"}]}
    error = refused(422, body)
    assert str(error) == "google answered 422: flagged."
    assert error.code == "content_policy_violation"


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("metric GenerateRequestsPerDayPerProjectPerModel-FreeTier", "PerModel-FreeTier"),
        ("metric generate_requests_per_model_per_day", "per_model_per_day"),
        ("key AbcdEfghIjklMnopQrstUvwxYz0123", "[hidden]"),
        ("key abcdefghijklmnopqrstuvwxyz", "[hidden]"),
        ("key AIzaSyAbcdefghijk", "[hidden]"),
    ],
)
def test_the_name_of_a_quota_is_shown_and_what_may_be_a_key_is_not(words: str, shown: str) -> None:
    assert shown in str(refused(429, {"error": {"message": words}}))
