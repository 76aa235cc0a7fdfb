"""The work of a batch job: its lines are read, and rendered one after the other.

A job may have as many lines as it likes: neither reading them nor waiting for them holds up the
loop, and none of it needs more than a line in memory.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


async def lines_of(content: Iterable[Iterable[bytes]]) -> AsyncIterator[bytes]:
    """The lines of a file, without their ends; others get their turn after every piece."""
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


class Belt(Generic[T]):
    """Does `work` on one item after the other, evenly between two moments of the loop's clock."""

    def __init__(
        self, items: Sequence[T], begins: float, ends: float, work: Callable[[T], None]
    ) -> None:
        self._items = items
        self._begins = begins
        self._span = ends - begins
        self._work = work
        self._done = 0
        self._timer: asyncio.TimerHandle | None = None
        self._wait()

    def finish(self) -> None:
        """Do all that is left: two timers of the same moment may come in any order."""
        self.stop()
        for item in self._items[self._done :]:
            self._work(item)
        self._done = len(self._items)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self) -> None:
        if self._done < len(self._items):
            at = self._begins + self._span * (self._done + 1) / len(self._items)
            self._timer = asyncio.get_running_loop().call_at(at, self._do)

    def _do(self) -> None:
        self._work(self._items[self._done])
        self._done += 1
        self._wait()
