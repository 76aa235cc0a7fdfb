"""The vendor's bank: accounts, and an entry in the ledger the moment an image is rendered.

The entry is written before the first byte of the answer leaves, and stays whether or not the
client gets the answer. A client's own account of its spending is checked against it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from nbp_async.fake.image_spec import ImageSpec
from nbp_async.fake.model_table import SHARE_OF, TokenCount, fake_model
from nbp_async.fake.seeded_random import digest

ApiKeys = str | Iterable[str] | Mapping[str, Decimal | float | int | str | None]
"""One key, several, or keys with the dollars that each may spend (None for no limit)."""
FlatPrices = Mapping[str, Decimal | float | int | str]
"""US dollars of an answer, by size; "*" stands for every other size."""


class LedgerEntry(msgspec.Struct, gc=False):
    """One entry of the ledger.

    Attributes:
        id: The id of the request, as in its x-request-id; or of the task or batch job.
        key: The key that pays.
        prompt: The prompt's text.
        size: "1K", "2K" or "4K".
        images: How many images were rendered for it.
        price: US dollars.
        at: When it was rendered, in seconds on the loop's clock.
        delivered: The whole answer was written to an open connection; None while it is on its way.
            True does not say that anybody read it.
    """

    id: str
    key: str
    prompt: str
    size: str
    images: int
    price: Decimal
    at: float
    delivered: bool | None = None


class BankAccount:
    """What one key may spend, and has spent. `balance` is None for no limit."""

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
        keys: Who may buy images, and for how much.
        prices: What they cost, whatever the model and the tokens; None for what each model costs at
            its maker's.

    Attributes:
        ledger: All entries, oldest first.
        billed: Sum of the ledger in US dollars.
        images: How many images were rendered.
        lost: How many answers were billed and did not reach the client whole.
    """

    def __init__(self, keys: ApiKeys, prices: FlatPrices | None = None) -> None:
        named: dict[str, Decimal | None]
        if isinstance(keys, str):
            named = {keys: None}
        elif isinstance(keys, Mapping):
            named = {k: None if left is None else Decimal(str(left)) for k, left in keys.items()}
        else:
            named = dict.fromkeys(keys)
        if not named or not all(named):
            raise ValueError("a bank needs at least one key, and none of them empty")
        self.accounts = {key: BankAccount(key, balance) for key, balance in named.items()}
        self._flat = (
            None
            if prices is None
            else {size: Decimal(str(price)) for size, price in prices.items()}
        )
        self.ledger: list[LedgerEntry] = []
        self.billed = Decimal(0)
        self.images = 0
        self.lost = 0
        self._by_prompt: Counter[str] = Counter()

    def estimate(self, spec: ImageSpec) -> Decimal:
        """The price of these images, before they are made."""
        return self._price(spec, spec.images, None) * SHARE_OF[spec.service_tier]

    def charge(
        self,
        request: str,
        account: BankAccount,
        spec: ImageSpec,
        images: int,
        tokens: TokenCount | None,
        at: float,
        tier: str = "standard",
    ) -> LedgerEntry:
        """Bill what was rendered; without images, the tokens of the text.

        `tier` is how it was done, whatever was asked: a key of `SHARE_OF`.
        """
        price = self._price(spec, images, tokens) * SHARE_OF[tier]
        entry = LedgerEntry(request, account.key, spec.prompt, spec.size, images, price, at)
        self.ledger.append(entry)
        self.billed += price
        account.spent += price
        self.images += images
        if images:
            self._by_prompt[spec.prompt] += images
        return entry

    def _price(self, spec: ImageSpec, images: int, tokens: TokenCount | None) -> Decimal:
        if self._flat is None:
            return fake_model(spec.model).price(spec.size, images, tokens)
        price = self._flat.get(spec.size, self._flat.get("*", 0))
        return Decimal(str(price)) * max(images, 1)

    def settle(self, entry: LedgerEntry, *, delivered: bool) -> None:
        """Note whether the answer that belongs to this entry was sent whole."""
        self.lost += (not delivered) - (entry.delivered is False)
        entry.delivered = delivered

    def billed_for(self, prompt: str) -> int:
        """How many images were rendered for this prompt's text."""
        return self._by_prompt[prompt]

    def by_digest(self) -> dict[str, int]:
        """Images by `prompt_digest`: a count that shows no prompt's text."""
        return {prompt_digest(prompt): count for prompt, count in self._by_prompt.items()}


def prompt_digest(prompt: str) -> str:
    """Sixteen hexadecimal digits that stand for a prompt's text."""
    return digest(prompt).hex()[:16]
