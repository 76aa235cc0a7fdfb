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

State = Literal["open", "closed", "ramping"]


class Pause:
    """When requests may leave after the server asked for patience.

    Attributes:
        state: "open"; "closed" until `until`; or "ramping".
        until: On the caller's clock: the end of the closed phase, or of the step's proof; None
            while nothing will change by itself.
        generation: How often it was closed; what was admitted in an earlier one is void.
        step: How many may leave in this step of the ramp.
    """

    __slots__ = ("_admitted", "_cut_at", "_grown", "_rng", "generation", "state", "step", "until")

    def __init__(self, rng: Callable[[], float]) -> None:
        self.state: State = "open"
        self.until: float | None = None
        self.generation = 0
        self.step = 0
        self._admitted = 0
        self._cut_at = float("-inf")
        self._grown = 0  # closings in a row: the pauses that nobody named grow with it
        self._rng = rng

    def close(self, now: float, asked: float | None, started: float) -> float:
        """A request that had started at `started` was refused; returns the seconds to wait.

        `asked` is what the server named, or None. The wait is never shorter than that, and is
        spread over a little more, so that two clients do not come back in the same moment.
        """
        fresh = started > self._cut_at
        if fresh:
            self._cut_at = now
            self._grown += 1
        if asked is not None:
            until = now + asked + self._rng() * min(10.0, 1 + 0.2 * asked)
        elif fresh:
            until = now + max(LEAST, self._rng() * min(CAP, BASE * 2.0 ** (self._grown - 1)))
        else:
            return self.left_of_it(now)
        if self.state == "closed" and self.until is not None and until <= self.until:
            return self.until - now
        self.state, self.until = "closed", until
        self.generation += 1
        self.step = self._admitted = 0
        return until - now

    def left_of_it(self, now: float) -> float:
        """Seconds until it reopens; 0.0 when it is not closed."""
        return max(0.0, self.until - now) if self.state == "closed" and self.until else 0.0

    def admit(self, now: float) -> bool:
        """Let one request leave now, if one may."""
        if self.state == "closed" and self.until is not None and now >= self.until:
            self.state, self.until = "ramping", None
            self.step = 1
        if self.state != "ramping":
            return self.state == "open"
        if self._admitted >= self.step:
            return False
        self._admitted += 1
        self.until = now + PROOF
        return True

    def take_back(self) -> None:
        """A request that was admitted to the ramp did not leave after all."""
        if self.state == "ramping" and self._admitted:
            self._admitted -= 1

    def accepted(self, limit: int) -> None:
        """Nothing of this step was refused: the next is twice as large, and open at `limit`."""
        if self.state != "ramping":
            return
        self.step *= 2
        self._admitted = 0
        self.until = None
        if self.step >= limit:
            self.state = "open"
            self._grown = 0
