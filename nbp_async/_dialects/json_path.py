"""Places in a JSON document: `data[].url`, `output`, `data.resultJson|json.resultUrls[]`."""

from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec

from nbp_async._dialects.reply_fields import as_array, as_object

_JSON = "|json"
_MOST_LISTED = 12  # paths that a message lists
_DEEPEST = 8  # levels at which they are looked for


def find_values(document: object, places: Sequence[str]) -> list[object]:
    """The values at the first of these places that has any value but null."""
    for place in places:
        values = [value for value in walk(document, place.split(".")) if value is not None]
        if values:
            return values
    return []


def find_text(document: object, places: Sequence[str]) -> str:
    """The first string at these places, or the first whole number as text; or ""."""
    for place in places:
        for value in walk(document, place.split(".")):
            if isinstance(value, str) and value:
                return value
            if isinstance(value, int) and not isinstance(value, bool):
                return str(value)
    return ""


def last_keys(places: Sequence[str]) -> frozenset[bytes]:
    """The last key of each place."""
    return frozenset(
        place.split(".")[-1].removesuffix("[]").removesuffix(_JSON).encode() for place in places
    )


def list_paths(document: object) -> list[str]:
    """The paths of the document's values, written as in a task table; the first dozen."""
    return list(islice(_paths(document, ""), _MOST_LISTED))


def _paths(value: object, place: str, depth: int = _DEEPEST) -> Iterator[str]:
    if isinstance(value, dict) and value and depth:
        for name, inner in value.items():
            yield from _paths(inner, f"{place}.{name}" if place else str(name), depth - 1)
    elif isinstance(value, list) and value and depth:
        yield from _paths(value[0], f"{place}[]", depth - 1)
    elif place:
        yield place


def walk(value: object, steps: Sequence[str]) -> Iterator[object]:
    """The values at a place; none where the document has another shape."""
    if not steps:
        yield value
        return
    step = steps[0]
    many = step.endswith("[]")
    step = step.removesuffix("[]")
    inner = as_object(value).get(step.removesuffix(_JSON))
    if step.endswith(_JSON):
        inner = _decoded(inner)
    for one in as_array(inner) if many else (inner,):
        yield from walk(one, steps[1:])


def _decoded(value: object) -> object:
    """JSON within a string; some services send it plain instead."""
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
