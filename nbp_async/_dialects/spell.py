"""Writing a request's JSON, with references of many megabytes in it as base64.

Requests with large references are spelled in a thread. Encoding base64 holds the interpreter's
lock, so it goes in slices: the event loop gets its turn between two of them.
"""

import io
import time
from collections.abc import Mapping

import msgspec
import pybase64

from nbp_async._errors import ConfigError

_SLICE = 384 * 1024  # bytes encoded at a go, about 0.2 ms; without remainder by three
_PLACE = b"\0"  # JSON has no zero byte: it marks where the text of a reference belongs


class Base64:
    """Bytes that stand in a request's JSON as a string of base64, after `before`."""

    __slots__ = ("_before", "_data")

    def __init__(self, data: bytes, before: str = "") -> None:
        self._data = data
        self._before = before

    def write(self, target: io.BytesIO) -> None:
        """Write it as a JSON string. `before` is plain ASCII that needs no escapes."""
        target.write(b'"' + self._before.encode())
        data = memoryview(self._data)
        for start in range(0, len(data), _SLICE):
            target.write(pybase64.b64encode(data[start : start + _SLICE]))
            time.sleep(0)  # gives the lock away; asked for, it would be kept for 5 ms
        target.write(b'"')


def spelled(body: Mapping[str, object]) -> bytes:
    """A request's JSON. Large bytes in it are wrapped as `Base64`.

    Raises:
        ConfigError: It holds what JSON has no form for.
    """
    large: list[Base64] = []

    def leave_room(value: object) -> msgspec.Raw:
        if not isinstance(value, Base64):
            raise TypeError(f"Encoding objects of type {type(value).__name__} is unsupported")
        large.append(value)
        return msgspec.Raw(_PLACE)

    try:
        written = msgspec.json.encode(body, enc_hook=leave_room)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as exc:
        problem = ConfigError(
            f"The prompt or its extra fields are no JSON: {exc}. Nothing was sent."
        )
    else:
        return _filled(written, large) if large else written
    raise problem


def _filled(written: bytes, large: list[Base64]) -> bytes:
    """Put the references where there is room for them, in the order in which it was left."""
    first, *others = written.split(_PLACE)
    target = io.BytesIO()
    target.write(first)
    for reference, text in zip(large, others, strict=True):
        reference.write(target)
        target.write(text)
    return target.getvalue()
