"""An event loop for code that waits for time alone: it never sleeps, and asks no socket.

When nothing is ready, its clock jumps to the next timer. It waits really only for other threads:
while one of its executors works, or when no timer is set.
"""

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

_LOOK = 0.001  # seconds of real time between two looks at what a thread does


class JumpingLoop(asyncio.SelectorEventLoop):
    """Its clock begins at 0.0 s."""

    def __init__(self) -> None:
        self._now = 0.0
        self._in_threads: set[asyncio.Future[Any]] = set()
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self._now

    def run_in_executor(  # type: ignore[override]  # asyncio's own types are of its C code
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """As usual; the clock stands until it has ended."""
        future = super().run_in_executor(executor, func, *args)
        self._in_threads.add(future)
        future.add_done_callback(self._in_threads.discard)
        return future

    def wait(self, select: Callable[[float | None], list[Any]], timeout: float | None) -> list[Any]:
        """As a selector waits. Sockets are asked only where a thread may wake us by one."""
        if timeout == 0:
            return []
        if self._in_threads:
            return select(_LOOK if timeout is None else min(timeout, _LOOK))
        if timeout is None:
            return select(None)
        self._now += timeout
        return []


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: JumpingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        return self._loop.wait(super().select, timeout)
