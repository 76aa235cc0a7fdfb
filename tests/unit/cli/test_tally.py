"""What became of a run, and the exit code that says it."""

from decimal import Decimal

import pytest

from nbp_async import (
    AuthError,
    CancelledAttemptError,
    ContentBlockedError,
    Failure,
    Outcome,
    Prompt,
    ReadTimeout,
    StoppedError,
)
from nbp_async.cli import codes
from nbp_async.cli.tally import Tally
from tests.unit.display.examples import failure, image

NOT_SENT = Failure(index=9, prompt=Prompt(text="a"), error=StoppedError("Stopped."))
BLOCKED = failure(ContentBlockedError("refused.", reason="IMAGE_SAFETY"), "yes")
LATE = failure(ReadTimeout("no answer within 300 s."), "maybe", index=16)
DROPPED = failure(CancelledAttemptError("Cancelled."), "maybe")
REFUSED = failure(AuthError("who are you?", status=401))
MADE = image("a.png")


def tally(*outcomes: Outcome, total: int = 2) -> Tally:
    counted = Tally(total)
    counted.add_all(outcomes)
    return counted


@pytest.mark.parametrize(
    ("outcomes", "stopped", "code"),
    [
        ([MADE, MADE], False, codes.ALL_MADE),
        ([MADE, MADE], True, codes.ALL_MADE),
        ([MADE, BLOCKED], False, codes.SOME_FAILED),
        ([MADE, LATE], False, codes.SOME_FAILED),
        ([MADE, REFUSED], False, codes.KEY),
        ([REFUSED, NOT_SENT], False, codes.KEY),
        ([MADE], True, codes.STOPPED),
        ([MADE, NOT_SENT], True, codes.STOPPED),
        ([MADE, DROPPED], True, codes.STOPPED),
        ([MADE], False, codes.SOME_FAILED),
    ],
)
def test_the_exit_code_says_how_it_ended(outcomes: list[Outcome], stopped: bool, code: int) -> None:
    assert tally(*outcomes).code(stopped=stopped) == code


def test_an_image_whose_first_attempt_may_have_been_billed_is_not_all_well() -> None:
    counted = tally(MADE, MADE)
    counted.maybe = Decimal("0.134")
    assert counted.code(stopped=False) == codes.SOME_FAILED


def test_the_end_is_told_in_numbers() -> None:
    lines = list(tally(MADE, LATE, BLOCKED, DROPPED, NOT_SENT, total=7).lines())
    assert lines[0] == "1 image · 2 failed · 3 not sent · $0.268 spent"
    assert lines[1].startswith("1 image dropped in flight")
    assert lines[2] == "May have been billed besides: $0.268."


def test_failures_are_told_by_reason_the_most_frequent_first() -> None:
    late, blocked = tally(BLOCKED, LATE, LATE).problems()
    assert late == "  2 × ReadTimeout (#17, #17; 2 may have been billed): no answer within 300 s."
    assert blocked.startswith("  1 × ContentBlockedError (#1; 1 billed): refused.")


def test_a_long_list_of_failures_stays_short() -> None:
    (line,) = tally(*[REFUSED] * 500).problems()
    assert line.startswith("  500 × AuthError (#1, ")
    assert ", …; not billed)" in line
    assert len(line) < 120
