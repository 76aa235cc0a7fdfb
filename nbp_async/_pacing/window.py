"""Dollars in any rolling period: the vendors' own limit, kept before they have to say no.

A vendor counts an image when it is made, which is some time between the request's departure and
its end. So a charge counts from the moment it is reserved until a whole period after it is
settled: whatever window the vendor looks at, it finds no more than the limit in it.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from decimal import Decimal

from nbp_async._config import Spend
from nbp_async._errors import BudgetError

_ZERO = Decimal(0)
# A timer may fire a little before its moment. Charges count so much longer, and are let go so
# much earlier than that.
_EARLY = 0.001  # seconds


class Charge:
    """Dollars of one attempt that count against the window."""

    __slots__ = ("dollars", "until")

    def __init__(self, dollars: Decimal) -> None:
        self.dollars = dollars
        self.until: float | None = None  # on the loop's clock; None while it is not settled


class SpendWindow:
    """At most so many dollars in any period, reserved in turn. Belongs to one event loop."""

    __slots__ = ("_loop", "_room", "_settled", "_turn", "counted", "spend")

    def __init__(self, spend: Spend) -> None:
        self.spend = spend
        self.counted = _ZERO
        self._settled: deque[Charge] = deque()  # in the order in which they stop to count
        self._turn = asyncio.Lock()
        self._room: asyncio.Event | None = None  # set when something changes for the first in line
        self._loop = asyncio.get_running_loop()

    def reserve_nowait(self, price: Decimal) -> Charge | None:
        """Reserve if there is room, and nobody waits for it."""
        self._forget()
        if self._turn.locked() or self.counted + price > self.spend.dollars:
            return None
        return self._count(price)

    async def reserve(self, price: Decimal) -> Charge:
        """Wait until `price` more fits into the period, in turn. Cancelled, it reserves nothing.

        Raises:
            BudgetError: It is more than the whole period may see. Nothing was sent.
        """
        if price > self.spend.dollars:
            raise BudgetError(
                f"Not sent: an image may cost ${price.normalize():f}, and spend={self.spend} is "
                "less than that.",
                hint="Raise Limits(spend=...).",
            )
        async with self._turn:
            while True:
                self._forget()
                if self.counted + price <= self.spend.dollars:
                    return self._count(price)
                await self._change()

    def settle(self, charge: Charge, actual: Decimal) -> None:
        """The attempt ended and cost `actual`, which counts for one more period."""
        self.counted += actual - charge.dollars
        charge.dollars = actual
        charge.until = self._loop.time() + self.spend.period + _EARLY
        if actual:
            self._settled.append(charge)
        self._wake()

    def remember(self, recent: Iterable[tuple[float, Decimal]], since: float) -> None:
        """Count what earlier processes spent: pairs of seconds ago and dollars.

        What is younger than `since` seconds was spent by this client, and is counted already.
        """
        now = self._loop.time()
        for ago, dollars in recent:
            if since <= ago < self.spend.period and dollars:
                charge = self._count(dollars)
                charge.until = now + self.spend.period - ago + _EARLY
                self._settled.append(charge)
        self._settled = deque(sorted(self._settled, key=lambda charge: charge.until or 0.0))

    def _count(self, dollars: Decimal) -> Charge:
        self.counted += dollars
        return Charge(dollars)

    def _forget(self) -> None:
        """Let go of what no longer counts."""
        now = self._loop.time() + _EARLY
        while self._settled and (self._settled[0].until or 0.0) <= now:
            self.counted -= self._settled.popleft().dollars

    async def _change(self) -> None:
        """Wait until a charge is settled, or the oldest one stops to count."""
        self._room = asyncio.Event()
        until = self._settled[0].until if self._settled else None
        try:
            async with asyncio.timeout_at(until):
                await self._room.wait()
        except TimeoutError:
            return
        finally:
            self._room = None

    def _wake(self) -> None:
        if self._room is not None:
            self._room.set()
