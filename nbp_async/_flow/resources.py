"""What all calls of one client share, whatever endpoint they ask: slots, budgets, totals."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from nbp_async._flow.listeners import Listeners
from nbp_async._images.download import Downloader
from nbp_async._models.bill import AccountBill, Bill
from nbp_async._models.outcomes import ZERO, Attempt
from nbp_async._models.settings import Limits, Retry, Timeouts
from nbp_async._pacing.budgets import RetryBudget, SpendCap
from nbp_async._pacing.decode_turns import AT_ONCE
from nbp_async._pacing.price_margins import PriceMargins
from nbp_async._pacing.slots import Slots
from nbp_async._sinks.file_threads import FileThreads


@dataclass(slots=True)
class Totals:
    """What the client's attempts cost so far, in US dollars, and how many images they made; and the
    same for each of several accounts."""

    spent: Decimal = ZERO
    maybe: Decimal = ZERO
    images: int = 0
    accounts: dict[str, AccountBill] = field(default_factory=dict)

    def add(self, attempt: Attempt) -> None:
        if attempt.billing == "yes":
            self.spent += attempt.cost
        elif attempt.billing == "maybe":
            self.maybe += attempt.cost
        if name := attempt.account:
            self.accounts[name] = self.accounts.get(name, AccountBill()).plus(attempt)

    def bill(self) -> Bill:
        accounts = dict(self.accounts)
        return Bill(self.spent, self.maybe, (), self.images, (), accounts=accounts)


@dataclass(slots=True, kw_only=True)
class Resources:
    """What the calls of one open client share. Belongs to one event loop.

    Attributes:
        downloads: Fetches what links lead to.
        files: Threads that read and write files.
        limits, timeouts, retry: As the user chose them.
        slots: Requests in flight, over all endpoints and models.
        retry_budget: Tokens that retries are paid with.
        margins: What answers cost beyond their price, for caps on dollars.
        ambiguous: Dollars for sending again what may have been billed.
        listeners: Those of the client.
        rng: Draws the jitter, from 0 up to 1.
        wall_clock: Seconds since 1970.
        opened_at: When the client was opened, on the loop's clock.
        decode_turns: How many answers are decoded at the same time.
        totals: What the client has spent so far.
    """

    downloads: Downloader
    files: FileThreads
    limits: Limits
    timeouts: Timeouts
    retry: Retry
    slots: Slots
    retry_budget: RetryBudget
    margins: PriceMargins
    ambiguous: SpendCap
    listeners: Listeners
    rng: Callable[[], float]
    wall_clock: Callable[[], float]
    opened_at: float
    decode_turns: Slots = field(default_factory=lambda: Slots(AT_ONCE))
    totals: Totals = field(default_factory=Totals)

    def open_for(self) -> float:
        """Seconds since the client was opened."""
        return asyncio.get_running_loop().time() - self.opened_at
