"""What was tried for one prompt so far, and how long it has to wait for its next attempt."""

import asyncio

from nbp_async._base.errors import NbpError, OverloadedError, RateLimitError, RefusedError
from nbp_async._flow.attempt import LiveAttempt
from nbp_async._pacing.retry import AttemptHistory


class RetryState:
    """The one place that counts attempts and waits.

    Attributes:
        history: What was tried, for the retry decision.
        backoff: Seconds to wait before the next attempt, and recorded with it.
        deadline: When no attempt may begin any more, on the loop's clock; None before the first
            slot, and where there is no deadline.
    """

    __slots__ = ("_throttled_at", "backoff", "deadline", "history")

    def __init__(self) -> None:
        self.history = AttemptHistory()
        self.backoff = 0.0
        self.deadline: float | None = None
        self._throttled_at: float | None = None

    def count(self, attempt: LiveAttempt, error: NbpError, span: float | None) -> None:
        """An attempt ended in `error`. The deadline is `span` seconds after the first slot.

        It counts from there, for queueing is not the prompt's fault.
        """
        ticket, before = attempt.ticket, self.history
        throttled_for = before.throttled_for
        if ticket is not None:
            if span is not None and self.deadline is None:
                self.deadline = ticket.at + span
            if self._throttled_at is not None:
                throttled_for += max(0.0, ticket.at - self._throttled_at)
                self._throttled_at = None
        sent = attempt.sent or isinstance(error, RefusedError)
        self.history = AttemptHistory(
            reached=before.reached + sent,
            connects=before.connects + (not sent),
            throttled=before.throttled + isinstance(error, RateLimitError | OverloadedError),
            throttled_for=throttled_for,
        )

    def throttle(self) -> None:
        """A 429 or 503 closed the gate: the wait for its next slot counts as throttled."""
        self._throttled_at = asyncio.get_running_loop().time()

    def can_wait(self, seconds: float) -> bool:
        """The deadline is later than that."""
        now = asyncio.get_running_loop().time()
        return self.deadline is None or now + seconds < self.deadline
