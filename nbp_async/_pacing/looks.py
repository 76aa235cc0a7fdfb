"""When to look at a task again: first when it may be done, then soon, then less and less often.

Looks are free, and yet not endless: all of a client's share one rate. Each wait has jitter, so that
thousands of tasks that were submitted together are not looked at together.
"""

from collections.abc import Callable

FIRST = 0.6  # of the time that tasks usually take, until the first look
SOON, SELDOM = 2.5, 10.0  # seconds between looks: at first, and where they grow to
LATE = 30.0  # seconds between looks at a task that takes over three times as long as usual
GROWTH = 1.2
JITTER = 0.25  # of each wait, to either side
# With a webhook the looks are only there for what it may miss.
HINTED_FIRST, HINTED_SOON, HINTED_SELDOM = 2.0, 30.0, 60.0
_MEMORY = 0.2  # how much the latest task counts


# The middle of what one relay measured for Nano Banana Pro: 30-90, 50-120 and 100-170 s.
_GUESS = {"1K": 60.0, "2K": 85.0, "4K": 135.0}


class Usual:
    """How long tasks of each size take here, in seconds; learned as they end."""

    def __init__(self) -> None:
        self._known: dict[str, float] = {}

    def of(self, tier: str) -> float:
        return self._known.get(tier) or _GUESS.get(tier, 85.0)

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

    __slots__ = ("_first", "_hinted", "_rng", "_step", "_usual")

    def __init__(
        self, usual: float, rng: Callable[[], float], *, hinted: bool = False, at_once: bool = False
    ) -> None:
        self._usual = usual
        self._rng = rng
        self._hinted = hinted
        self._first: float | None = usual * (HINTED_FIRST if hinted else FIRST)
        if at_once:
            self._first = 0.0
        self._step = HINTED_SOON if hinted else SOON

    def expect(self, seconds: float) -> None:
        """The service says that it will take so long from now on."""
        self._first = seconds * (HINTED_FIRST if self._hinted and seconds else 1.0)

    def wait(self, waited: float) -> float:
        """Seconds until the next look; `waited` have gone by since the submit."""
        if self._first is not None:
            first, self._first = self._first, None
            return self._spread(first)
        step = self._step
        most = HINTED_SELDOM if self._hinted else SELDOM
        if waited > 3 * self._usual:
            most = max(most, LATE)
        self._step = min(most, step * GROWTH)
        return self._spread(step)

    def _spread(self, seconds: float) -> float:
        return seconds * (1 - JITTER + 2 * JITTER * self._rng())
