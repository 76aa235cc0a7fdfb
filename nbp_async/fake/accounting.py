"""Admits and bills every paid image, of held calls and of tasks."""

import asyncio
from collections.abc import Callable
from decimal import Decimal

from nbp_async.fake.bank import Bank, BankAccount, LedgerEntry
from nbp_async.fake.faults import Fault
from nbp_async.fake.image_spec import ImageSpec
from nbp_async.fake.quotas import Denial, Meter
from nbp_async.fake.renderer import Renderer


class Accounting:
    """Admits work within a key's balance and quotas, and charges for it when it is done.

    Args:
        bank: Keeps the ledger.
        renderer: Knows what the work brings.
        meter: Gives the meter that counts an account's requests against its quotas.
    """

    def __init__(
        self, bank: Bank, renderer: Renderer, meter: Callable[[BankAccount], Meter]
    ) -> None:
        self._bank = bank
        self._renderer = renderer
        self._meter = meter
        self._loop = asyncio.get_running_loop()

    def admit(self, account: BankAccount, spec: ImageSpec) -> Decimal | Denial:
        """The dollars that are reserved for this work; or the quota that forbids it."""
        price = self._bank.estimate(spec)
        if not account.can_pay(price):
            left = (account.balance or Decimal(0)) - account.spent
            return Denial("balance", f"${left}", None)
        denial = self._meter(account).enter(self._loop.time(), price)
        return price if denial is None else denial

    def charge(
        self, id_: str, account: BankAccount, spec: ImageSpec, fault: Fault | None, price: Decimal
    ) -> LedgerEntry:
        """The images are rendered: bill them, and give the reserved dollars back."""
        images, tokens = self._renderer.count(spec, fault)
        now = self._loop.time()
        tier = self._renderer.given_tier(spec, fault)
        entry = self._bank.charge(id_, account, spec, images, tokens, now, tier)
        self._meter(account).leave(now, price, entry.price)
        return entry

    def release(self, account: BankAccount, price: Decimal) -> None:
        """The work ended without an image, and costs nothing."""
        self._meter(account).leave(self._loop.time(), price, Decimal(0))
