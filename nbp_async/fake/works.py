"""What every paid image passes, held or not: may this key have it, and what did it cost."""

import asyncio
from collections.abc import Callable
from decimal import Decimal

from nbp_async.fake.asks import Ask
from nbp_async.fake.bank import Account, Bank, Row
from nbp_async.fake.faults import Fault
from nbp_async.fake.quotas import Denial, Meter
from nbp_async.fake.studio import Studio


class Works:
    """Lets work in, and writes it down when it is done.

    Args:
        bank: Where it is written.
        studio: What does it.
        meter: Counts an account's requests against its quotas.
    """

    def __init__(self, bank: Bank, studio: Studio, meter: Callable[[Account], Meter]) -> None:
        self._bank = bank
        self._studio = studio
        self._meter = meter
        self._loop = asyncio.get_running_loop()

    def admit(self, account: Account, ask: Ask) -> Decimal | Denial:
        """The dollars that are set aside for this work; or which quota forbids it."""
        price = self._bank.estimate(ask.tier, ask.images)
        if not account.can_pay(price):
            left = (account.balance or Decimal(0)) - account.spent
            return Denial("balance", f"${left}", None)
        denial = self._meter(account).enter(self._loop.time(), price)
        return price if denial is None else denial

    def render(
        self, name: str, account: Account, ask: Ask, fault: Fault | None, price: Decimal
    ) -> Row:
        """The images are there: write them down, and make room for the next."""
        images, usage = self._studio.images(ask, fault)
        now = self._loop.time()
        row = self._bank.charge(name, account, ask.prompt, ask.tier, images, usage, now)
        self._meter(account).leave(now, price, row.price)
        return row

    def drop(self, account: Account, price: Decimal) -> None:
        """The work ended without an image, and costs nothing."""
        self._meter(account).leave(self._loop.time(), price, Decimal(0))
