"""The attempts of a job that several accounts can make: each goes to the one that is chosen then.

| an attempt ended with | and now |
| --- | --- |
| 429, 503 | the next account at once, if its gate is open; else whichever opens first |
| a used-up quota or balance, a refused key | the account is parked, and the next one asked |
| no connection, an error that is free | the next account, if the prompt has not failed there |
| anything that may be billed | nobody else is asked unless told to, as with one account |

An account with such errors in a row is given a rest; see `upstream`.
"""

import asyncio
import math

from nbp_async._base.errors import (
    AuthError,
    CancelledAttemptError,
    ConfigError,
    DeadlineError,
    LocalLimitError,
    MalformedReplyError,
    NbpError,
    NoReplyError,
    NotSentError,
    OverloadedError,
    QuotaError,
    RateLimitError,
    ServerError,
)
from nbp_async._flow.attempt import Admission, LiveAttempt
from nbp_async._flow.attempt_loop import AttemptLoop
from nbp_async._flow.call_state import CallState
from nbp_async._flow.delivery import RequestDelivery
from nbp_async._flow.ledger import Ledger
from nbp_async._flow.route import Route
from nbp_async._flow.upstream import Offer, Upstream
from nbp_async._models.outcomes import Failure, Image, Job, Outcome, Reference
from nbp_async._pacing.gate import GatePass

_ITS_FAULT = (NotSentError, NoReplyError, ServerError, MalformedReplyError)
_OUR_FAULT = (LocalLimitError, CancelledAttemptError)


class RoutedLoop(AttemptLoop):
    """See `AttemptLoop`."""

    __slots__ = ("_affordable", "_chosen", "_failed", "_offers", "_references", "_route")

    def __init__(
        self,
        delivery: RequestDelivery,
        call: CallState,
        job: Job,
        ledger: Ledger,
        route: Route,
        offers: list[Offer],
    ) -> None:
        super().__init__(delivery, call, job, ledger)
        self._route = route
        self._offers = self._affordable = offers
        self._references: tuple[Reference, ...] = ()
        self._chosen: Offer | None = None
        self._failed: list[Upstream] = []

    async def prepare(self, references: tuple[Reference, ...]) -> None:
        """The request is encoded as the account that is chosen wants it."""
        self._references = references

    async def _reserve(self) -> NbpError | None:
        """Reserve what it costs at the dearest account that the cap leaves enough for."""
        ledger, cap = self._ledger, self._call.cap
        if cap is not None:
            for most in sorted({offer.job.most for offer in self._offers}, reverse=True):
                ledger.most = most
                if not ledger.never_fits(cap):
                    break
            self._affordable = [o for o in self._offers if o.job.most <= ledger.most]
        return await super()._reserve()

    async def _attempt_once(self, admitted: Admission | None = None) -> Outcome | None:
        ledger, call = self._ledger, self._call
        try:
            admitted = await self._choose()
        except NbpError as exc:
            ledger.release()
            call.record_rejection(exc)
            if isinstance(exc, QuotaError | AuthError):  # of the last account that was left
                call.stop(exc)
            return self._failure(exc)
        except BaseException as exc:
            ledger.release()
            self._abandon_between_attempts(exc)
            raise
        return await super()._attempt_once(admitted)

    async def _choose(self) -> Admission:
        """Pass the gate of an account, with a request as that one wants it.

        Raises:
            ConfigError: No account has a place for something that is asked for.
            NbpError: Nothing may be sent, or no account takes requests.
        """
        queued_at = asyncio.get_running_loop().time()
        while True:
            offer, ticket = await self._enter()
            try:
                await self._turn_to(offer)
            except ConfigError:
                offer.give_back(ticket)
                self._offers = [other for other in self._offers if other is not offer]
                self._affordable = [other for other in self._affordable if other is not offer]
                if not self._affordable:
                    raise
            except BaseException:
                offer.give_back(ticket)
                raise
            else:
                return Admission(ticket, queued_at)

    async def _enter(self) -> tuple[Offer, GatePass]:
        try:
            async with asyncio.timeout_at(self._retry.deadline):
                return await self._call.wait(lambda: self._route.enter(self._candidates()))
        except TimeoutError:
            raise DeadlineError("The deadline came before the next attempt could leave.") from None

    def _candidates(self) -> list[Offer]:
        """Whom to ask: those at which it has not failed, if one of them is open."""
        fresh = self._fresh()
        return fresh if any(map(_is_open, fresh)) else self._affordable

    async def _turn_to(self, offer: Offer) -> None:
        if offer is self._chosen:
            return
        self._chosen, self._request = None, None
        self._delivery, self._endpoint = offer.upstream.delivery, offer.upstream.endpoint
        self._job = offer.job
        self._ledger.turn_to(self._endpoint, self._job)
        self._request = await self._encode(self._references)
        self._chosen = offer

    async def _run(self, attempt: LiveAttempt, admitted: Admission | None) -> Image:
        assert self._chosen is not None, "an account was chosen"
        upstream = self._chosen.upstream
        upstream.begin(attempt)
        image = await super()._run(attempt, admitted)
        upstream.succeeded(self._job.canvas.tier, attempt.timings.service)
        return image

    def _settle(self, attempt: LiveAttempt, error: NbpError) -> Failure | None:
        assert self._chosen is not None, "an attempt was made there"
        if isinstance(error, _ITS_FAULT) and not isinstance(error, _OUR_FAULT):
            self._chosen.upstream.fail(error, is_free=self._is_free(error))
            self._failed.append(self._chosen.upstream)
        return super()._settle(attempt, error)

    def _goes_elsewhere(self, attempt: LiveAttempt, error: NbpError) -> bool:
        assert self._chosen is not None, "an attempt was made there"
        upstream = self._chosen.upstream
        if super()._goes_elsewhere(attempt, error):
            return True
        if isinstance(error, QuotaError | AuthError):
            upstream.park(self._span(error), error)
            patience = self._route.patience
            return any(other.upstream.parked_for() <= patience for other in self._affordable)
        if isinstance(error, _ITS_FAULT) and not isinstance(error, _OUR_FAULT):
            return any(_is_open(other) for other in self._fresh())
        if isinstance(error, RateLimitError | OverloadedError) and attempt.gate.paused_for():
            return any(_is_open(other) for other in self._affordable)
        return False

    def _is_free(self, error: NbpError) -> bool:
        if isinstance(error, ServerError):
            return self._endpoint.profile.billing(error.status) == "no"
        return isinstance(error, NotSentError)

    def _fresh(self) -> list[Offer]:
        """The accounts at which this prompt has not failed."""
        return [offer for offer in self._affordable if offer.upstream not in self._failed]

    def _span(self, error: QuotaError | AuthError) -> float:
        """Seconds for which an account is of no use."""
        resets_at = error.resets_at if isinstance(error, QuotaError) else None
        if resets_at is None:
            return math.inf
        return max(0.0, resets_at - self._endpoint.resources.wall_clock())


def _is_open(offer: Offer) -> bool:
    return not offer.upstream.parked_for() and not offer.gate.paused_for()
