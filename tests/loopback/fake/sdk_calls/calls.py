"""Runs the calls of a script one after the other, and prints what came of each."""

import json
import struct
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def run(client: Any, *calls: Callable[[Any], object]) -> None:
    for call in calls:
        try:
            result = str(call(client))
        except Exception as exc:  # noqa: BLE001  the test compares it
            result = f"{type(exc).__name__}: {exc}"
        print(json.dumps([call.__name__, result]), flush=True)


def until(done: Callable[[T], bool], look: Callable[[], T]) -> T:
    """Look until it is done."""
    end = time.monotonic() + 30
    while not done(found := look()):
        assert time.monotonic() < end, f"not done: {found}"
        time.sleep(0.05)
    return found


def size_of(data: bytes) -> str:
    """Format and size of an image, without a package that reads images."""
    if data[:4] == b"\x89PNG":
        width, height = struct.unpack(">II", data[16:24])
        return f"png {width}x{height}"
    at = data.index(b"\xff\xc0") + 5
    height, width = struct.unpack(">HH", data[at : at + 4])
    return f"jpeg {width}x{height}"
