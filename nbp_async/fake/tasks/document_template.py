"""Documents of `task_services.toml`, filled with the values of a task.

"{id}"                      the value itself, of any type: a text, a number, a list, null
"google/{model}"            a text with values in it
"{request.input}"           a field of a value
"if NAME", "unless NAME"    a key whose table is merged in if the value is there; in its place, the
                            name of a part
[{ each = "links", ... }]   one such table for each item of a list; the item is `{item}`
{ json = ... }              a text that holds this as JSON

Images are megabytes. They stay out of the document while it is encoded, and are put between its
pieces without being copied.
"""

import re
from collections.abc import Mapping, Sequence

import msgspec

from nbp_async.fake.json_fields import lookup
from nbp_async.fake.payloads import Payload

_HOLE = "\0image\0"  # a prompt that holds this text spoils its own answer
_ENCODED_HOLE = msgspec.json.encode(_HOLE)
_VALUE = re.compile(r"\{([\w.]+)\}")


class Streamed(msgspec.Struct, frozen=True):
    """A value that is JSON already, in pieces."""

    pieces: Sequence[bytes]


class DocumentFiller:
    """Fills one document.

    Args:
        parts: Pieces of documents, filled when they are used.
        values: The other values.
        images: The names of those values that hold images.

    Attributes:
        has_images: The document has a value that holds images.
    """

    def __init__(
        self, parts: Mapping[str, object], values: Mapping[str, object], images: frozenset[str]
    ) -> None:
        self._parts = parts
        self._values = dict(values)
        self._images = images
        self._streamed: list[Sequence[bytes]] = []
        self.has_images = False

    def payload(self, template: object) -> Payload:
        """The document as JSON."""
        first, *rest = msgspec.json.encode(self._fill(template)).split(_ENCODED_HOLE)
        pieces = [first]
        for streamed, piece in zip(self._streamed, rest, strict=True):
            pieces += [*streamed, piece]
        return Payload(pieces)

    def holds(self, name: str) -> bool:
        """The value is there: neither null nor false."""
        return lookup(self._values, name) not in (None, False)

    def _fill(self, template: object) -> object:
        if isinstance(template, str):
            return self._fill_text(template)
        if isinstance(template, list):
            return [filled for item in template for filled in self._fill_item(item)]
        if not isinstance(template, dict):
            return template
        if template.keys() == {"json"}:
            return msgspec.json.encode(self._fill(template["json"])).decode()
        return self._fill_table(template)

    def _fill_table(self, template: Mapping[str, object]) -> dict[str, object]:
        filled: dict[str, object] = {}
        for name, value in template.items():
            word, _, condition = name.partition(" ")
            if not condition:
                filled[name] = self._fill(value)
            elif self.holds(condition) == (word == "if"):
                table = self._parts[value] if isinstance(value, str) else value
                assert isinstance(table, dict)
                filled |= self._fill_table(table)
        return filled

    def _fill_item(self, template: object) -> list[object]:
        if not isinstance(template, dict) or "each" not in template:
            return [self._fill(template)]
        inner = {name: value for name, value in template.items() if name != "each"}
        items = self._value(template["each"])
        assert isinstance(items, list)
        filled: list[object] = []
        for item in items:
            self._values["item"] = item
            filled.append(self._fill_table(inner))
        return filled

    def _fill_text(self, template: str) -> object:
        whole = _VALUE.fullmatch(template)
        if whole is not None:
            return self._value(whole[1])
        return _VALUE.sub(lambda name: str(self._value(name[1])), template)

    def _value(self, name: str) -> object:
        if name in self._parts:
            return self._fill(self._parts[name])
        value = lookup(self._values, name)
        self.has_images |= name in self._images and value is not None
        if isinstance(value, Streamed):
            self._streamed.append(value.pieces)
            return _HOLE
        return value
