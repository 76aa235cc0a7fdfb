"""How much may be spent on retries over all prompts, and in dollars."""

import asyncio
from decimal import Decimal

from nbp_async._pacing.price_margins import ZERO, OpenPrices, PriceKind, PriceMargins


class RetryBudget:
    """Tokens that pay for retries, over all prompts of a client.

    Without it an outage multiplies requests by the number of attempts; with it, about a tenth more
    are sent. A failed attempt that finds it empty ends its prompt instead of waiting.
    """

    __slots__ = ("_at", "cap", "tokens")

    def __init__(self, limit: int) -> None:
        self.cap = float(min(max(20.0, 0.2 * limit), 500.0))
        self.tokens = self.cap
        self._at: float | None = None

    def succeeded(self) -> None:
        """An image arrived: a tenth of a token comes back."""
        self.tokens = min(self.cap, self.tokens + 0.1)

    def has(self, cost: int, now: float) -> bool:
        """There is enough for a retry. One token comes back every ten seconds."""
        if self._at is not None:
            self.tokens = min(self.cap, self.tokens + max(0.0, now - self._at) / 10)
        self._at = now
        return cost <= self.tokens

    def take(self, cost: int, now: float) -> bool:
        """Pay for a retry, if there is enough."""
        if not self.has(cost, now):
            return False
        self.tokens -= cost
        return True


class SpendCap:
    """Dollars that may be spent: reserved before an attempt leaves, settled when it has ended.

    A reservation holds when a hundred calls race for the last dollar; a check before and a payment
    after do not. What was reserved and not needed goes to the next in line. A response may cost
    more than was reserved: `price_margins` has the rule by which few enough leave until that is
    known. What it costs counts in full: `left` may then be negative, and nothing more is sent.
    """

    __slots__ = ("_change", "_open", "_turn", "limit", "spent")

    def __init__(self, limit: Decimal, margins: PriceMargins | None = None) -> None:
        self.limit = limit
        self.spent = ZERO
        self._open = OpenPrices(margins)
        self._turn = asyncio.Lock()
        # Only the first in line waits for a change; the others wait for the lock, in order.
        self._change: asyncio.Event | None = None

    @property
    def reserved(self) -> Decimal:
        """Dollars of what is out, as far as the answers tell."""
        return self._open.expected

    @property
    def left(self) -> Decimal:
        return self.limit - self.spent - self.reserved

    def price_of(self, price: Decimal, kind: PriceKind | None = None) -> Decimal:
        """What an attempt at `price` costs, as far as the answers tell."""
        return self._open.price_of(price, kind)

    def fits(self, price: Decimal, kind: PriceKind | None = None) -> bool:
        """One more attempt may leave now."""
        return self._open.fits(price, kind, self.limit - self.spent)

    def never_fits(self, price: Decimal, kind: PriceKind | None = None) -> bool:
        """What is spent leaves too little, even if nothing of what is out is charged."""
        return self.price_of(price, kind) > self.limit - self.spent

    def reserve_nowait(self, price: Decimal, kind: PriceKind | None = None) -> bool:
        """Set `price` aside, if it is left and nobody waits for it."""
        if self._turn.locked() or not self.fits(price, kind):
            return False
        self._open.add(price, kind)
        return True

    async def reserve(self, price: Decimal, kind: PriceKind | None = None) -> bool:
        """Set `price` aside as soon as it is left; False when it never will be."""
        async with self._turn:
            while not self.fits(price, kind):
                if self.never_fits(price, kind):
                    return False
                self._change = asyncio.Event()
                try:
                    await self._change.wait()
                finally:
                    self._change = None
            self._open.add(price, kind)
            return True

    def settle(self, price: Decimal, actual: Decimal, kind: PriceKind | None = None) -> None:
        """The attempt for which `price` was reserved cost `actual`."""
        self._open.remove(price, kind)
        self.spent += actual
        if self._change is not None:
            self._change.set()
