"""A loop whose clock goes so many times faster than real time: what waits on it waits less long.

Client and server both live on such loops, so that every wait, time-out and quota of either has the
length that it has at true latency, and no strategy knows of the scale.
"""

import asyncio
import selectors
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    """Waits the real part of a time."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self._scale = scale

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(timeout / self._scale if timeout and timeout > 0 else timeout)


class FastLoop(asyncio.SelectorEventLoop):
    """A loop at `scale` times real time."""

    def __init__(self, scale: float) -> None:
        self._scale = scale
        super().__init__(_Selector(scale))

    def time(self) -> float:
        """Seconds of its own clock; those of time.monotonic times the scale."""
        return time.monotonic() * self._scale


class FastPolicy(asyncio.DefaultEventLoopPolicy):
    """Makes such loops, for programs that make their own by asyncio.run."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self._scale = scale

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return FastLoop(self._scale)


def run_fast(main: Coroutine[Any, Any, T], scale: float) -> T:
    """Run `main` to its end on such a loop."""
    with asyncio.Runner(loop_factory=lambda: FastLoop(scale)) as runner:
        return runner.run(main)
