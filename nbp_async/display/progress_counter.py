"""Counts the progress of a call from what a listener hears. No terminal and no notebook here."""

from nbp_async._models.events import (
    AttemptEnded,
    AttemptStarted,
    GateClosed,
    GateOpened,
    LimitChanged,
    Listener,
)
from nbp_async._models.outcomes import ZERO, Failure, Outcome
from nbp_async.display.progress import FailureGroups, Progress, is_unsent


class ProgressCounter(Listener):
    """Counts what is in flight, what came of it, and what it cost so far.

    Args:
        total: Images that were asked for, or None while unknown.
        max_in_flight: How many requests may be in flight at once.

    Attributes:
        peak: The most that were in flight at once.
        stopping: Nothing more is sent. Set by whoever stops the run.
        note: What is done before the first request; gone with it.
    """

    def __init__(self, total: int | None, max_in_flight: int) -> None:
        self.total = total
        self.max_in_flight = max_in_flight
        self.in_flight = 0
        self.peak = 0
        self.images = 0
        self.resumed = 0
        self.failed = 0
        self.unsent = 0
        self.spent = ZERO
        self.maybe = ZERO
        self.saved = ZERO
        self.failures = FailureGroups()
        self.stopping = False
        self.pause_reason = ""
        self.note = ""
        self._pause = 0.0
        self._limit = ""
        self._attempts = 0
        self._service = 0.0
        self._first_at: float | None = None
        self._last_at = 0.0

    def on_attempt_started(self, event: AttemptStarted) -> None:
        self.in_flight += 1
        self.note = ""
        self.peak = max(self.peak, self.in_flight)
        if self._first_at is None:
            self._first_at = event.at

    def on_attempt(self, event: AttemptEnded) -> None:
        attempt = event.attempt
        self.in_flight = max(0, self.in_flight - 1)
        self._attempts += 1
        self._service += attempt.timings.service
        self._last_at = attempt.timings.done
        if attempt.billing == "yes":
            self.spent += attempt.cost
        elif attempt.billing == "maybe":
            self.maybe += attempt.cost

    def on_outcome(self, outcome: Outcome) -> None:
        self.note = ""
        if isinstance(outcome, Failure):
            self.failed += 1
            self.unsent += is_unsent(outcome)
            self.failures.add(outcome)
            return
        self.images += 1
        if outcome.resumed:
            self.resumed += 1
            self.saved += outcome.spent_earlier

    def on_gate(self, event: GateClosed | GateOpened) -> None:
        if isinstance(event, GateClosed):
            where = f" at {event.account}" if event.account else ""
            self.pause_reason, self._pause = event.reason + where, event.delay
        else:
            self.pause_reason, self._pause = "", 0.0

    def on_limit(self, event: LimitChanged) -> None:
        known = f" (the last run held {event.known:,})" if event.known else ""
        self._limit = f"{event.before} → {event.limit}{known}"
        if event.account:
            self._limit = f"{event.account} {self._limit}"
            self.max_in_flight = max(1, self.max_in_flight + event.limit - event.before)
        else:
            self.max_in_flight = event.limit

    @property
    def progress(self) -> Progress:
        """How far the call was when the latest attempt ended. No clock is read."""
        return Progress(
            state="stopping" if self.stopping else "running",
            total=self.total,
            images=self.images,
            resumed=self.resumed,
            failed=self.failed,
            unsent=self.unsent,
            reasons=self.failures.by_count(),
            in_flight=self.in_flight,
            spent=self.spent,
            maybe=self.maybe,
            saved=self.saved,
            left=self.left_at(self._last_at),
            paused=self._pause,
            pause_reason=self.pause_reason,
            note=self.note,
            limit=self._limit,
        )

    def left_at(self, now: float) -> float | None:
        """Seconds until the last image, or None before the first: refusals are quicker.

        The longer of two estimates. One sends the rest through the slots at the pace of the
        attempts so far: it is right from the first image on, when little has ended and much is
        half done. The other takes the pace of the outcomes: it knows of rates, pauses and retries.
        """
        if self.total is None or not self._attempts or not self.images or self._first_at is None:
            return None
        remaining = max(0, self.total - self.images - self.failed)
        by_slots = remaining * self._service / self._attempts / self.max_in_flight
        begun = self.images + self.failed + self.in_flight / 2  # each in flight is half done
        by_pace = remaining * (now - self._first_at) / begun
        return max(by_slots, by_pace)
