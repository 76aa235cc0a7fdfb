"""The vendor's books: accounts, and a row for each image the moment it is rendered.

The row is written before the first byte of the answer leaves, and stays whether or not anybody
hears of it: this is what a client's own account of its spending is checked against.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from nbp_async._http import Usage
from nbp_async._prices import GOOGLE, Prices
from nbp_async.fake.chance import digest

Keys = str | Iterable[str] | Mapping[str, Decimal | float | int | str | None]
"""One key, several, or keys with the dollars that are left to them (None: no end)."""


class Row(msgspec.Struct, gc=False):
    """One line of the ledger.

    Attributes:
        id: The request's id, as its x-request-id said.
        key: The key that pays.
        prompt: The prompt's text.
        size: "1K", "2K" or "4K".
        images: How many images were rendered for it.
        price: US dollars.
        at: When it was rendered, in seconds on the loop's clock.
        delivered: The whole answer was handed to a connection that still stood; None while it is
            on its way. True does not say that anybody read it.
    """

    id: str
    key: str
    prompt: str
    size: str
    images: int
    price: Decimal
    at: float
    delivered: bool | None = None


class Account:
    """What one key may spend, and has spent. `balance` is None where there is no end."""

    __slots__ = ("balance", "key", "spent")

    def __init__(self, key: str, balance: Decimal | None) -> None:
        self.key = key
        self.balance = balance
        self.spent = Decimal(0)

    def can_pay(self, price: Decimal) -> bool:
        return self.balance is None or self.balance - self.spent >= price


class Bank:
    """Accounts and ledger.

    Args:
        keys: Who may draw images, and for how much.
        prices: What they cost.

    Attributes:
        ledger: All rows, oldest first.
        billed: Sum of the ledger in US dollars.
        images: How many images were rendered.
        lost: How many answers that cost something did not reach the client whole.
    """

    def __init__(self, keys: Keys, prices: Prices = GOOGLE) -> None:
        named: dict[str, Decimal | None]
        if isinstance(keys, str):
            named = {keys: None}
        elif isinstance(keys, Mapping):
            named = {k: None if left is None else Decimal(str(left)) for k, left in keys.items()}
        else:
            named = dict.fromkeys(keys)
        if not named or not all(named):
            raise ValueError("a bank needs at least one key, and none of them empty")
        self.accounts = {key: Account(key, balance) for key, balance in named.items()}
        self.prices = prices
        self.ledger: list[Row] = []
        self.billed = Decimal(0)
        self.images = 0
        self.lost = 0
        self._by_prompt: Counter[str] = Counter()

    def estimate(self, size: str, images: int) -> Decimal:
        """The price of these images, before they are made."""
        return self.prices.estimate(size) * images

    def charge(
        self, request: str, account: Account, prompt: str, size: str, images: int,
        usage: Usage | None, at: float, share: Decimal = Decimal(1),
    ) -> Row:  # fmt: skip
        """Write down what was rendered; without images, what the words cost.

        `share` is the part of the price that is charged: half, in a batch.
        """
        if not images:
            price = self.prices.cost_without_image(usage)
        elif usage is None:
            price = self.estimate(size, images)
        else:
            price = self.prices.cost(size, usage)
        price *= share
        row = Row(request, account.key, prompt, size, images, price, at)
        self.ledger.append(row)
        self.billed += price
        account.spent += price
        self.images += images
        if images:
            self._by_prompt[prompt] += images
        return row

    def settle(self, row: Row, *, delivered: bool) -> None:
        """Note whether the answer that belongs to this row went out whole, at last."""
        self.lost += (not delivered) - (row.delivered is False)
        row.delivered = delivered

    def billed_for(self, prompt: str) -> int:
        """How many images were rendered of this prompt's text."""
        return self._by_prompt[prompt]

    def by_digest(self) -> dict[str, int]:
        """Images rendered by `prompt_digest`: a ledger that shows nobody's words."""
        return {prompt_digest(prompt): count for prompt, count in self._by_prompt.items()}


def prompt_digest(prompt: str) -> str:
    """Sixteen hexadecimal digits that stand for a prompt's text."""
    return digest(prompt).hex()[:16]
