"""The work of a batch job: its lines are read, and rendered one after the other.

A job may have any number of lines. Neither reading nor rendering them holds up the event loop, and
reading needs no more than one line in memory.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


async def split_lines(content: Iterable[Iterable[bytes]]) -> AsyncIterator[bytes]:
    """The lines of a file, without their ends; other tasks run after every piece."""
    rest: list[bytes] = []
    for pieces in content:
        for piece in pieces:
            first, *more = piece.split(b"\n")
            rest.append(first)
            for start in more:
                yield b"".join(rest)
                rest = [start]
            await asyncio.sleep(0)
    if any(rest):
        yield b"".join(rest)


class RenderQueue(Generic[T]):
    """Renders one item after the other, evenly between two moments of the loop's clock."""

    def __init__(
        self, items: Sequence[T], begins: float, ends: float, render: Callable[[T], None]
    ) -> None:
        self._items = items
        self._begins = begins
        self._span = ends - begins
        self._render = render
        self._done = 0
        self._timer: asyncio.TimerHandle | None = None
        self._schedule()

    def finish(self) -> None:
        """Render all that is left: of two timers of the same moment either may come first."""
        self.stop()
        for item in self._items[self._done :]:
            self._render(item)
        self._done = len(self._items)

    def stop(self) -> None:
        """Render nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _schedule(self) -> None:
        if self._done < len(self._items):
            at = self._begins + self._span * (self._done + 1) / len(self._items)
            self._timer = asyncio.get_running_loop().call_at(at, self._render_next)

    def _render_next(self) -> None:
        self._render(self._items[self._done])
        self._done += 1
        self._schedule()
