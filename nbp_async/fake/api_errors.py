"""Errors in each vendor's words: one exception, and how each API writes it.

The wording follows what the APIs answer, so that code which reads it is tested for real.
"""

import math
from typing import Literal

import msgspec

from nbp_async.fake.quotas import Allowance, Denial

ApiStyle = Literal["openai", "google", "interactions", "kie", "fal", "replicate"]
Headers = dict[str, str]

_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_WORDS = {
    429: "Too many requests. Please slow down.",
    500: "The server had an error while processing your request.",
    502: "Bad gateway.",
    503: "The model is overloaded. Please try again later.",
    504: "The request took too long upstream.",
}
_CODES = {429: "rate_limit_exceeded", 503: "server_is_overloaded"}
_WORD_CODES = {
    400: "invalid_request",
    401: "unauthenticated",
    403: "permission_denied",
    404: "not_found",
}
_TITLES = {
    401: "Unauthenticated",
    404: "Not Found",
    422: "Input validation failed",
    429: "Too Many Requests",
}
_TYPES = {429: "requests", 401: "invalid_request_error", 403: "permission_error"}


class ApiError(Exception):
    """A request that the vendor refuses.

    Attributes:
        status: HTTP status.
        message: Why.
        code: OpenAI's `code`, or "".
        param: The field that is wrong, or "".
        reason: Google's ErrorInfo reason, or "".
        kind: OpenAI's `type`, if it does not follow from the status.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str = "",
        param: str = "",
        reason: str = "",
        kind: str = "",
    ) -> None:
        # Headers and forms may hold bytes that are no text, and JSON cannot carry them back.
        self.message = message.encode(errors="replace").decode()
        self.param = param.encode(errors="replace").decode()
        super().__init__(self.message)
        self.status = status
        self.code = code
        self.reason = reason
        self.kind = kind


def moderation_error() -> ApiError:
    """The images API's error for a prompt that its safety system refuses."""
    words = "Your request was rejected by the safety system."
    kind = "image_generation_user_error"
    return ApiError(400, words, code="moderation_blocked", kind=kind)


def error_body(style: ApiStyle, error: ApiError) -> bytes:
    """The body of an error."""
    if style == "google":
        details: list[dict[str, object]] = []
        if error.reason:
            details.append(_error_info(error.reason))
        if error.reason == "API_KEY_INVALID":
            about = {"locale": "en-US", "message": error.message}
            details.append({"@type": _type("LocalizedMessage"), **about})
        if error.param:
            violation = {"field": error.param, "description": error.message}
            details.append({"@type": _type("BadRequest"), "fieldViolations": [violation]})
        return _google(error.status, error.message, details)
    if style != "openai":
        return msgspec.json.encode(_task_error(style, error))
    kind = error.kind or _TYPES.get(error.status)
    kind = kind or ("server_error" if error.status >= 500 else "invalid_request_error")
    return _openai(error.message, kind, error.param or None, error.code or _CODES.get(error.status))


def http_status(style: ApiStyle, status: int) -> int:
    """The HTTP status of an error: kie answers 200, with the status in the body.

    fal refuses a body that it cannot use with 422, as the framework that it runs on does.
    """
    return 200 if style == "kie" else 422 if (style, status) == ("fal", 400) else status


def _task_error(style: ApiStyle, error: ApiError) -> dict[str, object]:
    """The same for the services that sell tasks only."""
    if style == "interactions":
        code = _WORD_CODES.get(error.status) or error.code or _CODES.get(error.status, "api_error")
        return {"error": {"code": code, "message": error.message}}
    if style == "kie":
        return {"code": error.status, "msg": error.message, "data": None}
    if style == "replicate":
        return {
            "title": _TITLES.get(error.status, "Error"),
            "detail": error.message,
            "status": error.status,
        }
    if error.status == 400:
        where = ["body", *([error.param] if error.param else [])]
        return {"detail": [{"loc": where, "msg": error.message, "type": "value_error"}]}
    return {"detail": error.message}


def scripted_error(
    style: ApiStyle, status: int, retry_after: float | None
) -> tuple[bytes, Headers]:
    """Body and headers of an error that a fault ordered; the wait as each vendor writes it."""
    words = _WORDS.get(status, "The request was refused.")
    if style == "google":
        details = [] if retry_after is None else [_retry_info(retry_after)]
        return _google(status, words, details), {}
    return error_body(style, ApiError(status, words)), retry_headers(retry_after)


def quota_error(style: ApiStyle, denial: Denial, model: str) -> tuple[bytes, Headers]:
    """Body and headers of a 429 because of a quota."""
    if style == "google":
        return _google_denied(denial, model), {}
    if style != "openai":
        words = f"Quota of {denial.what} is exceeded: the limit is {denial.limit}."
        return error_body(style, ApiError(429, words)), retry_headers(denial.wait)
    if denial.what == "balance":
        words = (
            "You exceeded your current quota, please check your plan and billing details. "
            f"{denial.limit} is left."
        )
        return _openai(words, "insufficient_quota", None, "insufficient_quota"), {}
    name = {
        "requests": "requests per min (RPM)",
        "concurrency": "concurrent requests",
        "spend": "spend per 10 min",
    }[denial.what]
    wait = f" Please try again in {go_duration(denial.wait)}." if denial.wait is not None else ""
    words = (
        f"Rate limit reached for {model} in organization org-fake on {name}: "
        f"Limit {denial.limit}.{wait}"
    )
    return _openai(words, "requests", None, "rate_limit_exceeded"), retry_headers(denial.wait)


def allowance_headers(allowance: Allowance) -> Headers:
    """OpenAI's headers about the requests that are left."""
    return {
        "x-ratelimit-limit-requests": str(allowance.limit),
        "x-ratelimit-remaining-requests": str(allowance.remaining),
        "x-ratelimit-reset-requests": go_duration(allowance.reset),
    }


def go_duration(seconds: float) -> str:
    """Seconds as OpenAI writes them: 76ms, 7.66s, 6m0s, 1h2m3s."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    if hours:
        return f"{hours}h{minutes}m{int(rest)}s"
    return f"{minutes}m{int(rest)}s" if minutes else f"{rest:.2f}".rstrip("0").rstrip(".") + "s"


def _google_denied(denial: Denial, model: str) -> bytes:
    if denial.what == "balance":
        return _google(429, "Your prepayment credits are depleted. Please go to AI Studio.", [])
    metric, quota = {
        "requests": ("generate_requests_per_model", "GenerateRequestsPerMinutePerProjectPerModel"),
        "concurrency": ("generate_concurrent_requests", "ConcurrentRequestsPerProjectPerModel"),
        "spend": ("spend_per_ten_minutes", "SpendPerTenMinutesPerProject"),
    }[denial.what]
    violation = {
        "quotaMetric": f"generativelanguage.googleapis.com/{metric}",
        "quotaId": quota,
        "quotaDimensions": {"location": "global", "model": model},
        "quotaValue": denial.limit,
    }
    words = (
        "You exceeded your current quota, please check your plan and billing details.\n"
        f"* Quota exceeded for metric: {violation['quotaMetric']}, limit: {denial.limit}, "
        f"model: {model}"
    )
    link = {"description": "Learn more", "url": "https://ai.google.dev/gemini-api/docs/rate-limits"}
    details: list[dict[str, object]] = [
        {"@type": _type("QuotaFailure"), "violations": [violation]},
        {"@type": _type("Help"), "links": [link]},
    ]
    if denial.wait is not None:
        words += f"\nPlease retry in {denial.wait:.9g}s."
        details.append(_retry_info(denial.wait))
    return _google(429, words, details)


def _openai(message: str, kind: str, param: str | None, code: str | None) -> bytes:
    error = {"message": message, "type": kind, "param": param, "code": code}
    return msgspec.json.encode({"error": error})


def _google(status: int, message: str, details: list[dict[str, object]]) -> bytes:
    error: dict[str, object] = {
        "code": status,
        "message": message,
        "status": _STATUS.get(status, "UNKNOWN"),
    }
    if details:
        error["details"] = details
    return msgspec.json.encode({"error": error})


def _type(name: str) -> str:
    return f"type.googleapis.com/google.rpc.{name}"


def _error_info(reason: str) -> dict[str, object]:
    service = {"service": "generativelanguage.googleapis.com"}
    return {
        "@type": _type("ErrorInfo"),
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": service,
    }


def _retry_info(wait: float) -> dict[str, object]:
    return {"@type": _type("RetryInfo"), "retryDelay": f"{wait:.9f}".rstrip("0").rstrip(".") + "s"}


def retry_headers(wait: float | None) -> Headers:
    """A header of whole seconds, rounded up, and one of exact milliseconds."""
    if wait is None:
        return {}
    return {"retry-after": str(math.ceil(wait)), "retry-after-ms": f"{wait * 1000:.0f}"}
