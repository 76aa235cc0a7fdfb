"""How many requests may be in flight, found by asking: a vendor's ceiling is hidden and changes.

A refusal is free and comes within a second; an image takes minutes. So the limit follows what is
not refused, not what is finished:

    searching   full for PROOF seconds without a refusal: half as many more
       │ refused
       ▼
    settled     what the vendor held just before, less a little; rest; then one more, and each
                time half as many again on top, as long as nothing is refused

A refusal must be earned by EARNED requests that were accepted, so that a small limit is not tested
every minute. What was lost on the way may have been billed: when that happens to more than a few,
the limit halves. The decrease in proportion and the increase by numbers are what makes two clients
of one vendor equal (as in TCP). No I/O; the caller brings the clock.
"""

import math
from collections import deque

PROOF = 3.0  # seconds without a refusal after which a full limit counts as accepted
REST = 60.0  # seconds after a refusal before anything more is asked for
LONGEST_REST = 400.0  # seconds; for a limit so small that its requests are rare
EARNED = 20  # accepted requests that pay for one refusal
_MOST_OWED = 2 * EARNED
_GAP = 5.0  # seconds between two increases of a settled limit
_KEPT = 0.95  # of what was in flight when the vendor refused more
_SEARCH = 1.5  # growth while searching; later, of what is added
_MOST_GROWTH = 0.5  # of a settled limit, at once
_LOST_SHARE = 0.05  # of the limit that may be lost within a hold before it halves


class LearnedLimit:
    """The limit of one gate.

    Attributes:
        value: How many may be in flight now, from `floor` to `ceiling`.
        until: When it may grow next unless something happens, on the caller's clock; None while it
            is not used up: what nobody asks for is not learned.
    """

    __slots__ = (
        "_epoch",
        "_full_at",
        "_halved_at",
        "_lost",
        "_owed",
        "_quiet",
        "_raised_at",
        "_rest_until",
        "_searching",
        "_size",
        "ceiling",
        "floor",
    )

    def __init__(self, *, start: int, floor: int, ceiling: int, is_known: bool = False) -> None:
        self.floor, self.ceiling = floor, ceiling
        self._size = float(min(max(start, floor), ceiling))
        self._searching = not is_known  # a limit of an earlier run is only tested, not searched
        self._quiet = 0  # increases since the last refusal
        self._owed = 0  # requests to be accepted before a refusal is risked again
        self._epoch = -math.inf  # requests that left before it say nothing new
        self._rest_until = -math.inf
        self._raised_at = -math.inf
        self._full_at: float | None = None
        self._halved_at = -math.inf
        self._lost: deque[float] = deque()

    @property
    def value(self) -> int:
        return min(self.ceiling, max(self.floor, round(self._size)))

    @property
    def is_searching(self) -> bool:
        """Nothing was refused yet."""
        return self._searching

    @property
    def until(self) -> float | None:
        if self._full_at is None or self.value >= self.ceiling:
            return None
        proven = self._full_at + PROOF
        if self._searching:
            return max(proven, self._rest_until)
        rested = self._rest_until if not self._owed else self._epoch + LONGEST_REST
        return max(proven, rested, self._raised_at + _GAP)

    def departed(self, now: float, in_flight: int) -> None:
        """A request left; `in_flight` counts it."""
        if self._owed:
            self._owed -= 1
        if self._full_at is None and in_flight >= self.value:
            self._full_at = now

    def grow(self, now: float) -> bool:
        """Raise it if that is due; True if it was raised."""
        due = self.until
        if due is None or now < due:
            return False
        before = self.value
        if self._searching:
            self._size *= _SEARCH
        else:
            self._size += min(_SEARCH**self._quiet, max(1.0, self._size * _MOST_GROWTH))
            self._quiet += 1
        self._size = min(self._size, float(self.ceiling))
        self._full_at, self._raised_at, self._owed = None, now, 0
        return self.value > before

    def refused(self, now: float, left: float, in_flight: int) -> bool:
        """A request that left at `left` was refused; `in_flight` are out beside it.

        Of the requests that left together the first refusal lowers it. The others say more exactly
        how many the vendor holds; those that come late say nothing. True if the value changed.
        """
        before = self.value
        kept = max(float(self.floor), in_flight * _KEPT)
        if left <= self._epoch or now >= self._rest_until:  # not asked for: the ceiling came down
            self._owed = min(_MOST_OWED, self._owed + EARNED)
        if left <= self._epoch:
            if now - self._epoch <= PROOF:
                self._size = min(self._size, kept)
            return self.value != before
        self._size = min(kept, float(self.ceiling))
        self._searching = False
        self._quiet, self._full_at = 0, None
        self._epoch, self._rest_until = now, now + REST
        return self.value != before

    def lost(self, now: float, hold: float) -> bool:
        """A request ended so that it may have been billed; it was out for `hold` seconds.

        A connection that breaks among hundreds says nothing about the vendor. Many within one hold
        do: the limit halves, at most once a hold, and rests for two. True if it halved.
        """
        lost = self._lost
        lost.append(now)
        while lost[0] < now - hold:
            lost.popleft()
        if len(lost) <= self.value * _LOST_SHARE or now - self._halved_at < hold:
            return False
        before = self.value
        self._size = max(float(self.floor), self._size / 2)
        self._searching = False
        self._quiet, self._full_at = 0, None
        self._halved_at, self._rest_until = now, now + 2 * hold
        return self.value != before
