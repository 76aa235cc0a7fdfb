"""One more call for what failed in a batch: the same prompts and options, the outcomes merged.

All prompts are drawn again, so that each has its index, and each of several equal ones finds its
own item in the journal. Only the wanted ones are sent. The other outcomes stay as they are,
whatever became of their files.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from nbp_async._base.errors import ConfigError, LinkExpiredError, NbpError
from nbp_async._calls.batch import Batch, Dollars
from nbp_async._calls.call import Call
from nbp_async._calls.plan import Plan
from nbp_async._calls.preview import Preview
from nbp_async._flow.ledger import worst_billing
from nbp_async._models.outcomes import Attempt, Failure, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRequest:
    """What to make again of a batch.

    Attributes:
        indexes: The failed prompts to make.
        charged: Dollars that the batch has cost, or may have cost: they count for `max_cost`.
        resend_ambiguous: Also make what may have been billed.
        max_cost: Dollars for both calls; None for what the first call had.
    """

    indexes: frozenset[int]
    charged: Decimal
    resend_ambiguous: bool
    max_cost: Dollars | None


Make = Callable[[RetryRequest], tuple[Call, Callable[[], Preview | None]]]


class RetryFailed:
    """Makes the failures of one batch again, once: a second time would buy them twice.

    Args:
        make: Prepares the call and its preview, without opening anything.
        durable: The call has a journal, which knows what is behind links.
    """

    def __init__(self, make: Make, *, durable: bool) -> None:
        self.used = False
        self._make = make
        self._durable = durable

    def another(self) -> "RetryFailed":
        """The same for the next batch of this call."""
        return RetryFailed(self._make, durable=self._durable)

    def __call__(
        self, batch: Batch, *, resend_ambiguous: bool, max_cost: Dollars | None
    ) -> "RetryPlan":
        bill = batch.billing
        request = RetryRequest(
            indexes=frozenset(
                f.index for f in batch.failures if self._is_retryable(f, resend_ambiguous)
            ),
            charged=bill.spent + bill.maybe,
            resend_ambiguous=resend_ambiguous,
            max_cost=max_cost,
        )
        call, preview = self._make(request)
        return RetryPlan(batch, request, self, call, preview)

    def _is_retryable(self, failure: Failure, resend_ambiguous: bool) -> bool:
        """It may be made again. Behind a link that still works, only a journal can fetch it."""
        if any(a.billing == "maybe" for a in (*failure.earlier, *failure.attempts)):
            return resend_ambiguous
        lives = bool(failure.links) and not isinstance(failure.error, LinkExpiredError)
        return self._durable or not lives


class RetryPlan(Plan):
    """The failures of a batch, once more. Awaited, it gives the whole batch, in its order."""

    def __init__(
        self,
        batch: Batch,
        request: RetryRequest,
        retrier: RetryFailed,
        call: Call,
        preview: Callable[[], Preview | None],
    ) -> None:
        words = f"retry_failed({len(request.indexes)} of {len(batch)})"
        super().__init__(call, words, preview, retrier.another)
        self._base = batch
        self._request = request
        self._retrier = retrier

    async def _work(self) -> None:
        if not self._request.indexes:
            return
        if self._retrier.used:
            raise ConfigError(
                "The failures of this batch were made again already: go on with the batch that "
                "retry_failed() gave. Nothing was sent."
            )
        self._retrier.used = True
        try:
            await super()._work()
        except NbpError:
            self._retrier.used = bool(self._outcomes)  # else it could not begin
            raise

    def _take(self, outcome: Outcome) -> None:
        if outcome.index in self._request.indexes:
            super()._take(outcome)

    def _batch(self, outcomes: list[Outcome]) -> Batch:
        if not self._request.indexes:
            return self._base
        fresh = {outcome.index: outcome for outcome in outcomes}
        merged = [_joined(old, fresh.get(old.index)) for old in self._base]
        batch = super()._batch(merged)
        batch.elapsed += self._base.elapsed
        return batch


def _joined(old: Outcome, new: Outcome | None) -> Outcome:
    """The new outcome, if there is one, with the attempts of both calls."""
    if new is None:
        return old
    known = (*new.earlier, *new.attempts)
    if not new.earlier:  # there is no journal that knows the first call
        before = (*old.earlier, *old.attempts)
        known = (*before, *_after(before, new.attempts))
    since = len(old.earlier)
    joined = msgspec.structs.replace(new, earlier=known[:since], attempts=known[since:])
    if isinstance(joined, Failure):
        return msgspec.structs.replace(joined, billing=worst_billing(known))
    return joined


def _after(before: tuple[Attempt, ...], attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    """The attempts, numbered from the last of those before."""
    last = before[-1].number if before else 0
    return tuple(msgspec.structs.replace(a, number=a.number + last) for a in attempts)
