"""The shared pause after a 429 or 503: closed, then a probe, then steps, then open. No I/O.

A thousand held calls may be refused at the same moment. They are one signal: what left before the
last closing can only prolong it, not make the pauses grow. When the pause is over one request goes
out as a probe; if it is not refused within a few seconds two follow, then four, until all slots
are reached. The caller brings the clock.
"""

from collections.abc import Callable
from typing import Literal

PROOF = 5.0  # seconds without a refusal after which a step counts as accepted
BASE = 1.0  # seconds of the first pause where the server named none; doubles up to CAP
CAP = 60.0
LEAST = 0.1  # seconds: a drawn pause is never so short that it is none
_DOUBLINGS = 10  # past CAP already, and far from where a float would overflow

State = Literal["open", "closed", "ramping"]


class Pause:
    """When requests may leave after the server asked for patience.

    Attributes:
        state: "open"; "closed" until `until`; or "ramping".
        until: On the caller's clock: the end of the closed phase, or of the step's proof; None
            while nothing will change by itself.
        phase: Grows with each closing and each step: says when something was admitted.
        step: How many may leave in this step of the ramp.
    """

    __slots__ = ("_admitted", "_closed_in", "_cut_at", "_grown", "_rng", "phase", "state", "step",
                 "until")  # fmt: skip

    def __init__(self, rng: Callable[[], float]) -> None:
        self.state: State = "open"
        self.until: float | None = None
        self.phase = 0
        self.step = 0
        self._admitted = 0
        self._closed_in = 0  # what was admitted in an earlier phase than this is void
        self._cut_at = float("-inf")
        self._grown = 0  # closings in a row: the pauses that nobody named grow with it
        self._rng = rng

    def close(self, now: float, asked: float | None, left: float) -> bool:
        """A request that left at `left` was refused; True if that closed or prolonged the pause.

        `asked` is the seconds that the server named; None or 0, and the pause is ours to choose.
        It is never shorter than what was asked, and is spread over a little more, so that two
        clients do not come back in the same moment.
        """
        old = left <= self._cut_at
        if old and not asked:
            return False
        if old and self.remaining(now) >= (asked or 0.0) and self.state == "closed":
            return False
        if not old:
            self._cut_at = now
            self._grown += 1
        until = now + self._length(asked)
        if self.state == "closed" and self.until is not None and until <= self.until:
            return False
        if self.state != "closed":
            self.phase += 1
            self._closed_in = self.phase
        self.state, self.until = "closed", until
        return True

    def remaining(self, now: float) -> float:
        """Seconds until it reopens; 0.0 when it is not closed."""
        if self.state != "closed" or self.until is None:
            return 0.0
        return max(0.0, self.until - now)

    def reopen(self, now: float) -> None:
        """Begin the ramp if the closed phase is over."""
        if self.state == "closed" and self.until is not None and now >= self.until:
            self.state, self.until = "ramping", None
            self._next_step(1)

    def admit(self, now: float) -> bool:
        """Let one request through, if one may; its phase is then the present one."""
        if self.state == "open":
            return True
        self.reopen(now)
        if self.state == "closed" or self._admitted >= self.step:
            return False
        self._admitted += 1
        return True

    def holds(self, phase: int) -> bool:
        """What was admitted in that phase may still leave."""
        return self.state == "open" or phase >= self._closed_in

    def proves(self, phase: int) -> bool:
        """What was admitted in that phase belongs to the present step of the ramp."""
        return self.state == "ramping" and phase == self.phase

    def departed(self, phase: int, now: float) -> None:
        """It left: only from now on can it prove that the server takes requests again."""
        if self.proves(phase):
            self.until = now + PROOF

    def take_back(self, phase: int) -> bool:
        """It did not leave after all; True if another may leave in its stead."""
        if not self.proves(phase):
            return False
        self._admitted -= 1
        return True

    def accepted(self, limit: int) -> None:
        """Nothing of this step was refused: the next is twice as large, and open at `limit`."""
        if self.state != "ramping":
            return
        self.until = None
        self._next_step(self.step * 2)
        if self.step >= limit:
            self.state = "open"
            self._grown = 0

    def _next_step(self, step: int) -> None:
        self.phase += 1
        self.step = step
        self._admitted = 0

    def _length(self, asked: float | None) -> float:
        if asked:
            return asked + self._rng() * min(10.0, 1 + 0.2 * asked)
        ceiling = min(CAP, BASE * 2.0 ** min(self._grown - 1, _DOUBLINGS))
        return max(LEAST, self._rng() * ceiling)
