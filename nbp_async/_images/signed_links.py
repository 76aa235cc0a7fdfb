"""When a signed link ends, read from its own query: the stores write it there. Pure.

| store | the query says |
|---|---|
| S3, Google, OSS, TOS (signatures of version 4) | the signing time, and for how many seconds |
| the same of version 2, CloudFront | `Expires`, in seconds since 1970 |
| Azure | `se`, a date |
| COS | `q-sign-time`, from and until, in seconds since 1970 |
"""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

_SIGNERS = ("x-amz", "x-goog", "x-oss", "x-tos")
_SECONDS = re.compile(r"[1-9][0-9]{9}")  # since 1970: from 2001 to 2286
_SPAN = re.compile(r"[0-9]{1,9}")


def link_end(link: str) -> float | None:
    """Seconds since 1970 when the link ends, or None if it does not say."""
    try:
        pairs = parse_qsl(urlsplit(link).query)
    except ValueError:
        return None
    query = {name.lower(): value for name, value in pairs}
    for signer in _SIGNERS:
        signed, span = _date(query.get(f"{signer}-date", "")), query.get(f"{signer}-expires", "")
        if signed is not None and _SPAN.fullmatch(span):
            return (signed + timedelta(seconds=int(span))).timestamp()
    if "sig" in query and (end := _date(query.get("se", ""))) is not None:
        return end.timestamp()
    until = query.get("expires") or query.get("q-sign-time", "").rpartition(";")[2]
    return float(until) if _SECONDS.fullmatch(until) else None


def _date(text: str) -> datetime | None:
    """A date of ISO 8601; one without a zone is UTC."""
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
