"""Calls that all end after the same number of seconds were cut by a proxy."""

from collections import Counter, defaultdict
from decimal import Decimal

from nbp_async._base.errors import DisconnectedError, ServerError
from nbp_async._base.text import format_dollars
from nbp_async._models.outcomes import Failure

_MIN_CALLS = 3  # of one duration; fewer may be chance
_MIN_HOLD = 5.0  # seconds: a call that ends sooner was not held
_CELLS_PER_SECOND = 4  # resolution of the durations
_GATEWAY_STATUSES = frozenset({408, 502, 504, 524})


class TimeoutClusters:
    """Counts how long broken calls were held. Its memory does not grow with their number.

    Calls that our own timeouts end are not counted.
    """

    def __init__(self) -> None:
        self._calls: Counter[int] = Counter()
        self._dollars: defaultdict[int, Decimal] = defaultdict(Decimal)

    def add(self, failure: Failure) -> None:
        """Count a failure if the vendor, or something on the way, broke its call."""
        is_broken = isinstance(failure.error, DisconnectedError) or (
            isinstance(failure.error, ServerError) and failure.error.status in _GATEWAY_STATUSES
        )
        held = failure.attempts[-1].timings.service if failure.attempts else 0.0
        if is_broken and held >= _MIN_HOLD:
            cell = round(held * _CELLS_PER_SECOND)
            self._calls[cell] += 1
            self._dollars[cell] += failure.maybe_spent

    def warning(self) -> str:
        """A warning if most of them ended after the same number of seconds, else ""."""
        # A proxy's limit is not kept to the millisecond: each cell counts with its neighbours.
        neighbours = {cell: range(cell - 1, cell + 2) for cell in self._calls}
        counts = {cell: sum(self._calls[c] for c in cells) for cell, cells in neighbours.items()}
        if not counts:
            return ""
        best = max(counts, key=lambda cell: (counts[cell], self._calls[cell], -cell))
        count = counts[best]
        if count < _MIN_CALLS or 2 * count < self._calls.total():
            return ""
        dollars = sum((self._dollars[c] for c in neighbours[best]), Decimal(0))
        billed = f" May have been billed: {format_dollars(dollars)}." if dollars else ""
        seconds = best / _CELLS_PER_SECOND
        return (
            f"{count:,} calls ended at {seconds:.1f} s, give or take 0.4 s: a proxy or load "
            f"balancer on the way probably cuts held calls at {round(seconds)} s, and such images "
            f"take 30-170 s.{billed} Call from elsewhere, raise its limit, or use an endpoint that "
            "takes tasks (via poll), which holds no call open."
        )
