"""Decode turns: how many arriving bodies are decoded and stored at the same time.

When a hundred bodies arrive at once, a few are worked on and the others wait, their senders held
back by TCP. A body keeps its turn while more of it is already here, so that its working set stays
in the processor's cache and goes to disk in large writes; when the body pauses, the turn passes on.
"""

import asyncio

from nbp_async._pacing.slots import Slots

AT_ONCE = 8  # bodies
SMALL = 16 * 1024  # bytes; after a smaller chunk nothing more is in the socket yet
# Turns of the event loop until a chunk that is in the socket reaches its reader: one to read it,
# one to wake the reader, and one more, because the order within a turn is not known.
_LOOP_TURNS = 3


class DecodeTurn:
    """The turns of one body: `begin` before each chunk, `pause` after it, `end` at last.

    begin ─ decode ─ pause(large) ─┬─ chunk within three turns of the loop: begin keeps it
                                   └─ none: the turn passes on
    """

    __slots__ = ("_handle", "_holds", "_slots")

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._handle: asyncio.Handle | None = None
        self._holds = False

    async def begin(self) -> None:
        """Wait for a turn, unless it was kept. Cancelled, it holds none."""
        if self._holds:
            self._stop_lingering()
            return
        if not self._slots.acquire_nowait():
            await self._slots.acquire()
        self._holds = True

    def pause(self, size: int) -> None:
        """A chunk of `size` bytes is done."""
        if size > SMALL:
            self._linger(_LOOP_TURNS)
        else:
            self.end()

    def end(self) -> None:
        """Pass the turn on, if it holds one."""
        self._stop_lingering()
        if self._holds:
            self._holds = False
            self._slots.release()

    def _linger(self, loop_turns: int) -> None:
        # `call_soon` of a callback runs in the next turn of the loop, never in this one.
        if loop_turns:
            loop = asyncio.get_running_loop()
            self._handle = loop.call_soon(self._linger, loop_turns - 1)
        else:
            self.end()

    def _stop_lingering(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
