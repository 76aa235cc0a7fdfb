"""How long a server asks us to wait, read from the headers of its response.

RFC 9110 10.2.3 allows seconds or an HTTP date; some vendors send decimals, or milliseconds in
`retry-after-ms`. Anything else is ignored: a wrong wait is worse than our own backoff.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_NUMBER = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")  # ASCII alone: \d also matches Arabic digits
_MILLISECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")


def parse_retry_after(headers: Mapping[str, str], *, now: Callable[[], float]) -> float | None:
    """Seconds to wait, 0.0 for a date in the past, or None if the headers do not say.

    A date is compared with the response's own Date header, so that a wrong clock on either side
    does not matter; `now` gives seconds since 1970 where that header is missing.
    """
    milliseconds = headers.get("retry-after-ms", "").strip()
    if _MILLISECONDS.fullmatch(milliseconds):
        return float(milliseconds) / 1000
    text = headers.get("retry-after", "").strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    until = _seconds_of(text)
    if until is None:
        return None
    sent = _seconds_of(headers.get("date", ""))
    wait = until - (now() if sent is None else sent)
    return wait if math.isfinite(wait) and wait > 0 else 0.0


def _seconds_of(text: str) -> float | None:
    """An HTTP date as seconds since 1970; one without a zone is UTC."""
    if not text or not text[0].isalpha():
        return None
    try:
        when: datetime = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return (when if when.tzinfo is not None else when.replace(tzinfo=UTC)).timestamp()
