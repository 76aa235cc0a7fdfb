"""Dollars in any rolling period: the vendors' own limit, kept before they have to refuse.

A vendor counts an image at some moment between the departure of its request and its end, and we do
not know which. So a charge counts for longer than any of them:

    reserve ─────── the request ─────── settle ─────── one period ───────► forgotten
    └──────────────────────── counts ────────────────────────────────────┘

Whatever window of a period the vendor looks at, it holds no more than the limit; what a request
that is out may cost beyond its price is the rule of `price_margins`.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from decimal import Decimal

from nbp_async._base.errors import BudgetError
from nbp_async._models.settings import Spend
from nbp_async._pacing.price_margins import ZERO, OpenPrices, PriceKind, PriceMargins

# asyncio fires a timer up to one clock resolution early. Charges count this much longer, and a
# charge is forgotten this much before its end, so that an early timer finds it ended.
_EARLY = 0.001  # seconds


class Charge:
    """Dollars of one attempt that count against the window."""

    __slots__ = ("dollars", "kind", "until")

    def __init__(self, dollars: Decimal, kind: PriceKind | None = None) -> None:
        self.dollars = dollars
        self.kind = kind
        self.until: float | None = None  # on the loop's clock; None while it is not settled


class SpendWindow:
    """At most so many dollars in any period, reserved in turn. Belongs to one event loop."""

    __slots__ = ("_changed", "_loop", "_open", "_past", "_settled", "_turn", "spend")

    def __init__(self, spend: Spend, margins: PriceMargins | None = None) -> None:
        self.spend = spend
        self._open = OpenPrices(margins)
        self._past = ZERO  # dollars of the settled ones
        self._settled: deque[Charge] = deque()  # in the order in which they stop counting
        # Only the first in line waits for a change; the others wait for the lock, in order.
        self._turn = asyncio.Lock()
        self._changed: asyncio.Event | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def counted(self) -> Decimal:
        """Dollars that count now."""
        return self._past + self._open.expected

    def reserve_nowait(self, price: Decimal, kind: PriceKind | None = None) -> Charge | None:
        """Reserve if there is room, and nobody waits for it."""
        if self._turn.locked() or not self._fits(price, kind):
            return None
        return self._reserved(price, kind)

    async def reserve(self, price: Decimal, kind: PriceKind | None = None) -> Charge:
        """Wait until `price` more fits into the period, in turn. Cancelled, it reserves nothing.

        Raises:
            BudgetError: It is more than the whole period may see. Nothing was sent.
        """
        self._check(price, kind)
        async with self._turn:
            while not self._fits(price, kind):
                self._check(price, kind)
                await self._wait_for_change()
            return self._reserved(price, kind)

    def settle(self, charge: Charge, actual: Decimal) -> None:
        """The attempt ended and cost `actual`, which counts for one more period."""
        self._open.remove(charge.dollars, charge.kind)
        charge.dollars = actual
        charge.until = self._loop.time() + self.spend.period + _EARLY
        if actual:
            self._past += actual
            self._settled.append(charge)
        if self._changed is not None:
            self._changed.set()

    def remember(self, recent: Iterable[tuple[float, Decimal]], since: float) -> None:
        """Count what earlier processes spent: pairs of seconds ago and dollars.

        This client spent what is younger than `since` seconds itself; that is counted already.
        """
        now = self._loop.time()
        for ago, dollars in recent:
            if since <= ago < self.spend.period and dollars:
                charge = Charge(dollars)
                self._past += dollars
                charge.until = now + self.spend.period - ago + _EARLY
                self._settled.append(charge)
        self._settled = deque(sorted(self._settled, key=lambda charge: charge.until or 0.0))

    def _check(self, price: Decimal, kind: PriceKind | None) -> None:
        most = self._open.price_of(price, kind)
        if most > self.spend.dollars:
            raise BudgetError(
                f"not sent, because one image may cost ${most.normalize():f}: more than that.",
                option="spend",
                value=str(self.spend),
                hint="Raise the limit to continue.",
            )

    def _fits(self, price: Decimal, kind: PriceKind | None) -> bool:
        self._forget()
        return self._open.fits(price, kind, self.spend.dollars - self._past)

    def _reserved(self, dollars: Decimal, kind: PriceKind | None) -> Charge:
        self._open.add(dollars, kind)
        return Charge(dollars, kind)

    def _forget(self) -> None:
        """Forget the charges that no longer count."""
        now = self._loop.time() + _EARLY
        while self._settled and (self._settled[0].until or 0.0) <= now:
            self._past -= self._settled.popleft().dollars

    async def _wait_for_change(self) -> None:
        """Wait until a charge is settled, or the oldest one stops counting."""
        self._changed = asyncio.Event()
        until = self._settled[0].until if self._settled else None
        try:
            async with asyncio.timeout_at(until):
                await self._changed.wait()
        except TimeoutError:
            return
        finally:
            self._changed = None
