"""Turns: how many arriving bodies are decoded and stored at the same time.

When a hundred bodies arrive at once, a few are worked on and the others wait, their senders held
back by their sockets. A turn is kept for as long as more of its body is there already, so that what
it needs stays in the processor's cache and goes to disk in large writes; when the body pauses, the
turn passes on.
"""

import asyncio

from nbp_async._pacing.slots import Slots

AT_ONCE = 8  # bodies
SMALL = 16 * 1024  # bytes; of a body that comes in smaller pieces no more is there yet
# Rounds of the loop until a piece that is there reaches its reader: one to read it from the socket,
# one to wake the reader, and one more, as nobody knows who comes first within a round.
_ROUNDS = 3


class Turn:
    """One body's way to its turns: `begin` before each piece, `pause` after it, `end` at last."""

    __slots__ = ("_handle", "_held", "_places")

    def __init__(self, places: Slots) -> None:
        self._places = places
        self._handle: asyncio.Handle | None = None
        self._held = False

    async def begin(self) -> None:
        """Wait for a turn, if it was not kept. Cancelled, it has none."""
        if self._held:
            self._stay()
            return
        if not self._places.acquire_nowait():
            await self._places.acquire()
        self._held = True

    def pause(self, size: int) -> None:
        """A piece of `size` bytes is done."""
        if size > SMALL:
            self._linger(_ROUNDS)
        else:
            self.end()

    def end(self) -> None:
        """Pass the turn on, if there is one."""
        self._stay()
        if self._held:
            self._held = False
            self._places.release()

    def _linger(self, rounds: int) -> None:
        if rounds:
            self._handle = asyncio.get_running_loop().call_soon(self._linger, rounds - 1)
        else:
            self.end()

    def _stay(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
