"""Places in a JSON document: `data[].url`, `output`, `data.resultJson|json.resultUrls[]`."""

from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec

from nbp_async._dialects.read import items, table

_JSON = "|json"
_NAMED = 12  # places that a message tells
_DEPTH = 8  # of the documents in which they are looked for


def found(document: object, places: Sequence[str]) -> list[object]:
    """All that is at the first of these places where there is anything but null."""
    for place in places:
        values = [value for value in at(document, place.split(".")) if value is not None]
        if values:
            return values
    return []


def words(document: object, places: Sequence[str]) -> str:
    """The first string, or number as one, at these places; or ""."""
    for place in places:
        for value in at(document, place.split(".")):
            if isinstance(value, str) and value:
                return value
            if isinstance(value, int) and not isinstance(value, bool):
                return str(value)
    return ""


def last_names(places: Sequence[str]) -> frozenset[bytes]:
    """The keys that values at these places have."""
    return frozenset(
        place.split(".")[-1].removesuffix("[]").removesuffix(_JSON).encode() for place in places
    )


def names(document: object) -> list[str]:
    """Places that the document has, spelled as in a table; the first dozen."""
    return list(islice(_names(document, ""), _NAMED))


def _names(value: object, place: str, depth: int = _DEPTH) -> Iterator[str]:
    if isinstance(value, dict) and value and depth:
        for name, inner in value.items():
            yield from _names(inner, f"{place}.{name}" if place else str(name), depth - 1)
    elif isinstance(value, list) and value and depth:
        yield from _names(value[0], f"{place}[]", depth - 1)
    elif place:
        yield place


def at(value: object, steps: Sequence[str]) -> Iterator[object]:
    """What is at a place, nothing where the document has another shape."""
    if not steps:
        yield value
        return
    step = steps[0]
    many = step.endswith("[]")
    step = step.removesuffix("[]")
    inner = table(value).get(step.removesuffix(_JSON))
    if step.endswith(_JSON):
        inner = _decoded(inner)
    for one in items(inner) if many else (inner,):
        yield from at(one, steps[1:])


def _decoded(value: object) -> object:
    """JSON that was written into a string; some services send it plain after all."""
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
