"""Reads fields of answers and refusals that any vendor, relay or proxy may have written.

Nothing is trusted: each function names the type that it wants, and returns a neutral value for
anything else.
"""

import re
from collections.abc import Mapping

import msgspec

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
from nbp_async._dialects.lasting_refusals import HINTS, lasting_cause
from nbp_async._vendors.profiles import Profile

# Besides 5xx: timed out, misdirected, too early (RFC 9110, 8470: not processed), caller gone.
_PASSING = frozenset({408, 421, 425, 499})
_MOST = 10**15  # a larger number is no count
_MOST_TOKENS = 10**7  # of one answer
_WORDS = 200  # characters of a vendor's message that are passed on
_SEARCHED = 16 * 1024  # characters of it that are searched for codes
# What may be a key: by its beginning, or by its length if it is no name made of words.
_SECRET = re.compile(
    r"\b(?:(?:sk|pk|rk|ak|key)-[\w\-]{6,}|AIza[\w\-]{8,}|Bearer\s+[^\s\"',;]{8,})"
    r"|\b(?![a-z]+(?:_[a-z]+)+\b)(?!(?:[A-Z][a-z]{2,}-?)+\b)[\w\-]{24,}",
    re.ASCII,
)

_FIXES = {
    404: "Check the model's name, and the address of the endpoint.",
    413: "Send fewer or smaller references.",
}


def as_object(value: object) -> Mapping[str, object]:
    """The object, or an empty one."""
    return value if isinstance(value, dict) else {}


def as_array(value: object) -> list[object]:
    """The array, or an empty one."""
    return value if isinstance(value, list) else []


def as_text(value: object) -> str:
    """The string, or ""."""
    return value if isinstance(value, str) else ""


def as_count(value: object) -> int:
    """The number as a count, or 0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return int(value) if 0 < value < _MOST else 0


def as_tokens(value: object) -> int:
    """The number of an answer's tokens, or 0 if it is absurd: it would be taken for a bill."""
    count = as_count(value)
    return count if count < _MOST_TOKENS else 0


def flatten(document: object) -> list[object]:
    """The documents in lists of documents: the chunks of a stream, or an answer in a list."""
    if not isinstance(document, list):
        return [document]
    return [one for item in document for one in (item if isinstance(item, list) else [item])]


def first_present(values: Mapping[str, object], *names: str) -> object:
    """The first of these fields that has a value: APIs write them in camel or in snake case."""
    return next((values[name] for name in names if values.get(name) is not None), None)


def sanitize(words: str, limit: int = _WORDS) -> str:
    """A vendor's words, fit for a message: one line, short, without anything that may be a key."""
    printable = "".join(c if c.isprintable() else " " for c in words[: limit * 4])
    return _SECRET.sub("[hidden]", " ".join(printable.split()))[:limit]


def read_refusal(head: ReplyHead, body: bytes, profile: Profile) -> RefusedError:
    """The error for a response whose status is not a success, whatever its body is."""
    said = _RefusalBody(body)
    status, code = head.status, said.code
    words = f": {said.words}" if said.words else ""
    message = f"{profile.name} answered {status}{words}"
    message = _ended(f"{message}, a status without an image" if 200 <= status < 300 else message)
    cause = lasting_cause(status, said.codes, said.text) if status >= 400 else None
    if 300 <= status < 400:
        hint = "A redirect is never followed with a paid request: is the address right?"
        error: RefusedError = InvalidRequestError(message, status=status, code=code, hint=hint)
    elif status < 300:
        error = ServerError(message, status=status, code=code)
    elif status in (401, 402, 403) or (status == 400 and "API_KEY_INVALID" in said.reasons):
        hint = "Check the key, its rights and its balance, and that it belongs to this endpoint."
        error = AuthError(message, status=status, code=code, hint=hint)
    elif cause == "no_model":
        error = InvalidRequestError(message, status=status, code=code, hint=HINTS[cause])
    elif cause is not None:
        error = QuotaError(message, status=status, code=code, hint=HINTS[cause])
        error.is_daily = cause == "day"
    elif status == 429:
        error = RateLimitError(message, status=status, code=code)
    elif status == 503:
        error = OverloadedError(message, status=status, code=code)
    elif status >= 500 or status in _PASSING:
        error = ServerError(message, status=status, code=code)
    else:
        hint = _FIXES.get(status, "")
        error = InvalidRequestError(message, status=status, code=code, hint=hint)
    error.retry_after = said.retry_after
    return error


def _ended(words: str) -> str:
    return words if words.endswith((".", "!", "?")) else f"{words}."


class _RefusalBody:
    """The words and codes of a refusal, in any of the shapes that vendors use."""

    def __init__(self, body: bytes) -> None:
        self.words = self.code = self.text = ""
        self.codes: set[str] = set()
        self.reasons: set[str] = set()
        self.retry_after: float | None = None
        try:
            document = msgspec.json.decode(body)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self._not_json(body)
            return
        if isinstance(document, list):  # Google wraps some of its errors in a list of one
            document = document[0] if document else None
        outer = as_object(document)
        error = outer.get("error")
        inner = as_object(error) if isinstance(error, dict) else outer
        said = error if isinstance(error, str) else first_present(inner, "message", "msg", "detail")
        if isinstance(said, list):  # FastAPI lists what is wrong with the request; fal does as well
            inner = as_object(said[0] if said else None)
            said = inner.get("msg")
        # For an unknown shape, its beginning says more than nothing.
        self.text = (as_text(said) or body[:2000].decode("utf-8", "replace"))[:_SEARCHED]
        self.words = sanitize(self.text)
        codes = [as_text(inner.get(name)) for name in ("code", "status", "type")]
        self.codes.update(codes)
        self.code = sanitize(next(filter(None, codes), ""), 80)
        for detail in as_array(inner.get("details")):
            self._detail(as_object(detail))

    def _not_json(self, body: bytes) -> None:
        start = body[:2000].decode("utf-8", "replace").strip()
        if start.startswith("<"):
            title = re.search(r"<title>(.{0,200}?)</title>", start, re.IGNORECASE | re.DOTALL)
            self.words = sanitize(f"an HTML page, {title[1] if title else 'without a title'}")
        else:
            self.text = start
            self.words = sanitize(start)

    def _detail(self, detail: Mapping[str, object]) -> None:
        """One of Google's typed details (google.rpc.error_details)."""
        kind = as_text(detail.get("@type")).rsplit(".", 1)[-1]
        if kind == "RetryInfo":
            delay = re.fullmatch(
                r"([0-9]{1,6}(?:\.[0-9]{1,9})?)s", as_text(detail.get("retryDelay"))
            )
            if delay:
                self.retry_after = float(delay[1])
        elif kind == "ErrorInfo":
            self.reasons.add(as_text(detail.get("reason")))
        elif kind == "QuotaFailure":
            for violation in map(as_object, as_array(detail.get("violations"))):
                self.text += f" {as_text(violation.get('quotaId'))}"
                if violation.get("quotaValue") == "0":
                    self.text += " limit: 0"
