"""Warn about a function of the user that blocks the event loop; once for each function.

While it runs no response is read, no time-out is noticed, and no other image is written.
"""

import inspect
import logging
from pathlib import Path
from types import CodeType

log = logging.getLogger("nbp_async")

LONGEST = 0.05  # seconds; a callback that only takes notes needs less
_named: set[str] = set()


def warn_if_slow(function: object, seconds: float) -> None:
    """Name a function, or a generator, that blocked the loop for longer than it should."""
    if seconds < LONGEST:
        return
    name = describe_callable(function)
    if name in _named:
        return
    _named.add(name)
    log.warning(
        "%s blocked the event loop for %.2f s, and every request with it. Move slow work to a "
        "thread: loop.run_in_executor(None, work), or a queue that a thread reads. This warning "
        "is shown once.",
        name,
        seconds,
    )


def describe_callable(function: object) -> str:
    """Its name and its line, as `Watch.on_outcome (shop.py:12)`."""
    code = getattr(function, "gi_code", None) or getattr(function, "__code__", None)
    if code is None:
        inner = inspect.unwrap(getattr(function, "__func__", function))  # type: ignore[arg-type]
        code = getattr(inner, "__code__", None)
    name = getattr(function, "__qualname__", type(function).__qualname__)
    if not isinstance(code, CodeType):
        return name
    return f"{name} ({Path(code.co_filename).name}:{code.co_firstlineno})"
