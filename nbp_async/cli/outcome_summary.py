"""What became of a call: the lines of its summary, and its exit code."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

from nbp_async import AuthError, Batch, CancelledAttemptError, Failure
from nbp_async.cli import exit_codes
from nbp_async.cli.error_text import error_text
from nbp_async.display.formats import format_dollars, plural
from nbp_async.display.progress import FailureGroups, is_unsent, progress_of
from nbp_async.display.progress_text import failures_text
from nbp_async.display.run_summary import commonest


class OutcomeSummary:
    """Sums up a call that has ended.

    Args:
        batch: Its outcomes.
        total: Images that it was asked for.

    Attributes:
        progress: Counts and dollars of all outcomes.
        failures: Failures that ended by themselves: neither dropped in flight nor never sent.
        dropped: Requests that the user dropped while they were in flight.
    """

    def __init__(self, batch: Batch, total: int) -> None:
        self.progress = progress_of(batch, total=total)
        self.failures = [failure for failure in batch.failures if _has_failed(failure)]
        self.dropped = sum(isinstance(f.error, CancelledAttemptError) for f in batch.failures)
        self._mismatches = Counter(image.mismatch for image in batch.images if image.mismatch)
        self._saved_by_batch = sum((outcome.reduced for outcome in batch), Decimal(0))
        self._kept = sum(1 for image in batch.images if image.links)
        self._hint = batch.hint

    @property
    def not_sent(self) -> int:
        """Prompts that were never sent, because the run was stopped before."""
        ended = self.progress.images + len(self.failures) + self.dropped
        return max(0, (self.progress.total or 0) - ended)

    @property
    def all_made(self) -> bool:
        """Every image was made, and no request is unclear."""
        return not (self.failures or self.dropped or self.not_sent or self.progress.maybe)

    def exit_code(self, *, stopped: bool, durable: bool = False) -> int:
        """The exit code of the command.

        A run that was stopped before its end, and can be continued, has a code of its own if
        everything that it sent is clear.
        """
        unclear = self.failures or self.dropped or self.progress.maybe
        if stopped and durable and not unclear:
            return exit_codes.UNFINISHED if self.not_sent else exit_codes.ALL_MADE
        if stopped and not durable and (self.dropped or self.not_sent):
            return exit_codes.STOPPED
        if any(isinstance(failure.error, AuthError) for failure in self.failures):
            return exit_codes.KEY
        return exit_codes.ALL_MADE if self.all_made else exit_codes.SOME_FAILED

    def lines(self, *, durable: bool) -> Iterator[str]:
        """The summary, and what to do next; `durable`: the same command continues the run."""
        now = self.progress
        parts = [plural(now.images, "image")]
        parts += [f"{len(self.failures):,} failed"] if self.failures else []
        parts += [f"{self.not_sent:,} not sent"] if self.not_sent else []
        yield " · ".join([*parts, f"{format_dollars(now.spent)} spent"])
        if count := self._mismatches.total():
            others = "image has" if count == 1 else "images have"
            yield f"{count:,} {others} other pixels than requested: {commonest(self._mismatches)}."
        if now.resumed:
            was = "was" if now.resumed == 1 else "were"
            saved = format_dollars(now.saved)
            yield f"{plural(now.resumed, 'image')} {was} there already: {saved} saved."
        if self._saved_by_batch:
            saved = format_dollars(self._saved_by_batch)
            yield f"The batch API saved {saved}, compared with held calls."
        if self.dropped:
            dropped = plural(self.dropped, "image")
            yield f"{dropped} dropped in flight: the vendor may still make and bill them."
        if now.maybe:
            yield f"May have been billed in addition: {format_dollars(now.maybe)}."
        yield from self.failure_lines()
        if durable:
            yield from self._next_steps()

    def failure_lines(self) -> Iterator[str]:
        """One line for each kind of failure, the most frequent first."""
        for group in FailureGroups(self.failures, describe=error_text).by_count():
            yield f"  {failures_text(group)}"
        if self._hint:
            yield self._hint

    def _next_steps(self) -> Iterator[str]:
        if self._kept:
            yield f"{plural(self._kept, 'image')} kept as links: nbp fetch downloads what you need."
        if self.not_sent:
            yield "Run the same command again to continue."
        if self.progress.maybe:
            yield (
                "Images that may have been billed are not sent again, unless you add "
                "--resend-ambiguous, and --max-cost with the dollars that the whole run may cost."
            )


def _has_failed(failure: Failure) -> bool:
    if isinstance(failure.error, CancelledAttemptError):
        return False
    return not is_unsent(failure)
