"""Writes the JSON body of a request: a template filled with values, references as base64.

A request with large references is encoded in a thread. Encoding base64 holds the interpreter
lock, so it is done in slices: between two slices the event loop can run.
"""

import io
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec
import pybase64

from nbp_async._base.errors import ConfigError
from nbp_async._models.outcomes import Reference

_SLICE = 384 * 1024  # bytes encoded at once, about 0.2 ms; a multiple of three needs no padding
_PLACE = b"\0"  # marks where a reference goes: valid JSON never contains a zero byte


class Base64:
    """Bytes that stand in a request's JSON as a base64 string, after `before`."""

    __slots__ = ("_before", "_data")

    def __init__(self, data: bytes, before: str = "") -> None:
        self._data = data
        self._before = before

    def write(self, target: io.BytesIO) -> None:
        """Write it as a JSON string. `before` must be plain ASCII that needs no escapes."""
        target.write(b'"' + self._before.encode())
        data = memoryview(self._data)
        for start in range(0, len(data), _SLICE):
            target.write(pybase64.b64encode(data[start : start + _SLICE]))
            # Offers the lock. A thread that only waits for the request to drop it waits for the
            # switch interval, 5 ms by default.
            time.sleep(0)
        target.write(b'"')


def link_or_data(reference: Reference) -> str | Base64:
    """The reference's link, or its bytes as a `data:` URL.

    Raises:
        ConfigError: The link is not http(s).
    """
    if not reference.uri:
        return Base64(reference.data, f"data:{reference.mime};base64,")
    if urlsplit(reference.uri).scheme not in ("http", "https"):
        raise ConfigError(
            f"Reference {reference.uri}: this API takes files and http(s) links. Nothing was sent."
        )
    return reference.uri


def fill_template(template: object, values: Mapping[str, object]) -> object:
    """Replace each `"{name}"` by its value; a field whose value is None is left out."""
    if isinstance(template, str):
        if template[:1] == "{" and template[1:-1] in values:
            return values[template[1:-1]]
        return template
    if isinstance(template, dict):
        filled = {name: fill_template(inner, values) for name, inner in template.items()}
        return {name: value for name, value in filled.items() if value is not None} or None
    if isinstance(template, list):
        elements = (fill_template(inner, values) for inner in template)
        return [value for value in elements if value is not None] or None
    return template


def has_place(template: object, name: str) -> bool:
    """A `"{name}"` stands somewhere in the template."""
    if isinstance(template, Mapping):
        return any(has_place(inner, name) for inner in template.values())
    if isinstance(template, list | tuple):
        return any(has_place(inner, name) for inner in template)
    return template == name


def with_extra(body: Mapping[str, object], extra: Mapping[str, object]) -> dict[str, object]:
    """`extra` merged into `body`: objects are joined, anything else is replaced."""
    merged = dict(body)
    for name, value in extra.items():
        old = merged.get(name)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[name] = with_extra(old, value) if both else value  # type: ignore[arg-type]
    return merged


def unwritable(cause: Exception) -> ConfigError:
    """The error of a prompt that has no form in JSON: an object in `extra`, or half a character."""
    return ConfigError(
        f"The prompt or its extra fields cannot be written as JSON: {cause}. Nothing was sent."
    )


def encode_json(body: Mapping[str, object]) -> bytes:
    """Encode a request body. Large bytes in it are wrapped as `Base64`.

    Raises:
        ConfigError: A value has no form in JSON.
    """
    large: list[Base64] = []

    def leave_place(value: object) -> msgspec.Raw:
        if not isinstance(value, Base64):
            raise TypeError(f"Encoding objects of type {type(value).__name__} is unsupported")
        large.append(value)
        return msgspec.Raw(_PLACE)

    try:
        encoded = msgspec.json.encode(body, enc_hook=leave_place)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as exc:
        problem = unwritable(exc)
    else:
        return _insert(encoded, large) if large else encoded
    raise problem


def _insert(encoded: bytes, large: list[Base64]) -> bytes:
    """Write the references into their places, which stand in the same order."""
    first, *others = encoded.split(_PLACE)
    target = io.BytesIO()
    target.write(first)
    for reference, text in zip(large, others, strict=True):
        reference.write(target)
        target.write(text)
    return target.getvalue()
