"""How much one key may use: at once, per minute, and dollars in any ten minutes.

All windows slide: a request counts for the 60 s after it, not until the next full minute. Refused
requests do not count.
"""

from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import msgspec

_MINUTE = 60.0
_TEN_MINUTES = 600.0
_RETRY_WHEN_FULL = 1.0  # simulated seconds: nobody knows when a request will end


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """Limits of each key; None for no limit.

    Attributes:
        concurrency: Requests in work at once.
        per_minute: Requests that begin in any minute.
        dollars_per_ten_minutes: Dollars in any ten minutes, with those of requests in work.
    """

    concurrency: int | None = None
    per_minute: int | None = None
    dollars_per_ten_minutes: Decimal | None = None

    def __post_init__(self) -> None:
        for name in ("concurrency", "per_minute", "dollars_per_ten_minutes"):
            limit = getattr(self, name)
            if limit is not None and limit <= 0:
                raise ValueError(f"{name} must be above 0, or None for no limit, not {limit}")


class Denial(msgspec.Struct, frozen=True):
    """A quota forbids a request.

    Attributes:
        what: Which one.
        limit: Its limit, in words.
        wait: Real seconds until it may allow one; None where waiting does not help.
    """

    what: Literal["concurrency", "requests", "spend", "balance"]
    limit: str
    wait: float | None


class Allowance(msgspec.Struct, frozen=True):
    """What is left of the requests per minute, and the real seconds until all are back."""

    limit: int
    remaining: int
    reset: float


class Meter:
    """Counts one key's requests against its quotas; times are of the loop's clock.

    Args:
        quotas: The limits.
        speed: How many times faster than real time simulated time goes; shortens the windows.
    """

    def __init__(self, quotas: Quotas, speed: float) -> None:
        self._quotas = quotas
        self._minute = _MINUTE / speed
        self._ten_minutes = _TEN_MINUTES / speed
        self._place = _RETRY_WHEN_FULL / speed
        self._begun: deque[float] = deque()
        self._paid: deque[tuple[float, Decimal]] = deque()
        self._spent = Decimal(0)
        self._reserved = Decimal(0)
        self._working = 0

    def enter(self, now: float, price: Decimal) -> Denial | None:
        """Count a request that begins, or say which quota forbids it."""
        q = self._quotas
        if q.concurrency is not None and self._working >= q.concurrency:
            return Denial("concurrency", str(q.concurrency), self._place)
        if q.per_minute is not None:
            self._forget(now)
            if len(self._begun) >= q.per_minute:
                wait = self._begun[0] + self._minute - now
                return Denial("requests", str(q.per_minute), wait)
        if q.dollars_per_ten_minutes is not None:
            limit = q.dollars_per_ten_minutes
            self._forget(now)
            if self._spent + self._reserved + price > limit:
                return Denial("spend", f"${limit}", self._wait_for_spend(now))
        if q.per_minute is not None:
            self._begun.append(now)
        self._reserved += price
        self._working += 1
        return None

    def leave(self, now: float, reserved: Decimal, paid: Decimal) -> None:
        """Count a request that ends, with the dollars that it had reserved and those it cost."""
        self._working -= 1
        self._reserved -= reserved
        if paid and self._quotas.dollars_per_ten_minutes is not None:
            self._paid.append((now, paid))
            self._spent += paid

    def allowance(self, now: float) -> Allowance | None:
        """What is left of this minute's requests; None if they are not limited."""
        limit = self._quotas.per_minute
        if limit is None:
            return None
        self._forget(now)
        reset = self._begun[-1] + self._minute - now if self._begun else 0.0
        return Allowance(limit, max(0, limit - len(self._begun)), reset)

    def _wait_for_spend(self, now: float) -> float:
        """Until the oldest payment leaves the window; a minute if everything is still in work."""
        if not self._paid:
            return self._minute
        return self._paid[0][0] + self._ten_minutes - now

    def _forget(self, now: float) -> None:
        while self._begun and self._begun[0] + self._minute <= now:
            self._begun.popleft()
        while self._paid and self._paid[0][0] + self._ten_minutes <= now:
            self._spent -= self._paid.popleft()[1]
