"""Slots: how many requests may be in flight. The only queue there is, first come first served."""

import asyncio
from collections import deque


class Slots:
    """A semaphore that serves its waiters in order and can be resized.

    A slot that is given back goes to the first waiter directly: nobody who comes later can take
    it in between. A waiter that is cancelled after it was handed a slot passes it on.
    """

    __slots__ = ("_in_use", "_limit", "_waiters")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._in_use = 0
        self._waiters: deque[asyncio.Future[None]] = deque()

    @property
    def limit(self) -> int:
        """How many may be in use. A smaller one takes effect as slots are given back."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        self._hand_out()

    @property
    def in_use(self) -> int:
        return self._in_use

    @property
    def waiting(self) -> int:
        return sum(not waiter.done() for waiter in self._waiters)

    def acquire_nowait(self) -> bool:
        """Take a slot if one is free and nobody waits for it."""
        if self._in_use < self._limit and not self._waiters:
            self._in_use += 1
            return True
        return False

    async def acquire(self) -> None:
        """Take a slot, in turn. Cancelled, it takes none."""
        if self.acquire_nowait():
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except BaseException:
            if not waiter.cancel() and not waiter.cancelled():
                self.release()  # it was handed over in the moment of the cancellation
            else:
                self._forget(waiter)
            raise

    def release(self) -> None:
        """Give a slot back."""
        self._in_use -= 1
        if self._waiters:
            self._hand_out()

    def _hand_out(self) -> None:
        while self._waiters and self._in_use < self._limit:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self._in_use += 1
                waiter.set_result(None)

    def _forget(self, waiter: asyncio.Future[None]) -> None:
        try:
            self._waiters.remove(waiter)
        except ValueError:
            return  # handed out over it already
        self._hand_out()
