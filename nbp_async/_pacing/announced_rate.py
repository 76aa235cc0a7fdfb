"""The rate that a vendor names when it refuses: requests a minute, in a header.

OpenAI's `x-ratelimit-limit-requests` counts requests a minute (platform.openai.com, rate limits);
several relays send it as well.
"""

from collections.abc import Mapping

_HEADER = "x-ratelimit-limit-requests"
_MOST_DIGITS = 6  # a million requests a minute is no limit of images


def announced_per_minute(headers: Mapping[str, str]) -> int | None:
    """The requests a minute that these headers name, or None. Names are in lower case."""
    text = headers.get(_HEADER, "").strip()
    if not text.isascii() or not text.isdigit() or len(text) > _MOST_DIGITS:
        return None
    return int(text) or None
