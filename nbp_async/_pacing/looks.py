"""When to look at a task again: first when it may be done, then soon, then less and less often.

Looks are free, and yet not endless: all of a client's share one rate. Each wait has jitter, so that
thousands of tasks that were submitted together are not looked at together.
"""

from collections.abc import Callable, Mapping

FIRST = 0.6  # of the time that tasks usually take, until the first look
# Seconds between looks: at first, where they grow to, and for a task that takes over three times as
# long as usual. What is usually done sooner is looked at more often: these are parts of its time.
SOON, SELDOM, LATE = 2.5, 10.0, 30.0
_SOON, _SELDOM, _LATE = 0.03, 0.12, 0.36
GROWTH = 1.2
JITTER = 0.25  # of each wait, to either side
# With a webhook the looks are only there for what it may miss.
HINTED_FIRST = 2.0
_MEMORY = 0.2  # how much the latest task counts


# The middle of what one relay measured for Nano Banana Pro: 30-90, 50-120 and 100-170 s.
_GUESS = {"1K": 60.0, "2K": 85.0, "4K": 135.0}


class Usual:
    """How long tasks of each size take here, in seconds; learned as they end."""

    def __init__(self, guess: Mapping[str, float]) -> None:
        self._guess = {**_GUESS, **guess}
        self._known: dict[str, float] = {}

    def of(self, tier: str) -> float:
        return self._known.get(tier) or self._guess.get(tier) or self._guess["2K"]

    def learn(self, tier: str, seconds: float) -> None:
        known = self._known.get(tier)
        self._known[tier] = seconds if known is None else known + _MEMORY * (seconds - known)


class Looks:
    """The waits between the looks at one task.

    Args:
        usual: Seconds that such tasks take.
        rng: Draws the jitter, from 0 up to 1.
        hinted: A webhook will probably say when it is done.
        at_once: It was submitted long ago: the first look comes now.
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
        """The service says that it will take so long from now on."""
        self._first = seconds * (HINTED_FIRST if self._hinted and seconds else 1.0)

    def wait(self, waited: float) -> float:
        """Seconds until the next look; `waited` have gone by since the submit."""
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
