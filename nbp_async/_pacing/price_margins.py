"""How much more than its price an image may cost: learned from the answers, and doubted before.

What is set aside for a request is a list price; what it costs is known once the answer is here. An
answer may bring several images, or think for longer than anybody set aside. So on top of the price
counts, for each model and size:

    learned   what the dearest of the last answers cost beyond its price
    doubt     twice the price before the first answer, and a share of that after each one: after n
              answers 2 / (n + 1), as the chance that the next one is dearer than all of them

    out now, with what is learned and doubted ─┐
    spent ─────────────────────────────────────┼──► does one more fit below the limit?
    one more, the same ────────────────────────┘

Doubt only makes a request wait, until an answer tells more; one request alone leaves at what is
learned. So a limit is exceeded by no more than what the requests that are out cost beyond what was
plausible when the last of them left: one wave, which is a third as wide as the limit could pay for
while nothing is known.
"""

from collections import Counter, deque
from decimal import Decimal
from typing import NamedTuple

ZERO = Decimal(0)
PLAUSIBLE = 3  # times the price: what an answer may cost while nothing is known
_REMEMBERED = 20  # answers whose cost counts


class PriceKind(NamedTuple):
    """Images that cost alike. Lines of a batch job leave together: doubt would make them wait a day
    for each other, so they count with what is learned alone."""

    model: str
    size: str
    in_batch: bool = False


class PriceMargins:
    """What the answers of one endpoint cost beyond their price."""

    __slots__ = ("_answers", "_beyond")

    def __init__(self) -> None:
        self._answers: Counter[PriceKind] = Counter()
        self._beyond: dict[PriceKind, deque[Decimal]] = {}

    def record(self, kind: PriceKind, price: Decimal, cost: Decimal) -> None:
        """An answer for which `price` was set aside cost `cost`."""
        self._answers[kind] += 1
        known = self._beyond.setdefault(kind, deque(maxlen=_REMEMBERED))
        known.append(max(ZERO, cost - price))

    def learned(self, kind: PriceKind | None) -> Decimal:
        """Dollars beyond its price that an image of this kind has cost lately."""
        known = None if kind is None else self._beyond.get(kind)
        return max(known) if known else ZERO

    def doubt(self, kind: PriceKind | None) -> Decimal:
        """What is plausible beyond the price, as a share of it."""
        if kind is None or kind.in_batch:
            return ZERO
        return Decimal(PLAUSIBLE - 1) / (self._answers[kind] + 1)


class OpenPrices:
    """The prices of the requests that are out, and whether one more fits."""

    __slots__ = ("_count", "_dollars", "_margins")

    def __init__(self, margins: PriceMargins | None = None) -> None:
        self._margins = margins or PriceMargins()
        self._count: Counter[PriceKind | None] = Counter()
        self._dollars: dict[PriceKind | None, Decimal] = {}

    def add(self, price: Decimal, kind: PriceKind | None) -> None:
        """A request of this price leaves."""
        self._count[kind] += 1
        self._dollars[kind] = self._dollars.get(kind, ZERO) + price

    def remove(self, price: Decimal, kind: PriceKind | None) -> None:
        """It has ended."""
        self._count[kind] -= 1
        self._dollars[kind] -= price
        if not self._count[kind]:
            del self._count[kind], self._dollars[kind]

    @property
    def expected(self) -> Decimal:
        """Dollars that all of them cost, as far as the answers tell."""
        learned = self._margins.learned
        return sum((d + self._count[k] * learned(k) for k, d in self._dollars.items()), ZERO)

    @property
    def plausible(self) -> Decimal:
        """Dollars that all of them may cost."""
        kinds = self._dollars.items()
        return sum((self._plausible(d, k, self._count[k]) for k, d in kinds), ZERO)

    def price_of(self, price: Decimal, kind: PriceKind | None) -> Decimal:
        """Dollars that one more costs, as far as the answers tell."""
        return price + self._margins.learned(kind)

    def fits(self, price: Decimal, kind: PriceKind | None, room: Decimal) -> bool:
        """One more may leave, if all that is out and it may cost `room` dollars."""
        if not self._count:
            return self.price_of(price, kind) <= room
        return self.plausible + self._plausible(price, kind, 1) <= room

    def _plausible(self, dollars: Decimal, kind: PriceKind | None, count: int) -> Decimal:
        margins = self._margins
        return dollars + max(count * margins.learned(kind), dollars * margins.doubt(kind))
