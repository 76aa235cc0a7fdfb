"""When to poll a task: first when it may be done, then often, then less and less often.

Polling is free, but not unlimited: all polls of a client share one rate. Each wait has jitter, so
that thousands of tasks that were submitted together are not polled together.
"""

from collections.abc import Callable, Mapping

FIRST = 0.6  # of the typical duration, until the first poll
# Seconds between polls: at first, at most, and for a task that takes over three times as long as
# usual. Tasks that are usually done sooner are polled more often: the second line is in parts of
# the typical duration.
SOON, SELDOM, LATE = 2.5, 10.0, 30.0
_SOON, _SELDOM, _LATE = 0.03, 0.12, 0.36
GROWTH = 1.2
JITTER = 0.25  # of each wait, to either side
HINTED_FIRST = 2.0  # with a webhook, polls only find what it misses
_SMOOTHING = 0.2  # weight of the latest task


# The middle of what one relay measured for Nano Banana Pro: 30-90, 50-120 and 100-170 s.
_GUESS = {"1K": 60.0, "2K": 85.0, "4K": 135.0}


class TypicalDurations:
    """How long tasks of each size take at this service, in seconds; learned as they end."""

    def __init__(self, guess: Mapping[str, float]) -> None:
        self._guess = {**_GUESS, **guess}
        self._learned: dict[str, float] = {}

    def estimate(self, tier: str) -> float:
        return self._learned.get(tier) or self._guess.get(tier) or self._guess["2K"]

    def learn(self, tier: str, seconds: float) -> None:
        known = self._learned.get(tier)
        self._learned[tier] = seconds if known is None else known + _SMOOTHING * (seconds - known)


class PollSchedule:
    """The waits between the polls of one task.

    Args:
        usual: Seconds that such tasks take.
        rng: Draws the jitter, from 0 up to 1.
        hinted: A webhook will probably say when it is done.
        at_once: It was submitted long ago: poll it now.
    """

    __slots__ = ("_first", "_hinted", "_late", "_most", "_rng", "_step", "_usual")

    def __init__(
        self, usual: float, rng: Callable[[], float], *, hinted: bool = False, at_once: bool = False
    ) -> None:
        self._usual = usual
        self._rng = rng
        self._hinted = hinted
        self._first: float | None = usual * (HINTED_FIRST if hinted else FIRST)
        if at_once:
            self._first = 0.0
        self._late = min(LATE, _LATE * usual)
        self._step = self._late if hinted else min(SOON, _SOON * usual)
        self._most = 2 * self._late if hinted else min(SELDOM, _SELDOM * usual)

    def expect(self, seconds: float) -> None:
        """The service says that it takes so long from now on."""
        self._first = seconds * (HINTED_FIRST if self._hinted and seconds else 1.0)

    def wait(self, waited: float) -> float:
        """Seconds until the next poll; `waited` have passed since the submit."""
        if self._first is not None:
            first, self._first = self._first, None
            return self._spread(first)
        step, most = self._step, self._most
        if waited > 3 * self._usual:
            most = max(most, self._late)
        self._step = min(most, step * GROWTH)
        return self._spread(step)

    def _spread(self, seconds: float) -> float:
        return seconds * (1 - JITTER + 2 * JITTER * self._rng())
