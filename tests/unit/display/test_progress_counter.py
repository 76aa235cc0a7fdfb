"""What a listener counts."""

from decimal import Decimal

import pytest

from nbp_async import Job, Prompt, RateLimitError
from nbp_async._base.http import Billing
from nbp_async._models.events import (
    AttemptEnded,
    AttemptStarted,
    GateClosed,
    GateOpened,
    LimitChanged,
)
from nbp_async._vendors.sizes import Canvas
from nbp_async.display.progress_counter import ProgressCounter
from tests.unit.display.examples import attempt, failure, image

JOB = Job(0, Prompt(text="a"), 0, "m", Canvas("1K", None, None), Decimal("0.134"), Decimal("0.15"))


def start(counts: ProgressCounter, at: float = 100.0) -> None:
    counts.on_attempt_started(AttemptStarted(job=JOB, number=1, at=at))


def end(
    counts: ProgressCounter, billing: Billing = "yes", begun: float = 100.0, took: float = 40
) -> None:
    counts.on_attempt(AttemptEnded(job=JOB, attempt=attempt(billing, begun=begun, took=took)))


def test_what_is_in_flight_goes_up_and_down_and_its_peak_stays() -> None:
    counts = ProgressCounter(10, 5)
    for _ in range(3):
        start(counts)
    end(counts)
    end(counts)
    assert (counts.in_flight, counts.peak) == (1, 3)


def test_images_and_failures_are_counted_apart() -> None:
    counts = ProgressCounter(10, 5)
    counts.on_outcome(image("a.png"))
    counts.on_outcome(image("b.png"))
    counts.on_outcome(failure(RateLimitError("no", status=429)))
    assert (counts.images, counts.failed, counts.progress.done) == (2, 1, 3)


def test_what_is_spent_and_what_may_be_are_counted_apart() -> None:
    counts = ProgressCounter(10, 5)
    bills: tuple[Billing, ...] = ("yes", "yes", "maybe", "no")
    for billing in bills:
        start(counts)
        end(counts, billing)
    assert (counts.spent, counts.maybe) == (Decimal("0.268"), Decimal("0.134"))


def test_a_closed_gate_is_named_until_it_opens() -> None:
    counts = ProgressCounter(10, 5)
    counts.on_gate(GateClosed(delay=20, reason="RateLimitError"))
    assert counts.progress.pause_reason == "RateLimitError"
    counts.on_gate(GateOpened(admitted=1))
    assert counts.progress.pause_reason == ""


def test_nothing_is_guessed_before_something_has_ended() -> None:
    counts = ProgressCounter(10, 5)
    start(counts)
    assert counts.progress.left is None


def test_a_refusal_tells_nothing_of_how_long_an_image_takes() -> None:
    counts = ProgressCounter(10, 5)
    start(counts)
    end(counts, "no", took=0.01)
    counts.on_outcome(failure(RateLimitError("no", status=429)))
    assert counts.progress.left is None


def test_what_is_left_goes_through_the_slots_at_the_pace_so_far() -> None:
    """One of 200 ended after 40 s, 50 at a time: 199 more of 40 s through 50 slots."""
    counts = ProgressCounter(200, 50)
    for _ in range(50):
        start(counts)
    end(counts)
    counts.on_outcome(image("a.png"))
    by_pace = 199 * 40 / (1 + 49 / 2)
    assert counts.progress.left == pytest.approx(max(199 * 40 / 50, by_pace))


def test_a_rate_that_holds_everything_up_is_in_the_guess() -> None:
    """Ten images, one every 60 s though each takes 1 s: the slots alone would promise 18 s."""
    counts = ProgressCounter(100, 5)
    for place in range(10):
        start(counts, 100.0 + 60 * place)
        end(counts, begun=100.0 + 60 * place, took=1)
        counts.on_outcome(image("a.png"))
    assert counts.progress.left == pytest.approx(90 * 541 / 10)


def test_a_learned_limit_says_what_the_last_run_held() -> None:
    counts = ProgressCounter(1000, 1000)
    counts.on_limit(LimitChanged(8, 12, "accepted"))
    assert counts.progress.limit == "8 → 12"
    counts.on_limit(LimitChanged(8, 600, "remembered", known=1200))
    assert counts.progress.limit == "8 → 600 (the last run held 1,200)"
    assert counts.max_in_flight == 600
