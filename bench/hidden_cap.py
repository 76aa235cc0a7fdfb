"""A vendor whose ceiling nobody is told: it refuses what is above, and the ceiling may change."""

import asyncio
import random
from collections import deque
from collections.abc import Callable

import msgspec

from bench.bodies import answer_with, png
from nbp_async.testing.transport import Canned, FakeTransport

MINUTE = 60.0
REFUSAL = 0.5  # seconds until a refusal is here
SHORTEST, LONGEST = 30.0, 170.0  # seconds of an image


class Sample(msgspec.Struct, frozen=True):
    """One second: what the vendor held, what it would have held, and each client's limit."""

    at: float
    held: int
    cap: int
    limits: tuple[int, ...]


class HiddenCap(FakeTransport):
    """Holds requests up to `cap(t)` at once and `per_minute` in any minute; answers 429 above.

    Attributes:
        held: Requests that it works on.
        made: Images so far.
        refused: Refusals so far.
        samples: One for each second that `watch` saw.
    """

    def __init__(
        self, cap: Callable[[float], int], *, per_minute: int | None = None, seed: int = 7
    ) -> None:
        super().__init__()
        self.keep_requests = False
        self.cap = cap
        self.held = self.made = self.refused = 0
        self.samples: list[Sample] = []
        self._per_minute = per_minute
        self._begun: deque[float] = deque()
        self._rng = random.Random(seed)
        self._answer = answer_with(png(0))
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()

    @property
    def now(self) -> float:
        """Seconds since it was opened."""
        return self._loop.time() - self._began

    def hold(self) -> tuple[float, float | None]:
        """Take a request: the seconds until it is answered, and None; or how long to wait."""
        now, wait = self.now, None
        if self.held >= self.cap(now):
            wait = 0.0
        elif self._per_minute is not None:
            while self._begun and self._begun[0] <= now - MINUTE:
                self._begun.popleft()
            if len(self._begun) >= self._per_minute:
                wait = self._begun[0] + MINUTE - now
            else:
                self._begun.append(now)
        if wait is not None:
            self.refused += 1
            return REFUSAL, wait
        self.held += 1
        seconds = self._rng.uniform(SHORTEST, LONGEST)
        self._loop.call_later(seconds, self._end)
        return seconds, None

    def choose(self, request: object) -> Canned:  # noqa: ARG002
        """See `FakeTransport`."""
        seconds, wait = self.hold()
        if wait is None:
            return Canned(self._answer, hold=seconds)
        headers = {"retry-after-ms": f"{wait * 1000:.0f}"} if wait else {}
        if self._per_minute is not None:
            headers["x-ratelimit-limit-requests"] = str(self._per_minute)
        return Canned(b"{}", status=429, headers=headers, hold=seconds)

    async def watch(self, until: float, limits: Callable[[], tuple[int, ...]]) -> None:
        """Take a sample every second."""
        while (now := self.now) < until:
            self.samples.append(Sample(now, self.held, self.cap(now), limits()))
            await asyncio.sleep(1.0)

    def _end(self) -> None:
        self.held -= 1
        self.made += 1
