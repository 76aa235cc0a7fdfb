"""Where one call stands, as a value: what a bar shows and what `Running.progress` gives."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Literal

import msgspec

from nbp_async._models import ZERO, Failure

State = Literal["running", "stopping", "done", "stopped", "cancelled", "broken"]
_MOST_PLACES = 10


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Failures of one kind.

    Attributes:
        name: Class of their errors.
        count: How many there are.
        message: What the latest of them says.
        spent: US dollars that they certainly cost.
        maybe: US dollars that they may have cost besides.
        places: Where the first ten of them are in the batch.
    """

    name: str
    count: int
    message: str
    spent: Decimal = ZERO
    maybe: Decimal = ZERO
    places: tuple[int, ...] = ()


class Reasons:
    """Failures, sorted by their kind."""

    def __init__(self, failures: Iterable[Failure] = ()) -> None:
        self._known: dict[str, Reason] = {}
        for failure in failures:
            self.add(failure)

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def add(self, failure: Failure) -> None:
        """Add it to those that failed for the same reason."""
        name = type(failure.error).__name__
        before = self._known.get(name) or Reason(name=name, count=0, message="")
        self._known[name] = Reason(
            name=name,
            count=before.count + 1,
            message=str(failure.error),
            spent=before.spent + failure.spent,
            maybe=before.maybe + failure.maybe_spent,
            places=(*before.places, failure.index)[:_MOST_PLACES],
        )

    def listed(self) -> tuple[Reason, ...]:
        """The most frequent first."""
        return tuple(sorted(self._known.values(), key=lambda reason: -reason.count))


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Where a call stands at one moment.

    Attributes:
        state: "running"; "stopping" while what is paid for is waited for; or how it ended: "done",
            "stopped" before all was sent, "cancelled", or "broken" by an error.
        total: Images that were asked for, or None if nobody knows.
        images: Prompts that brought an image; of these `there` were made by earlier calls.
        failed: Prompts that ended without one; `reasons` says why, the most frequent first.
        in_flight: Requests that are out, or tasks that the vendor works on.
        spent: US dollars that this call has certainly cost.
        maybe: US dollars that may have been billed besides.
        saved: US dollars that earlier calls had paid for what was there.
        elapsed: Seconds since it began.
        left: Seconds until its end, as far as one can tell; None while nobody can.
        paused: Seconds that the vendor makes everybody wait, or 0.0.
        why: What stopped or broke it, or what to do meanwhile, or "".
    """

    state: State = "running"
    total: int | None = None
    images: int = 0
    there: int = 0
    failed: int = 0
    reasons: tuple[Reason, ...] = ()
    in_flight: int = 0
    spent: Decimal = ZERO
    maybe: Decimal = ZERO
    saved: Decimal = ZERO
    elapsed: float = 0.0
    left: float | None = None
    paused: float = 0.0
    why: str = ""

    @property
    def done(self) -> int:
        """Prompts that have ended, one way or the other."""
        return self.images + self.failed

    @property
    def ended(self) -> bool:
        """Nothing more comes."""
        return self.state not in ("running", "stopping")

    @property
    def not_sent(self) -> int:
        """Prompts that have no outcome, where it is known how many there are: none was sent once
        the call has ended.
        """
        return max(0, (self.total or 0) - self.done)
