"""How many requests may be in flight, found by asking: a vendor's ceiling is hidden and changes.

A refusal is free and comes within a second; an image takes minutes. So the limit follows what is
not refused, not what is finished:

    returning   a part of what an earlier run had found, and a tenth more of it each second
       │ it is reached; or refused
       ▼
    searching   full for PROOF seconds without a refusal: half as many more
       │ refused
       ▼
    settled     what the vendor held just before, less a little; rest; then one more, and each
                time half as many again on top, as long as nothing is refused

The way back is no jump, because the ceiling may have come down meanwhile: at that pace only those
are refused in vain that leave in the half second until the first refusal is here.

A refusal must be earned by EARNED requests that were accepted, so that a small limit is not tested
every minute. What was lost on the way may have been billed: when that happens to more than a few,
the limit halves. The decrease in proportion and the increase by numbers are what makes two clients
of one vendor equal (as in TCP). No I/O; the caller brings the clock.
"""

import math
from collections import deque

import msgspec

PROOF = 3.0  # seconds without a refusal after which a full limit counts as accepted
REST = 60.0  # seconds after a refusal before anything more is asked for
LONGEST_REST = 400.0  # seconds; for a limit so small that its requests are rare
EARNED = 20  # accepted requests that pay for one refusal
_MOST_OWED = 2 * EARNED
_GAP = 5.0  # seconds between two increases of a settled limit
_RETURN_GAP = 0.25  # seconds between two increases on the way back to an earlier limit
_RETURN_STEPS = 40  # of these, from nothing
_KEPT = 0.95  # of what was in flight when the vendor refused more
_SEARCH = 1.5  # growth while searching; later, of what is added
_MOST_GROWTH = 0.5  # of a settled limit, at once
_LOST_SHARE = 0.05  # of the limit that may be lost within a hold before it halves


_HOUR, _DAY = 3600.0, 86400.0


class KeptLimit(msgspec.Struct, frozen=True):
    """What one run found, for the next one.

    Attributes:
        limit: How many were in flight without a refusal.
        is_searching: Nothing was refused: it may be more.
    """

    limit: int
    is_searching: bool = False

    def at_once(self, age: float) -> int:
        """How many may leave at once, when it was found `age` seconds ago; 0 if it is forgotten.

        Half of it, and a quarter after an hour: it may have come down, and the rest follows within
        eight seconds. Of 400 that are 100 now, half would cost 131 refusals, a quarter 41; where
        nothing changed, a quarter costs two seconds. After a day it says no more than a guess, and
        a ceiling that has risen is found sooner without it.
        """
        share = 0.5 if age < _HOUR else 0.25 if age < _DAY else 0.0
        return max(1, int(self.limit * share)) if share else 0


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
        "_goal",
        "_halved_at",
        "_is_proven",
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

    def __init__(
        self, *, start: int, floor: int, ceiling: int, is_known: bool = False, goal: int = 0
    ) -> None:
        """Begin with `start`, and go straight to `goal`, which an earlier run had found."""
        self.floor, self.ceiling = floor, ceiling
        self._goal = float(min(goal, ceiling))
        self._size = float(min(max(start, floor), ceiling))
        self._searching = not is_known  # a limit of an earlier run is only tested, not searched
        self._is_proven = False  # this run has found out something itself
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
    def kept(self) -> KeptLimit | None:
        """What the next run may begin with; None while this one has found nothing itself."""
        return KeptLimit(self.value, self._searching) if self._is_proven else None

    @property
    def until(self) -> float | None:
        if self._full_at is None or self.value >= self.ceiling:
            return None
        if self._goal > self._size:
            return self._full_at + _RETURN_GAP
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
            self._is_proven = self._is_proven or 0 < self._goal <= self._size

    def grow(self, now: float) -> bool:
        """Raise it if that is due; True if it was raised."""
        due = self.until
        if due is None or now < due:
            return False
        before = self.value
        if self._goal > self._size:
            self._size = min(self._goal, self._size + max(1.0, self._goal / _RETURN_STEPS))
            self._full_at, self._raised_at = None, now
            return self.value > before
        self._is_proven = True
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
        self._goal, self._searching, self._is_proven = 0.0, False, True
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
        self._goal, self._searching, self._is_proven = 0.0, False, True
        self._quiet, self._full_at = 0, None
        self._halved_at, self._rest_until = now, now + 2 * hold
        return self.value != before
