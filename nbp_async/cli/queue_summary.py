"""What one process made of a run's queue, in memory that does not grow with it."""

from collections.abc import Iterator
from decimal import Decimal

import msgspec

from nbp_async import AuthError, CancelledAttemptError, Failure, Listener, Outcome, QueueCounts
from nbp_async.cli import exit_codes
from nbp_async.cli.error_text import error_text
from nbp_async.display.formats import format_dollars, plural
from nbp_async.display.progress import FailureGroups, is_unsent
from nbp_async.display.progress_text import failures_text


class QueueSummary(Listener):
    """Counts outcomes as they come; what was only drawn is in the queue again, and no outcome."""

    def __init__(self) -> None:
        self._images = 0
        self._failed = 0
        self._cancelled = 0
        self._spent = Decimal(0)
        self._maybe = Decimal(0)
        self._key_refused = False
        self._failures = FailureGroups(describe=error_text)

    def on_outcome(self, outcome: Outcome) -> None:
        """Count it."""
        self._spent += outcome.spent
        self._maybe += outcome.maybe_spent
        if not isinstance(outcome, Failure):
            self._images += 1
        elif isinstance(outcome.error, CancelledAttemptError):
            self._cancelled += 1
        elif not is_unsent(outcome):
            self._failed += 1
            self._key_refused |= isinstance(outcome.error, AuthError)
            # People are told an index plus one, and a ticket by its number.
            self._failures.add(msgspec.structs.replace(outcome, index=outcome.index - 1))

    def exit_code(self, queue: QueueCounts, *, stopped: bool) -> int:
        """The exit code of the command, which leaves the queue so."""
        if self._key_refused:
            return exit_codes.KEY
        if self._failed or self._cancelled or self._maybe:
            return exit_codes.SOME_FAILED
        return exit_codes.UNFINISHED if stopped and queue.ready else exit_codes.ALL_MADE

    def lines(self, queue: QueueCounts) -> Iterator[str]:
        """What was made, what it cost, and what is left in the queue."""
        parts = [plural(self._images, "image")]
        parts += [f"{self._failed:,} failed"] if self._failed else []
        yield " · ".join([*parts, f"{format_dollars(self._spent)} spent"])
        if self._cancelled:
            cancelled = plural(self._cancelled, "image")
            yield f"{cancelled} cancelled in flight: the vendor may still make and bill them."
        if self._maybe:
            yield f"May have been billed in addition: {format_dollars(self._maybe)}."
        for group in self._failures.by_count():
            yield f"  {failures_text(group)}"
        left = [
            f"{count:,} {state}"
            for count, state in (
                (queue.ready, "queued"),
                (queue.later, "queued for later"),
                (queue.working, "with other processes"),
            )
            if count
        ]
        yield f"In the run: {' · '.join(left)}." if left else "The queue is empty."
