"""One account as a route sees it: its gate, its price, and whether it is asked at all now."""

import asyncio
import logging
import math
from collections.abc import Callable
from copy import copy
from decimal import Decimal
from typing import NamedTuple

from nbp_async._base.errors import AuthError, NbpError, NotSentError, ParkedError, QuotaError
from nbp_async._flow.attempt import LiveAttempt
from nbp_async._flow.held_delivery import HeldDelivery
from nbp_async._flow.job_prices import price_kind
from nbp_async._models.outcomes import Job
from nbp_async._pacing.gate import Gate, GatePass
from nbp_async._pacing.price_margins import ZERO, PriceKind

log = logging.getLogger("nbp_async")

_MOST_IN_A_ROW = 3  # errors
_FREE_REST, _PAID_REST = (1.0, 30.0), (30.0, 300.0)  # seconds without a try: the first, the longest
_PROBE = 1.0  # seconds until another request may try whether it works again
_NEWEST = 0.2  # share of the newest image in the usual time


class Upstream:
    """An account of a route. Belongs to one event loop.

    It is parked, and not asked, for as long as its quota or its balance is used up or its keys are
    refused. While it does not work (no connection comes about, or three requests in a row end in
    its errors), one request a second at most tries whether it does: an account that fails quickly
    has room at any time, and would be given all prompts.
    """

    def __init__(self, delivery: HeldDelivery, on_parked: Callable[[], None]) -> None:
        """`on_parked` is called when it is asked no more for a while."""
        self._on_parked = on_parked
        self.delivery = delivery
        self.endpoint = delivery.endpoint
        self.reason: NbpError | None = None
        self._parked_until = self._rests_until = -math.inf  # on the loop's clock
        self._errors = 0  # in a row
        self._rests = 0  # how often it was given a rest since it worked
        self._probe: LiveAttempt | None = None
        self._usual: dict[str, float] = {}  # seconds of an image, by size

    @property
    def name(self) -> str:
        """What the account is called."""
        return self.endpoint.name

    def parked_for(self) -> float:
        """Seconds for which it is not asked; 0.0 if it may be."""
        if isinstance(self.reason, NotSentError) and self._probe is not None and self._probe.sent:
            self._works()
        until = max(self._parked_until, self._rests_until)
        return max(0.0, until - asyncio.get_running_loop().time())

    def park(self, seconds: float, reason: NbpError) -> None:
        """Do not ask it for so long: its quota or balance is used up, or its keys are refused."""
        now = asyncio.get_running_loop().time()
        if self._parked_until <= now:
            span = "any more" if seconds == math.inf else f"for {seconds:.0f} s"
            log.warning("%s is not asked %s: %s", self.name, span, reason)
        self._parked_until, self.reason = now + seconds, reason
        self._on_parked()

    def fail(self, error: NbpError, *, is_free: bool) -> None:
        """A request ended in an error of the account's side, or found no connection.

        A try that is billed for nothing is worth a longer rest.
        """
        self._errors += 1
        if self._errors < _MOST_IN_A_ROW and not isinstance(error, NotSentError):
            return
        if not self._rests:
            log.warning("%s does not work now, the other accounts go on: %s", self.name, error)
        elif self._rests_until > asyncio.get_running_loop().time() and self._probe is None:
            return  # one of many that were out together
        self._rests += 1
        self._probe = None
        first, longest = _FREE_REST if is_free else _PAID_REST
        rest = min(longest, first * 2.0 ** (self._rests - 1))
        now = asyncio.get_running_loop().time()
        self._rests_until = now + rest
        if self._parked_until <= now:
            self.reason = error
        self._on_parked()

    def begin(self, attempt: LiveAttempt) -> None:
        """An attempt was admitted."""
        if self._rests:
            self._probe = attempt
            self._rests_until = asyncio.get_running_loop().time() + _PROBE

    def succeeded(self, size: str, seconds: float) -> None:
        """It made an image of this size in so many seconds."""
        before = self._usual.get(size, seconds)
        self._usual[size] = before + _NEWEST * (seconds - before)
        if self._errors:
            self._works()

    def refusal(self) -> NbpError:
        """Why it is not asked, for an attempt that was not sent because of that."""
        reason = self.reason
        if isinstance(reason, QuotaError | AuthError):
            return copy(reason)
        return ParkedError(
            f"Not sent: no account works now. {self.name}: {reason}",
            hint="Send the rest later, or raise Retry.max_throttle to wait for it.",
        )

    def usual(self, size: str) -> float:
        """Seconds that an image of this size takes; 0.0 while that is unknown."""
        return self._usual.get(size, 0.0)

    def _works(self) -> None:
        if self._rests:
            log.warning("%s works again.", self.name)
            self._rests_until = -math.inf
        self._errors = self._rests = 0
        self._probe = None


class Offer(NamedTuple):
    """An account that can make a job, and the job as it is asked for it."""

    upstream: Upstream
    job: Job

    @property
    def gate(self) -> Gate:
        """The gate that it waits for."""
        return self.upstream.endpoint.gate(self.job.model)

    @property
    def price_kind(self) -> tuple[Decimal, PriceKind]:
        """What is reserved for it: jobs that are alike in this may take each other's ticket."""
        return self.job.most, price_kind(self.job)

    async def enter(self) -> GatePass:
        """Wait for its gate."""
        return await self.gate.enter(*self.price_kind)

    def give_back(self, ticket: GatePass) -> None:
        """Nothing was sent after all."""
        self.gate.settle(ticket, ZERO)
        self.gate.leave(ticket)
