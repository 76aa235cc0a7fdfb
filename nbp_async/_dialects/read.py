"""Reading what strangers wrote: answers and refusals of any vendor, relay or proxy. Never trusts.

Every look-up says which type it wants and gives a neutral value for anything else.
"""

import re
from collections.abc import Mapping

import msgspec

from nbp_async._errors import (
    AuthError,
    InvalidRequestError,
    OverloadedError,
    QuotaError,
    RateLimitError,
    RefusedError,
    ServerError,
)
from nbp_async._http import ReplyHead
from nbp_async._profiles import Profile

_WORDS = 200  # characters of a vendor's message that are passed on
# What may be a key: by its beginning, or by its length if it is no name of words and underscores.
_SECRET = re.compile(
    r"\b(?:(?:sk|pk|rk|ak|key)-[\w\-]{6,}|AIza[\w\-]{8,}|Bearer\s+[^\s\"',;]{8,})"
    r"|\b(?![a-z]+(?:_[a-z]+)+\b)[\w\-]{24,}",
    re.ASCII,
)

_MENDS = {
    404: "Check the model's name, and the address of the endpoint.",
    413: "Send fewer or smaller references.",
}

# A 429 that no waiting cures, by the vendors' own codes.
_NO_QUOTA = frozenset({
    "insufficient_quota",
    "billing_hard_limit_reached",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
})  # fmt: skip


def table(value: object) -> Mapping[str, object]:
    """The object, or an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[object]:
    """The array, or an empty one."""
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    """The string, or ""."""
    return value if isinstance(value, str) else ""


def count(value: object) -> int:
    """The number as a count, or 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def either(values: Mapping[str, object], *names: str) -> object:
    """The first of these fields that is there: APIs spell them in camel or in snake case."""
    return next((values[name] for name in names if name in values), None)


def clean(words: str, limit: int = _WORDS) -> str:
    """A stranger's words, fit for a message: one line, short, without what may be a key."""
    printable = "".join(c if c.isprintable() else " " for c in words[: limit * 4])
    return _SECRET.sub("[hidden]", " ".join(printable.split()))[:limit]


def refusal(head: ReplyHead, body: bytes, profile: Profile) -> RefusedError:
    """The error for an answer of a status that is no success, whatever its body is."""
    said = _Said(body)
    status, code = head.status, said.code
    words = f": {said.words}" if said.words else ""
    message = f"{profile.name} answered {status}{words}"
    message = _ended(f"{message}, which is no answer" if 200 <= status < 300 else message)
    if 300 <= status < 400:
        hint = "A redirect is never followed with a paid request: is the address right?"
        error: RefusedError = InvalidRequestError(message, status=status, code=code, hint=hint)
    elif status < 300:
        error = ServerError(message, status=status, code=code)
    elif status in (401, 402, 403) or (status == 400 and "API_KEY_INVALID" in said.reasons):
        hint = "Check the key, its rights and its balance, and that it belongs to this endpoint."
        error = AuthError(message, status=status, code=code, hint=hint)
    elif status == 429 and (said.codes & _NO_QUOTA or said.per_day):
        hint = "Waiting minutes will not help: top up, or wait for the quota to begin anew."
        error = QuotaError(message, status=status, code=code, hint=hint)
    elif status == 429:
        error = RateLimitError(message, status=status, code=code)
    elif status == 503:
        error = OverloadedError(message, status=status, code=code)
    elif status >= 500 or status == 408:
        error = ServerError(message, status=status, code=code)
    else:
        hint = _MENDS.get(status, "")
        error = InvalidRequestError(message, status=status, code=code, hint=hint)
    error.retry_after = said.retry_after
    return error


def _ended(words: str) -> str:
    return words if words.endswith((".", "!", "?")) else f"{words}."


class _Said:
    """What the body of a refusal says, in any of the shapes that are seen."""

    def __init__(self, body: bytes) -> None:
        self.words = self.code = ""
        self.codes: set[str] = set()
        self.reasons: set[str] = set()
        self.retry_after: float | None = None
        self.per_day = False
        try:
            document = msgspec.json.decode(body)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self._not_json(body)
            return
        if isinstance(document, list):  # Google wraps some of its errors in a list of one
            document = document[0] if document else None
        outer = table(document)
        error = outer.get("error")
        inner = table(error) if isinstance(error, dict) else outer
        said = error if isinstance(error, str) else either(inner, "message", "msg", "detail")
        # Of a shape that we do not know, the beginning says more than nothing.
        self.words = clean(text(said) or body[:2000].decode("utf-8", "replace"))
        codes = [text(inner.get(name)) for name in ("code", "status", "type")]
        self.codes.update(codes)
        self.code = clean(next(filter(None, codes), ""), 80)
        for detail in items(inner.get("details")):
            self._detail(table(detail))

    def _not_json(self, body: bytes) -> None:
        start = body[:2000].decode("utf-8", "replace").strip()
        if start.startswith("<"):
            title = re.search(r"<title>(.{0,200}?)</title>", start, re.IGNORECASE | re.DOTALL)
            self.words = clean(f"an HTML page, {title[1] if title else 'without a title'}")
        else:
            self.words = clean(start)

    def _detail(self, detail: Mapping[str, object]) -> None:
        """One of Google's typed details (google.rpc.error_details)."""
        kind = text(detail.get("@type")).rsplit(".", 1)[-1]
        if kind == "RetryInfo":
            delay = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,9})?)s", text(detail.get("retryDelay")))
            if delay:
                self.retry_after = float(delay[1])
        elif kind == "ErrorInfo":
            self.reasons.add(text(detail.get("reason")))
        elif kind == "QuotaFailure":
            ids = (text(table(v).get("quotaId")) for v in items(detail.get("violations")))
            self.per_day |= any("PerDay" in name for name in ids)
