"""Places in a JSON document: `data[].url`, `output`, `data.resultJson|json.resultUrls[]`."""

from collections.abc import Iterator, Sequence

import msgspec

from nbp_async._dialects.read import items, table

_JSON = "|json"


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
