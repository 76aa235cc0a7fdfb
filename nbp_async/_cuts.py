"""Calls that end at one value: something between here and the vendor cuts them."""

from collections import Counter, defaultdict
from decimal import Decimal

from nbp_async._errors import DisconnectedError, ServerError
from nbp_async._models import Failure
from nbp_async._words import money

_LEAST = 3  # calls at one value; fewer may be chance
_SHORTEST = 5.0  # seconds: what ends sooner was not held
_CELLS = 4  # a second: how finely spans are told apart
_GATEWAY = frozenset({408, 502, 504, 524})


class Cuts:
    """Counts how long broken calls were held, in memory that does not grow with them.

    What our own time-outs end is not counted: those are ours.
    """

    def __init__(self) -> None:
        self._calls: Counter[int] = Counter()
        self._dollars: defaultdict[int, Decimal] = defaultdict(Decimal)

    def add(self, failure: Failure) -> None:
        """Take a failure in, if the other end, or something on the way, broke its call."""
        broken = isinstance(failure.error, DisconnectedError) or (
            isinstance(failure.error, ServerError) and failure.error.status in _GATEWAY
        )
        held = failure.attempts[-1].timings.service if failure.attempts else 0.0
        if broken and held >= _SHORTEST:
            cell = round(held * _CELLS)
            self._calls[cell] += 1
            self._dollars[cell] += failure.maybe_spent

    def words(self) -> str:
        """What to tell of a value where most of them ended, or nothing."""
        near = {cell: range(cell - 1, cell + 2) for cell in self._calls}
        counts = {cell: sum(self._calls[c] for c in cells) for cell, cells in near.items()}
        if not counts:
            return ""
        best = max(counts, key=lambda cell: (counts[cell], self._calls[cell], -cell))
        count = counts[best]
        if count < _LEAST or 2 * count < self._calls.total():
            return ""
        dollars = sum((self._dollars[c] for c in near[best]), Decimal(0))
        billed = f" May have been billed: {money(dollars)}." if dollars else ""
        at = best / _CELLS
        return (
            f"{count:,} calls ended at {at:.1f} s, give or take 0.4 s: a proxy or load balancer on "
            f"the way probably cuts held calls at {round(at)} s, and such images take 30-170 s."
            f"{billed} Call from elsewhere, raise its limit, or use an endpoint that takes tasks "
            '(via="poll"), which holds no call open.'
        )
