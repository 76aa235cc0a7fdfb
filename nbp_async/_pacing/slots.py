"""Slots: how many requests may be in flight. The only queue there is, first come first served."""

import asyncio
from collections import deque


class Slots:
    """A semaphore that serves its waiters in order and can be resized.

    A released slot goes to the first waiter directly, counted as in use before that waiter runs:

        release()           in_use 3 → 2
          _hand_out()       in_use 2 → 3, set_result(first waiter)
        any other task      acquire_nowait() → False: it cannot overtake
        first waiter runs   it owns the slot already

    So a waiter that is cancelled between the last two lines owns a slot, and must release it.
    """

    __slots__ = ("_in_use", "_limit", "_waiters")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._in_use = 0
        self._waiters: deque[asyncio.Future[None]] = deque()

    @property
    def limit(self) -> int:
        """How many may be in use. A smaller limit takes effect as slots are released."""
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
            # `cancel` returns False for a future that is done. Done and not cancelled means that
            # the slot was handed over in the same turn of the loop as the cancellation.
            if not waiter.cancel() and not waiter.cancelled():
                self.release()
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
        """Take a cancelled waiter out of the queue, where it may stand before others."""
        try:
            self._waiters.remove(waiter)
        except ValueError:
            return  # `_hand_out` has passed over it
        self._hand_out()


class NestedSlots:
    """Slots of one's own within slots that are shared: a request holds one of each.

    The own one is taken first: a request that waits for it leaves the shared ones to others.
    """

    __slots__ = ("_own", "_queued", "_shared")

    def __init__(self, limit: int, shared: "Slots | NestedSlots") -> None:
        self._own = Slots(limit)
        self._shared = shared
        self._queued = 0  # requests that have their own slot and wait for a shared one

    @property
    def limit(self) -> int:
        """How many may be in use, as far as that is one's own to say."""
        return self._own.limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._own.limit = limit

    @property
    def in_use(self) -> int:
        return self._own.in_use - self._queued

    @property
    def waiting(self) -> int:
        return self._own.waiting + self._queued

    def acquire_nowait(self) -> bool:
        """Take both if both are free and nobody waits for either."""
        if not self._own.acquire_nowait():
            return False
        if self._shared.acquire_nowait():
            return True
        self._own.release()
        return False

    async def acquire(self) -> None:
        """Take both, in turn. Cancelled, it takes none."""
        await self._own.acquire()
        self._queued += 1
        try:
            await self._shared.acquire()
        except BaseException:
            self._own.release()
            raise
        finally:
            self._queued -= 1

    def release(self) -> None:
        """Give both back."""
        self._shared.release()
        self._own.release()
