"""The gate that every attempt passes: the shared pause, then a slot, then a token.

A slot bounds how many requests are in flight; a token bounds how often one leaves. The order
matters: a token taken while still queueing for a slot would be spent long before its request
leaves, and the saved-up requests would then go out as one burst. Whoever waits for the pause
holds no slot, for slots may be shared with another model whose gate is open.
"""

import asyncio
from collections import deque
from collections.abc import Callable

import msgspec

from nbp_async._events import GateClosed, GateOpened
from nbp_async._pacing.bucket import RateLimiter
from nbp_async._pacing.pause import Pause
from nbp_async._pacing.slots import Slots


class Ticket(msgspec.Struct, frozen=True, gc=False):
    """The right to be in flight.

    Attributes:
        at: When the slot was held, on the loop's clock: the attempt's own clock starts here.
        generation: The pause's count when it was admitted.
        ramp: It is part of a step of the ramp.
    """

    at: float
    generation: int
    ramp: bool


class GateStatistics(msgspec.Struct, frozen=True):
    """A snapshot. `paused` is in seconds, 0.0 when open; `step` is None when open."""

    in_flight: int
    waiting: int
    paused: float
    step: int | None


class Gate:
    """Admits the requests to one endpoint, with one key, for one model. Belongs to one loop."""

    def __init__(
        self,
        slots: Slots,
        bucket: RateLimiter | None,
        *,
        rng: Callable[[], float],
        on_change: Callable[[GateClosed | GateOpened], None] | None = None,
    ) -> None:
        self._slots = slots
        self._bucket = bucket
        self._pause = Pause(rng)
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._waiters: deque[asyncio.Future[int]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def enter(self) -> Ticket:
        """Wait for the pause, a slot and a token, in this order and in turn.

        Cancelled, nothing stays taken.
        """
        pause, slots = self._pause, self._slots
        while True:
            ramp = pause.state != "open"
            generation = await self._admission() if ramp else pause.generation
            try:
                if not slots.acquire_nowait():
                    await slots.acquire()
                at = self._loop.time()
                if self._bucket is not None:
                    await self._take_token()
            except BaseException:
                self._take_back(generation, ramp)
                raise
            if pause.state == "open" or (ramp and generation == pause.generation):
                return Ticket(at, generation, ramp)
            slots.release()  # it closed meanwhile

    def leave(self, ticket: Ticket) -> None:  # noqa: ARG002  a ticket proves that there is a slot
        """Give the slot back."""
        self._slots.release()

    def throttled(self, ticket: Ticket, retry_after: float | None, reason: str) -> float:
        """The server answered 429 or 503: close for all. Returns the seconds until it reopens."""
        before = self._pause.generation
        delay = self._pause.close(self._loop.time(), retry_after, ticket.at)
        if self._pause.generation != before:
            self._look_again()
            if self._on_change is not None:
                self._on_change(GateClosed(delay, reason))
        return delay

    def succeeded(self, ticket: Ticket) -> None:
        """An attempt ended well: while ramping that is proof enough for its step."""
        if ticket.ramp and ticket.generation == self._pause.generation:
            self._accept()

    def paused_for(self) -> float:
        """Seconds until it reopens, 0.0 when it is not closed."""
        return self._pause.left_of_it(self._loop.time())

    def statistics(self) -> GateStatistics:
        return GateStatistics(
            in_flight=self._slots.in_use,
            waiting=self._slots.waiting + sum(not w.done() for w in self._waiters),
            paused=self.paused_for(),
            step=None if self._pause.state == "open" else self._pause.step,
        )

    def close(self) -> None:
        """Stop the timer; nobody may wait any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _take_token(self) -> None:
        """Take a token while holding the slot, and give the slot back if that is cancelled."""
        assert self._bucket is not None
        try:
            await self._bucket.acquire()
        except BaseException:
            self._slots.release()
            raise

    async def _admission(self) -> int:
        """Wait until the pause lets us leave; returns its generation."""
        if not self._waiters and self._pause.admit(self._loop.time()):
            self._look_again()
            return self._pause.generation
        waiter: asyncio.Future[int] = self._loop.create_future()
        self._waiters.append(waiter)
        self._look_again()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._take_back(waiter.result(), ramp=True)
            raise

    def _take_back(self, generation: int, ramp: bool) -> None:
        if ramp and generation == self._pause.generation:
            self._pause.take_back()
            self._let_go()

    def _let_go(self) -> None:
        """Wake as many as may leave now, in turn."""
        now = self._loop.time()
        while self._waiters:
            if self._waiters[0].done():
                self._waiters.popleft()
            elif self._pause.admit(now):
                self._waiters.popleft().set_result(self._pause.generation)
            else:
                break
        self._look_again()

    def _look_again(self) -> None:
        """Set the one timer for when the pause may change by itself."""
        until = self._pause.until
        if self._timer is not None:
            if until is not None and self._timer.when() == until:
                return
            self._timer.cancel()
            self._timer = None
        if until is not None and self._pause.state != "open":
            self._timer = self._loop.call_at(until, self._due)

    def _due(self) -> None:
        self._timer = None
        if self._pause.state == "ramping":
            self._accept()
        else:
            self._let_go()

    def _accept(self) -> None:
        self._pause.accepted(self._slots.limit)
        if self._on_change is not None:
            opened = self._pause.state == "open"
            self._on_change(GateOpened(None if opened else self._pause.step))
        self._let_go()
