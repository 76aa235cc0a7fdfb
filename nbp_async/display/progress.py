"""How far a call is, as a value: what `Running.progress` gives and every display draws."""

import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Literal

import msgspec

from nbp_async._base.errors import NbpError, StoppedError
from nbp_async._models.outcomes import ZERO, Failure, Image, Outcome

ProgressState = Literal["running", "stopping", "done", "stopped", "cancelled", "broken"]
_MOST_INDEXES = 10
_MOST_MESSAGES = 5  # of one class of error that are told apart
_WITH_DIGIT = re.compile(r"[\w.:-]*\d[\w.:-]*")  # ids, hosts, counts


class FailureGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Failures with the same class of error, whose messages differ in numbers and ids alone.

    Attributes:
        reason: The class of their errors.
        count: How many there are.
        message: What the latest of them says.
        billed: How many of them were billed.
        maybe_billed: How many of them may have been billed.
        spent: US dollars that they certainly cost.
        maybe: US dollars that they may have cost in addition.
        indexes: Where the first ten of them are in the batch, from 0.
    """

    reason: str
    count: int
    message: str
    billed: int = 0
    maybe_billed: int = 0
    spent: Decimal = ZERO
    maybe: Decimal = ZERO
    indexes: tuple[int, ...] = ()


class FailureGroups:
    """Groups failures by reason, one at a time, in memory that does not grow with them.

    A class of error with many messages has five groups: the fifth takes all further ones.

    Args:
        failures: Those to begin with.
        describe: Words their errors.
    """

    def __init__(
        self, failures: Iterable[Failure] = (), *, describe: Callable[[NbpError], str] = str
    ) -> None:
        self._groups: dict[tuple[str, str], FailureGroup] = {}
        self._messages: dict[str, dict[str, None]] = {}
        self._describe = describe
        for failure in failures:
            self.add(failure)

    def __contains__(self, reason: str) -> bool:
        return reason in self._messages

    def add(self, failure: Failure) -> None:
        """Count one more failure."""
        reason = type(failure.error).__name__
        message = self._describe(failure.error)
        key = reason, self._same_message(reason, message)
        group = self._groups.get(key) or FailureGroup(reason=reason, count=0, message="")
        self._groups[key] = FailureGroup(
            reason=reason,
            count=group.count + 1,
            message=message,
            billed=group.billed + (failure.billing == "yes"),
            maybe_billed=group.maybe_billed + (failure.billing == "maybe"),
            spent=group.spent + failure.spent,
            maybe=group.maybe + failure.maybe_spent,
            indexes=(*group.indexes, failure.index)[:_MOST_INDEXES],
        )

    def _same_message(self, reason: str, message: str) -> str:
        known = self._messages.setdefault(reason, {})
        said = _WITH_DIGIT.sub("#", message)
        if said in known or len(known) < _MOST_MESSAGES:
            known[said] = None
            return said
        return next(reversed(known))

    def by_count(self) -> tuple[FailureGroup, ...]:
        """The most frequent first."""
        return tuple(sorted(self._groups.values(), key=lambda group: -group.count))


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a call is at one moment.

    Attributes:
        state: "running"; "stopping" while nothing more is sent and the rest is awaited; or how it
            ended: "done", "stopped" before all was sent, "cancelled", or "broken" by an error.
        total: Images that were asked for, or None while unknown.
        images: Prompts that ended with an image; `resumed` of these were made by earlier calls.
        failed: Prompts that ended without one; `reasons` groups them, the most frequent first.
        unsent: How many of these were never sent, because the call was stopped.
        in_flight: Requests in flight, or tasks that the vendor works on.
        spent: US dollars that this call has certainly cost.
        maybe: US dollars that may have been billed in addition.
        saved: US dollars that earlier calls had paid for the resumed images.
        elapsed: Seconds since it began.
        left: Seconds until it ends, as far as one can tell, or None.
        paused: Seconds for which the vendor asked everybody to wait, or 0.0.
        pause_reason: Class of the error that asked for it, or "".
        limit: How a limit that is learned changed last, as "64 → 72", or "".
        note: What stopped or broke it, or what to do meanwhile, or "".
    """

    state: ProgressState = "running"
    total: int | None = None
    images: int = 0
    resumed: int = 0
    failed: int = 0
    unsent: int = 0
    reasons: tuple[FailureGroup, ...] = ()
    in_flight: int = 0
    spent: Decimal = ZERO
    maybe: Decimal = ZERO
    saved: Decimal = ZERO
    elapsed: float = 0.0
    left: float | None = None
    paused: float = 0.0
    pause_reason: str = ""
    limit: str = ""
    note: str = ""

    @property
    def done(self) -> int:
        """Prompts that have ended, with an image or without."""
        return self.images + self.failed

    @property
    def ended(self) -> bool:
        """Nothing more comes."""
        return self.state not in ("running", "stopping")

    @property
    def not_sent(self) -> int:
        """Prompts without an outcome, if the total is known: once the call has ended, those that
        were never sent.
        """
        return max(0, (self.total or 0) - self.done)


def is_unsent(failure: Failure) -> bool:
    """It was never sent, because the call was stopped before."""
    return isinstance(failure.error, StoppedError) and not failure.attempts


def progress_of(outcomes: Iterable[Outcome], **known: Any) -> Progress:
    """Count outcomes; `known` are the fields of `Progress` that they do not tell."""
    counted = list(outcomes)
    images = [outcome for outcome in counted if isinstance(outcome, Image)]
    failures = [outcome for outcome in counted if isinstance(outcome, Failure)]
    return Progress(
        images=len(images),
        resumed=sum(image.resumed for image in images),
        failed=len(failures),
        unsent=sum(map(is_unsent, failures)),
        reasons=FailureGroups(failures).by_count(),
        spent=sum((outcome.spent for outcome in counted), ZERO),
        maybe=sum((outcome.maybe_spent for outcome in counted), ZERO),
        saved=sum((image.spent_earlier for image in images), ZERO),
        **known,
    )
