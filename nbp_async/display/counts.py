"""Where a run stands, counted from what a listener hears. No terminal here."""

from decimal import Decimal

from nbp_async._events import AttemptEnded, AttemptStarted, GateClosed, GateOpened, Listener
from nbp_async._models import Image, Outcome


class Counts(Listener):
    """What is under way, what came of it, and what it cost so far.

    Args:
        total: Images that were asked for, or None if nobody knows.
        width: How many may be in flight at once.

    Attributes:
        in_flight: Requests that are out now; `peak` is the most there were.
        images: Prompts that brought an image.
        failed: Prompts that ended without one.
        spent: US dollars that were certainly charged.
        maybe: US dollars that may have been charged besides.
        stopping: Nothing more is sent; what is out is waited for. Set by whoever stops the run.
        pause: Why the vendor made everybody wait, or "" while it does not.
    """

    def __init__(self, total: int | None, width: int) -> None:
        self.total = total
        self.width = width
        self.in_flight = 0
        self.peak = 0
        self.images = 0
        self.failed = 0
        self.spent = Decimal(0)
        self.maybe = Decimal(0)
        self.stopping = False
        self.pause = ""
        self._ended = 0
        self._service = 0.0
        self._first_at: float | None = None
        self._last_at = 0.0

    def on_attempt_started(self, event: AttemptStarted) -> None:
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        if self._first_at is None:
            self._first_at = event.at

    def on_attempt(self, event: AttemptEnded) -> None:
        attempt = event.attempt
        self.in_flight = max(0, self.in_flight - 1)
        self._ended += 1
        self._service += attempt.timings.service
        self._last_at = attempt.timings.done
        if attempt.billing == "yes":
            self.spent += attempt.cost
        elif attempt.billing == "maybe":
            self.maybe += attempt.cost

    def on_outcome(self, outcome: Outcome) -> None:
        if isinstance(outcome, Image):
            self.images += 1
        else:
            self.failed += 1

    def on_gate(self, event: GateClosed | GateOpened) -> None:
        self.pause = event.reason if isinstance(event, GateClosed) else ""

    @property
    def done(self) -> int:
        """Prompts that have ended, one way or the other."""
        return self.images + self.failed

    @property
    def left(self) -> float | None:
        """Seconds until the last image when the latest attempt ended; see `left_at`."""
        return self.left_at(self._last_at)

    def left_at(self, now: float) -> float | None:
        """Seconds until the last image, or None while none has come: a refusal is quicker.

        Two guesses, and the longer one counts. What is left goes through the slots at the pace
        of the attempts so far: this is right from the first image on, when little has ended and
        much is half done. And the pace of the outcomes: this knows of rates, pauses and retries.
        """
        if self.total is None or not self._ended or not self.images or self._first_at is None:
            return None
        remaining = max(0, self.total - self.done)
        by_slots = remaining * self._service / self._ended / self.width
        begun = self.done + self.in_flight / 2  # on average half of the work on each is done
        by_pace = remaining * (now - self._first_at) / begun
        return max(by_slots, by_pace)
