"""The shared pause after a 429 or 503: closed, then a ramp of steps, then open. No I/O.

A thousand held calls may be refused at the same moment. They are one signal: a request that left
before the last closing can prolong the pause, and cannot make the next pauses longer.

    open ── refused ──► closed ── `until` is over ──► ramping ── step reaches the limit ──► open
              ▲                                          │
              └────────────── refused ───────────────────┘

    ramping, with a limit of 10 slots:   step  1     2       4           8               open
                                         out   ·     · ·     · · · ·     · · · · · · · ·
    A step is accepted by a success of one of its own requests, or when nothing was refused for
    PROOF seconds after its last departure. The request of the first step is the probe.

The caller brings the clock.
"""

from collections.abc import Callable
from typing import Literal

PROOF = 5.0  # seconds without a refusal after which a step counts as accepted
BASE = 1.0  # seconds of the first pause where the server named none; doubles up to CAP
CAP = 60.0
LEAST = 0.1  # seconds; the shortest pause that is drawn
_DOUBLINGS = 10  # more than CAP needs, and far from where a float would overflow

State = Literal["open", "closed", "ramping"]


class Pause:
    """When requests may leave after the server asked for patience.

    Attributes:
        state: "open"; "closed" until `until`; or "ramping".
        until: On the caller's clock: the end of the closed phase, or of the step's proof; None
            while nothing changes by itself.
        phase: Grows with each closing and each step: says when a request was admitted.
        step: How many may leave in this step of the ramp.
    """

    __slots__ = (
        "_admitted",
        "_closings",
        "_last_closed_at",
        "_rng",
        "_void_before",
        "phase",
        "state",
        "step",
        "until",
    )

    def __init__(self, rng: Callable[[], float]) -> None:
        self.state: State = "open"
        self.until: float | None = None
        self.phase = 0
        self.step = 0
        self._admitted = 0
        self._void_before = 0  # admissions of an earlier phase than this one are void
        self._last_closed_at = float("-inf")
        self._closings = 0  # in a row; pauses whose length we choose grow with it
        self._rng = rng

    def close(self, now: float, asked: float | None, left: float) -> bool:
        """A request that left at `left` was refused; True if that closed or prolonged the pause.

        `asked` is the seconds that the server named; None or 0 lets us choose. The pause is never
        shorter than what was asked, and jitter makes it a little longer, so that two clients do
        not come back at the same moment.
        """
        is_old = left <= self._last_closed_at
        if is_old and not asked:
            return False
        if is_old and self.remaining(now) >= (asked or 0.0) and self.state == "closed":
            return False
        if not is_old:
            self._last_closed_at = now
            self._closings += 1
        until = now + self._length(asked)
        if self.state == "closed" and self.until is not None and until <= self.until:
            return False
        if self.state != "closed":
            self.phase += 1
            self._void_before = self.phase
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
        """Let one request through, if one may leave; its phase is then the present one."""
        if self.state == "open":
            return True
        self.reopen(now)
        if self.state == "closed" or self._admitted >= self.step:
            return False
        self._admitted += 1
        return True

    def holds(self, phase: int) -> bool:
        """A request that was admitted in that phase may still leave."""
        return self.state == "open" or phase >= self._void_before

    def proves(self, phase: int) -> bool:
        """A request that was admitted in that phase belongs to the present step of the ramp."""
        return self.state == "ramping" and phase == self.phase

    def departed(self, phase: int, now: float) -> None:
        """A request left: only from now on can the step prove that the server accepts it."""
        if self.proves(phase):
            self.until = now + PROOF

    def take_back(self, phase: int) -> bool:
        """An admitted request did not leave; True if another may leave in its place."""
        if not self.proves(phase):
            return False
        self._admitted -= 1
        return True

    def accepted(self, limit: int, in_flight: int) -> None:
        """Nothing of this step was refused: the next is larger, and open when none are left.

        It is twice as large, or a quarter of what the vendor holds already: who works on hundreds
        is not hurt by some more.
        """
        if self.state != "ramping":
            return
        self.until = None
        self._next_step(max(self.step * 2, in_flight // 4))
        if self.step >= limit - in_flight:
            self.state = "open"
            self._closings = 0

    def _next_step(self, step: int) -> None:
        self.phase += 1
        self.step = step
        self._admitted = 0

    def _length(self, asked: float | None) -> float:
        if asked:
            return asked + self._rng() * min(10.0, 1 + 0.2 * asked)
        ceiling = min(CAP, BASE * 2.0 ** min(self._closings - 1, _DOUBLINGS))
        return max(LEAST, self._rng() * ceiling)
