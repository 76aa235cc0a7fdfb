"""The gate that every attempt passes: the shared pause, then a slot, dollars, and a token.

A slot bounds how many requests are in flight, the spend window how many dollars a period may see,
a token how often a request leaves. The order matters:

    pause     A request that waits for it holds no slot: slots may be shared with another model
              whose gate is open.
    slot      Taken before the token. A token taken while queueing for a slot would be spent long
              before its request leaves, and the saved-up requests would leave as one burst.
    dollars   Before the token, because they may take long to come free.
    token     Last: the request leaves now.
    again     If the pause closed meanwhile, all is given back and the request waits in line again,
              in its old place.

If the pause is longer than the patience of those in line, they are refused at once: nobody should
find out after a day.
"""

import asyncio
import math
from collections.abc import Callable
from decimal import Decimal
from heapq import heappop, heappush
from itertools import count

import msgspec

from nbp_async._base.errors import ClosedError, NbpError, RateLimitError
from nbp_async._models.events import GateClosed, GateOpened, LimitChanged
from nbp_async._models.settings import Rate
from nbp_async._pacing.learned_limit import KeptLimit, LearnedLimit
from nbp_async._pacing.pause import Pause
from nbp_async._pacing.price_margins import ZERO, PriceKind
from nbp_async._pacing.slots import NestedSlots, Slots
from nbp_async._pacing.spend_window import Charge, SpendWindow
from nbp_async._pacing.token_bucket import RateLimiter, TokenBucket

MINUTE = 60.0


class GatePass(msgspec.Struct, frozen=True, gc=False):
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
    """A snapshot.

    Attributes:
        in_flight: Requests that hold a slot.
        waiting: Requests that wait for the pause or for a slot.
        paused: Seconds until the vendor's pause is over; 0.0 when open.
        step: How many may leave in this step of the ramp; None when open.
        limit: How many may be in flight: the number that was set, or what is learned so far.
        is_learned: The limit is learned (`max_in_flight="auto"`).
        remembered: What an earlier run of the same journal had found, and this one went back to; 0
            for nothing.
    """

    in_flight: int
    waiting: int
    paused: float
    step: int | None
    limit: int = 0
    is_learned: bool = False
    remembered: int = 0


GateEvent = GateClosed | GateOpened | LimitChanged


class Gate:
    """Admits the requests to one endpoint, with one key, for one model. Belongs to one loop."""

    def __init__(
        self,
        slots: Slots | NestedSlots,
        bucket: RateLimiter | None,
        *,
        rng: Callable[[], float],
        on_change: Callable[[GateEvent], None] | None = None,
        patience: float = math.inf,
        window: SpendWindow | None = None,
        learned: LearnedLimit | None = None,
    ) -> None:
        self._slots = slots if learned is None else NestedSlots(learned.value, slots)
        self._learned = learned
        self._remembered = 0
        # Requests that left and have not ended. Not the slots in use: the slot of one that was
        # refused has gone to the next in line before the refusal is told of here.
        self._out = 0
        self._growth: asyncio.TimerHandle | None = None
        self._window = window
        self._bucket = bucket
        self._pause = Pause(rng)
        self._on_change = on_change
        self._patience = patience  # seconds
        self._loop = asyncio.get_running_loop()
        self._turn = asyncio.Lock()
        self._places = count()
        # The requests that wait for the pause, by place in line. A request that a pause sends back
        # keeps its place, so this is a heap: it comes in front of those that arrived later.
        self._line: list[tuple[int, asyncio.Future[int]]] = []
        self._timer: asyncio.TimerHandle | None = None

    def enter_nowait(self) -> GatePass | None:
        """Pass if nothing stands in the way and nobody waits: what most attempts find."""
        pause = self._pause
        if pause.state != "open" or self._bucket is not None or self._window is not None:
            return None
        if not self._slots.acquire_nowait():
            return None
        now = self._loop.time()
        self._count_departure(now)
        return GatePass(now, now, pause.phase)

    async def enter(self, price: Decimal = ZERO, kind: PriceKind | None = None) -> GatePass:
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
                    charge = await self._dollars_and_token(price, kind, phase)
                    left = self._loop.time()
            except BaseException:
                self._take_back(phase)
                raise
            if pause.holds(phase):
                if pause.state != "open":
                    pause.departed(phase, left)
                    self._set_timer()
                self._count_departure(left)
                return GatePass(at, left, phase, charge)
            self._give_back(charge)  # the pause closed meanwhile

    def leave(self, ticket: GatePass) -> None:  # noqa: ARG002  a ticket proves that there is a slot
        """Give the slot back."""
        self._out -= 1
        self._slots.release()

    def settle(self, ticket: GatePass, cost: Decimal) -> None:
        """What the attempt cost, or may have cost: it counts in the spend window from now on."""
        if ticket.charge is not None and self._window is not None:
            self._window.settle(ticket.charge, cost)

    def throttled(self, ticket: GatePass, retry_after: float | None, reason: str) -> float:
        """The server answered 429 or 503: close for all. Returns the seconds until it reopens."""
        now = self._loop.time()
        if self._learned is not None:
            if self._learned.refused(now, ticket.left, self._out):
                self._apply_limit(reason)
            self._set_growth()
        closed = self._pause.close(now, retry_after, ticket.left)
        delay = self._pause.remaining(now)
        if closed:
            self._set_timer()
            if delay > self._patience:
                self._dismiss(_too_long(delay))
            if self._on_change is not None:
                self._on_change(GateClosed(delay, reason))
        return delay

    def announced(self, per_minute: int) -> None:
        """The vendor named its rate. It is kept where the user left the limits to us."""
        if self._learned is not None and self._bucket is None:
            self._bucket = TokenBucket(Rate(per_minute, MINUTE))

    def lost(self, ticket: GatePass, reason: str) -> None:
        """An attempt ended so that it may have been billed: a time-out, a cut, an error's page."""
        if self._learned is not None:
            now = self._loop.time()
            if self._learned.lost(now, now - ticket.left):
                self._apply_limit(reason)
            self._set_growth()

    @property
    def kept(self) -> KeptLimit | None:
        """What was learned here, for the next run; None for nothing."""
        return None if self._learned is None else self._learned.kept

    def recall(self, kept: KeptLimit, age: float) -> None:
        """Go back to what a run had found so many seconds ago, unless more is known here."""
        learned, start = self._learned, kept.at_once(age)
        if learned is None or learned.kept is not None or not start:
            return
        self._learned = LearnedLimit(
            start=start,
            floor=learned.floor,
            ceiling=learned.ceiling,
            is_known=not kept.is_searching,
            goal=kept.limit,
        )
        self._remembered = kept.limit
        self._apply_limit("remembered")
        self._set_growth()

    def succeeded(self, ticket: GatePass) -> None:
        """An attempt succeeded: while ramping, that accepts its step at once."""
        if self._pause.proves(ticket.phase):
            self._accept()

    def paused_for(self) -> float:
        """Seconds until it reopens, 0.0 when it is not closed."""
        return self._pause.remaining(self._loop.time())

    @property
    def load(self) -> float:
        """The share of its slots that is in use."""
        return self._slots.in_use / self._slots.limit

    def statistics(self) -> GateStatistics:
        return GateStatistics(
            in_flight=self._slots.in_use,
            waiting=self._slots.waiting + sum(not waiter.done() for _, waiter in self._line),
            paused=self.paused_for(),
            step=None if self._pause.state == "open" else self._pause.step,
            limit=self._slots.limit,
            is_learned=self._learned is not None,
            remembered=self._remembered,
        )

    def close(self) -> None:
        """Stop the timers; requests that still wait for the pause end with a ClosedError."""
        for timer in (self._timer, self._growth):
            if timer is not None:
                timer.cancel()
        self._timer = self._growth = None
        self._learned = None
        self._dismiss(ClosedError("The client was closed. Nothing was sent."))

    def _give_back(self, charge: Charge | None) -> None:
        if charge is not None and self._window is not None:
            self._window.settle(charge, ZERO)
        self._slots.release()

    async def _dollars_and_token(
        self, price: Decimal, kind: PriceKind | None, phase: int
    ) -> Charge | None:
        """Take both while holding the slot, and give all of it back if that is cancelled.

        Tokens are taken one request at a time, each after a look at the pause: when it closes,
        those that still queue for a token waste none.
        """
        charge = None
        try:
            if self._window is not None:
                window = self._window
                charge = window.reserve_nowait(price, kind) or await window.reserve(price, kind)
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
            # Done, not cancelled and without an error: it was admitted in the same turn of the loop
            # in which its task was cancelled. Another request may leave in its place.
            if not waiter.cancel() and not waiter.cancelled() and waiter.exception() is None:
                self._take_back(waiter.result())
            raise

    def _take_back(self, phase: int) -> None:
        if self._pause.take_back(phase):
            self._wake_line()

    def _wake_line(self) -> None:
        """Wake as many as may leave now, in the order of their places."""
        now = self._loop.time()
        while self._line:
            waiter = self._line[0][1]
            if not waiter.done():
                if not self._pause.admit(now):
                    break
                waiter.set_result(self._pause.phase)
            heappop(self._line)

    def _dismiss(self, error: NbpError) -> None:
        """End the wait of all in line with this error."""
        line, self._line = self._line, []
        for _, waiter in line:
            if not waiter.done():
                waiter.set_exception(error)

    def _set_timer(self) -> None:
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
        self._set_timer()
        self._wake_line()

    def _count_departure(self, now: float) -> None:
        self._out += 1
        if self._learned is not None:
            self._learned.departed(now, self._out)
            self._set_growth()

    def _set_growth(self) -> None:
        """Set the timer for when the learned limit may grow."""
        until = self._learned.until if self._learned is not None else None
        if self._growth is not None:
            if self._growth.when() == until:
                return
            self._growth.cancel()
        self._growth = None if until is None else self._loop.call_at(until, self._grow)

    def _grow(self) -> None:
        self._growth = None
        if self._learned is not None and self._learned.grow(self._loop.time()):
            self._apply_limit("accepted")
        self._set_growth()

    def _apply_limit(self, reason: str) -> None:
        assert self._learned is not None, "only a learned limit changes"
        before, self._slots.limit = self._slots.limit, self._learned.value
        if self._on_change is not None:
            self._on_change(
                LimitChanged(before, self._learned.value, reason, known=self._remembered)
            )

    def _accept(self) -> None:
        self._pause.accepted(self._slots.limit, self._out)
        self._set_timer()
        self._wake_line()
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
