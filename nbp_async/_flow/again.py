"""One more call for what failed in a batch: the same prompts and options, the outcomes merged.

All prompts are gone through again, so that each has its place, and of equal ones each finds its
own item in the journal; but only those that are asked for are sent. An outcome that stands is
not looked at, whatever became of its file.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from nbp_async._batch import Batch, Dollars
from nbp_async._errors import ConfigError, LinkExpiredError, NbpError
from nbp_async._flow.books import worst
from nbp_async._flow.errand import Errand
from nbp_async._flow.plan import Plan
from nbp_async._flow.preview import Preview
from nbp_async._models import Attempt, Failure, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What to make again of a batch.

    Attributes:
        places: Of the failed prompts that are to be made.
        charged: Dollars that the batch has cost, or may have: they count for `max_cost`.
        resend_ambiguous: What may have been billed is among them.
        max_cost: Dollars for all of it; None for what the first call had.
    """

    places: frozenset[int]
    charged: Decimal
    resend_ambiguous: bool
    max_cost: Dollars | None


Make = Callable[[Asked], tuple[Errand, Callable[[], Preview | None]]]


class Retrier:
    """Makes the failures of one batch again, once: a second time would buy them twice.

    Args:
        make: Prepares the call, and its preview; nothing is opened by it.
        durable: The call has a journal, which knows what is behind a link.
    """

    def __init__(self, make: Make, *, durable: bool) -> None:
        self.used = False
        self._make = make
        self._durable = durable

    def another(self) -> "Retrier":
        """One for the next batch of the same call."""
        return Retrier(self._make, durable=self._durable)

    def __call__(
        self, batch: Batch, *, resend_ambiguous: bool, max_cost: Dollars | None
    ) -> "Retried":
        bill = batch.billing
        asked = Asked(
            places=frozenset(f.index for f in batch.failures if self._may(f, resend_ambiguous)),
            charged=bill.spent + bill.maybe,
            resend_ambiguous=resend_ambiguous,
            max_cost=max_cost,
        )
        errand, look = self._make(asked)
        return Retried(batch, asked, self, errand, look)

    def _may(self, failure: Failure, resend_ambiguous: bool) -> bool:
        """It may be made; what is behind a link that still lives is only for a journal to fetch."""
        if any(a.billing == "maybe" for a in (*failure.earlier, *failure.attempts)):
            return resend_ambiguous
        lives = bool(failure.links) and not isinstance(failure.error, LinkExpiredError)
        return self._durable or not lives


class Retried(Plan):
    """A batch's failures, once more. Awaited it gives the whole batch, in its order."""

    def __init__(
        self,
        batch: Batch,
        asked: Asked,
        retrier: Retrier,
        errand: Errand,
        look: Callable[[], Preview | None],
    ) -> None:
        words = f"retry_failed({len(asked.places)} of {len(batch)})"
        super().__init__(errand, words, look, retrier.another)
        self._base = batch
        self._asked = asked
        self._retrier = retrier

    async def _work(self) -> None:
        if not self._asked.places:
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
        if outcome.index in self._asked.places:
            super()._take(outcome)

    def _batch(self, outcomes: list[Outcome]) -> Batch:
        if not self._asked.places:
            return self._base
        fresh = {outcome.index: outcome for outcome in outcomes}
        merged = [_joined(old, fresh.get(old.index)) for old in self._base]
        batch = super()._batch(merged)
        batch.elapsed += self._base.elapsed
        return batch


def _joined(old: Outcome, new: Outcome | None) -> Outcome:
    """The new outcome, if there is one, with all that was tried for it in both calls."""
    if new is None:
        return old
    known = (*new.earlier, *new.attempts)
    if not new.earlier:  # no journal told it what had been before
        before = (*old.earlier, *old.attempts)
        known = (*before, *_after(before, new.attempts))
    since = len(old.earlier)
    joined = msgspec.structs.replace(new, earlier=known[:since], attempts=known[since:])
    if isinstance(joined, Failure):
        return msgspec.structs.replace(joined, billing=worst(known))
    return joined


def _after(before: tuple[Attempt, ...], attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    """The attempts, numbered on from those before."""
    last = before[-1].number if before else 0
    return tuple(msgspec.structs.replace(a, number=a.number + last) for a in attempts)
