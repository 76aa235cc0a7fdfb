"""How much may be spent: retries over all prompts, and dollars."""

import asyncio
from decimal import Decimal

ZERO = Decimal(0)


class RetryBudget:
    """Tokens that retries are paid with, over all prompts of a client.

    Without it an outage multiplies requests by the number of attempts; with it, about a tenth
    more are sent. A failed attempt that finds it empty ends its prompt instead of waiting.
    """

    __slots__ = ("_at", "cap", "tokens")

    def __init__(self, limit: int) -> None:
        self.cap = float(min(max(20.0, 0.2 * limit), 500.0))
        self.tokens = self.cap
        self._at: float | None = None

    def succeeded(self) -> None:
        """An image came: a tenth of a token back."""
        self.tokens = min(self.cap, self.tokens + 0.1)

    def take(self, cost: int, now: float) -> bool:
        """Pay for a retry, if there is enough; one token comes back every ten seconds."""
        if self._at is not None:
            self.tokens = min(self.cap, self.tokens + max(0.0, now - self._at) / 10)
        self._at = now
        if cost > self.tokens:
            return False
        self.tokens -= cost
        return True


class SpendCap:
    """Dollars that may be spent: reserved before an attempt leaves, settled when it has ended.

    Reserving first is what holds when a hundred calls race for the last dollar; checking first
    and spending later does not. What was reserved and not needed goes to whoever waits for it. An
    answer that costs more than was reserved (tokens are counted afterwards) still counts in full:
    `left` may then be negative, and nothing more goes.
    """

    __slots__ = ("_change", "_turn", "limit", "reserved", "spent")

    def __init__(self, limit: Decimal) -> None:
        self.limit = limit
        self.spent = ZERO
        self.reserved = ZERO
        self._turn = asyncio.Lock()
        self._change: asyncio.Event | None = None  # set for the first in line

    @property
    def left(self) -> Decimal:
        return self.limit - self.spent - self.reserved

    def reserve_nowait(self, price: Decimal) -> bool:
        """Set `price` aside, if it is there and nobody waits for it."""
        if price > self.left or self._turn.locked():
            return False
        self.reserved += price
        return True

    async def reserve(self, price: Decimal) -> bool:
        """Set `price` aside, as soon as it is there; False when it never can be."""
        async with self._turn:
            while price > self.left:
                if price > self.limit - self.spent:
                    return False
                self._change = asyncio.Event()
                try:
                    await self._change.wait()
                finally:
                    self._change = None
            self.reserved += price
            return True

    def settle(self, price: Decimal, actual: Decimal) -> None:
        """The attempt that `price` was reserved for cost `actual`."""
        self.reserved -= price
        self.spent += actual
        if self._change is not None:
            self._change.set()
