"""Long lists, page by page, as each vendor gives them."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from nbp_async.fake.image_spec import invalid
from nbp_async.fake.json_fields import whole_number

T = TypeVar("T")
_MOST = 1000


def google_page(items: Sequence[T], query: Mapping[str, str]) -> tuple[Sequence[T], dict[str, str]]:
    """The items of a page, and the field that leads to the next one, if there is one.

    Raises:
        ApiError: The size or the token of the page cannot be used.
    """
    size = _number(query, "pageSize") or 50
    start = _number(query, "pageToken")
    end = start + min(size, _MOST)
    return items[start:end], {"nextPageToken": str(end)} if end < len(items) else {}


def openai_page(ids: Sequence[str], query: Mapping[str, str]) -> slice:
    """The place of a page in a list with these ids.

    Raises:
        ApiError: The size of the page, or what it begins after, cannot be used.
    """
    size, after = _number(query, "limit") or 20, query.get("after", "")
    if after and after not in ids:
        raise invalid("after", f"{after!r} is not in this list")
    start = ids.index(after) + 1 if after else 0
    return slice(start, start + min(size, 100))


def _number(query: Mapping[str, str], name: str) -> int:
    text = query.get(name) or "0"
    number = whole_number(text)
    if number is None:
        raise invalid(name, f"{text!r} is not a whole number")
    return number
