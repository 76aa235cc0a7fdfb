"""The gate that every attempt passes: the shared pause, then a slot, dollars, and a token.

A slot bounds how many requests are in flight, the spend window how many dollars a period may see,
a token how often a request leaves. The order matters: a token taken while still queueing for a
slot would be spent long before its request leaves, and the saved-up requests would then go out as
one burst. Whoever waits for the pause
holds no slot, for slots may be shared with another model whose gate is open. A pause that is longer
than the patience of those in line turns them away, for nobody should find out after a day.
"""

import asyncio
import math
from collections.abc import Callable
from decimal import Decimal
from heapq import heappop, heappush
from itertools import count

import msgspec

from nbp_async._errors import ClosedError, NbpError, RateLimitError
from nbp_async._events import GateClosed, GateOpened
from nbp_async._pacing.bucket import RateLimiter
from nbp_async._pacing.pause import Pause
from nbp_async._pacing.slots import Slots
from nbp_async._pacing.window import Charge, SpendWindow

ZERO = Decimal(0)


class Ticket(msgspec.Struct, frozen=True, gc=False):
    """The right to be in flight. Times are on the loop's clock.

    Attributes:
        at: When the slot was held: the attempt's own clock starts here.
        left: When the token was held as well, and it could leave.
        phase: The pause's phase in which it was admitted.
        charge: What it reserved in the spend window, if there is one.
    """

    at: float
    left: float
    phase: int
    charge: Charge | None = None


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
        patience: float = math.inf,
        window: SpendWindow | None = None,
    ) -> None:
        self._slots = slots
        self._window = window
        self._bucket = bucket
        self._pause = Pause(rng)
        self._on_change = on_change
        self._patience = patience  # seconds
        self._loop = asyncio.get_running_loop()
        self._turn = asyncio.Lock()
        self._places = count()
        # Who waits for the pause, by place in line: whoever must come back has kept theirs.
        self._line: list[tuple[int, asyncio.Future[int]]] = []
        self._timer: asyncio.TimerHandle | None = None

    def enter_nowait(self) -> Ticket | None:
        """Pass if nothing stands in the way and nobody waits: what most attempts find."""
        pause = self._pause
        if pause.state != "open" or self._bucket is not None or self._window is not None:
            return None
        if not self._slots.acquire_nowait():
            return None
        now = self._loop.time()
        return Ticket(now, now, pause.phase)

    async def enter(self, price: Decimal = ZERO) -> Ticket:
        """Wait for the pause, a slot, room for `price` in the spend window, and a token; in turn.

        Cancelled, nothing stays taken.

        Raises:
            RateLimitError: The pause lasts longer than the gate's patience. Nothing was sent.
            BudgetError: The price is above what the spend window may ever see. Nothing was sent.
        """
        pause, slots = self._pause, self._slots
        place = next(self._places)
        while True:
            phase = pause.phase if pause.state == "open" else await self._admission(place)
            charge = None
            try:
                if not slots.acquire_nowait():
                    await slots.acquire()
                at = left = self._loop.time()
                if self._window is not None or self._bucket is not None:
                    charge = await self._dollars_and_token(price, phase)
                    left = self._loop.time()
            except BaseException:
                self._take_back(phase)
                raise
            if pause.holds(phase):
                if pause.state != "open":
                    pause.departed(phase, left)
                    self._look_again()
                return Ticket(at, left, phase, charge)
            self._give_back(charge)  # it closed meanwhile

    def leave(self, ticket: Ticket) -> None:  # noqa: ARG002  a ticket proves that there is a slot
        """Give the slot back."""
        self._slots.release()

    def settle(self, ticket: Ticket, cost: Decimal) -> None:
        """What the attempt cost, or may have cost: it counts in the spend window from now on."""
        if ticket.charge is not None and self._window is not None:
            self._window.settle(ticket.charge, cost)

    def throttled(self, ticket: Ticket, retry_after: float | None, reason: str) -> float:
        """The server answered 429 or 503: close for all. Returns the seconds until it reopens."""
        now = self._loop.time()
        closed = self._pause.close(now, retry_after, ticket.left)
        delay = self._pause.remaining(now)
        if closed:
            self._look_again()
            if delay > self._patience:
                self._dismiss(_too_long(delay))
            if self._on_change is not None:
                self._on_change(GateClosed(delay, reason))
        return delay

    def succeeded(self, ticket: Ticket) -> None:
        """An attempt ended well: while ramping that is proof enough for its own step."""
        if self._pause.proves(ticket.phase):
            self._accept()

    def paused_for(self) -> float:
        """Seconds until it reopens, 0.0 when it is not closed."""
        return self._pause.remaining(self._loop.time())

    def statistics(self) -> GateStatistics:
        return GateStatistics(
            in_flight=self._slots.in_use,
            waiting=self._slots.waiting + sum(not waiter.done() for _, waiter in self._line),
            paused=self.paused_for(),
            step=None if self._pause.state == "open" else self._pause.step,
        )

    def close(self) -> None:
        """Stop the timer; whoever still waits for the pause is told so with a ClosedError."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._dismiss(ClosedError("The client was closed. Nothing was sent."))

    def _give_back(self, charge: Charge | None) -> None:
        if charge is not None and self._window is not None:
            self._window.settle(charge, ZERO)
        self._slots.release()

    async def _dollars_and_token(self, price: Decimal, phase: int) -> Charge | None:
        """Take both while holding the slot, and give all of it back if that is cancelled.

        One at a time, so that those who see the pause when their turn comes waste no token on it.
        """
        charge = None
        try:
            if self._window is not None:
                charge = self._window.reserve_nowait(price) or await self._window.reserve(price)
            if self._bucket is not None:
                async with self._turn:
                    if self._pause.holds(phase):
                        await self._bucket.acquire()
        except BaseException:
            self._give_back(charge)
            raise
        return charge

    async def _admission(self, place: int) -> int:
        """Wait until the pause lets us leave; returns its phase."""
        if not self._line and self._pause.admit(self._loop.time()):
            return self._pause.phase
        delay = self.paused_for()
        if delay > self._patience:
            raise _too_long(delay)
        waiter: asyncio.Future[int] = self._loop.create_future()
        heappush(self._line, (place, waiter))
        try:
            return await waiter
        except BaseException:
            if not waiter.cancel() and not waiter.cancelled() and waiter.exception() is None:
                self._take_back(waiter.result())  # let in at the moment of the cancellation
            raise

    def _take_back(self, phase: int) -> None:
        if self._pause.take_back(phase):
            self._let_go()

    def _let_go(self) -> None:
        """Wake as many as may leave now, in turn."""
        now = self._loop.time()
        while self._line:
            waiter = self._line[0][1]
            if not waiter.done():
                if not self._pause.admit(now):
                    break
                waiter.set_result(self._pause.phase)
            heappop(self._line)

    def _dismiss(self, error: NbpError) -> None:
        """Tell all in line that they need not wait."""
        line, self._line = self._line, []
        for _, waiter in line:
            if not waiter.done():
                waiter.set_exception(error)

    def _look_again(self) -> None:
        """Set the one timer for when the pause may change by itself."""
        until = self._pause.until
        if self._timer is not None:
            if self._timer.when() == until:
                return
            self._timer.cancel()
        self._timer = None if until is None else self._loop.call_at(until, self._due)

    def _due(self) -> None:
        self._timer = None
        if self._pause.state == "ramping":
            self._accept()
            return
        self._pause.reopen(self._loop.time())
        self._look_again()
        self._let_go()

    def _accept(self) -> None:
        self._pause.accepted(self._slots.limit)
        self._look_again()
        self._let_go()
        if self._on_change is not None:
            opened = self._pause.state == "open"
            self._on_change(GateOpened(None if opened else self._pause.step))


def _too_long(delay: float) -> RateLimitError:
    return RateLimitError(
        f"Not sent: the vendor asked for a pause that lasts {delay:.0f} s more.",
        status=429,
        retry_after=delay,
        hint="Raise Retry.max_throttle to wait for it, or send the rest later.",
    )
