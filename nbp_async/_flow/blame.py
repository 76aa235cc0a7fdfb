"""Who held up the event loop: a function of the user's, named with its line, once.

While it runs no request is read, no time-out noticed and no other image written.
"""

import inspect
import logging
from pathlib import Path
from types import CodeType

log = logging.getLogger("nbp_async")

LONGEST = 0.05  # seconds that nobody needs who only takes note
_blamed: set[str] = set()


def blame_slow(culprit: object, seconds: float) -> None:
    """Say of a function, or of a generator, that it held the loop, if it did."""
    if seconds < LONGEST:
        return
    name = named(culprit)
    if name in _blamed:
        return
    _blamed.add(name)
    log.warning(
        "%s held the event loop for %.2f s, and every request with it. Hand slow work to a "
        "thread: loop.run_in_executor(None, work), or a queue that a thread reads. This is said "
        "once.",
        name,
        seconds,
    )


def named(culprit: object) -> str:
    """Its name, and where it is written, as `Watch.on_outcome (shop.py:12)`."""
    code = getattr(culprit, "gi_code", None) or getattr(culprit, "__code__", None)
    if code is None:
        inner = inspect.unwrap(getattr(culprit, "__func__", culprit))  # type: ignore[arg-type]
        code = getattr(inner, "__code__", None)
    name = getattr(culprit, "__qualname__", type(culprit).__qualname__)
    if not isinstance(code, CodeType):
        return name
    return f"{name} ({Path(code.co_filename).name}:{code.co_firstlineno})"
