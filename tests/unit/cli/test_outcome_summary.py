"""What became of a run, and the exit code that says it."""

import pytest
from msgspec.structs import replace

from nbp_async import (
    AuthError,
    Batch,
    CancelledAttemptError,
    ContentBlockedError,
    Failure,
    Outcome,
    Prompt,
    ReadTimeout,
    StoppedError,
)
from nbp_async.cli import exit_codes
from nbp_async.cli.outcome_summary import OutcomeSummary
from tests.unit.display.examples import attempt, failure, image

NOT_SENT = Failure(index=9, prompt=Prompt(text="a"), error=StoppedError("Stopped."))
BLOCKED = failure(ContentBlockedError("refused.", reason="IMAGE_SAFETY"), "yes")
LATE = failure(ReadTimeout("no answer within 300 s."), "maybe", index=16)
DROPPED = failure(CancelledAttemptError("Cancelled."), "maybe")
REFUSED = failure(AuthError("who are you?", status=401))
MADE = image("a.png")


def summary(*outcomes: Outcome, total: int = 2) -> OutcomeSummary:
    return OutcomeSummary(Batch(outcomes), total)


@pytest.mark.parametrize(
    ("outcomes", "stopped", "code"),
    [
        ([MADE, MADE], False, exit_codes.ALL_MADE),
        ([MADE, MADE], True, exit_codes.ALL_MADE),
        ([MADE, BLOCKED], False, exit_codes.SOME_FAILED),
        ([MADE, LATE], False, exit_codes.SOME_FAILED),
        ([MADE, REFUSED], False, exit_codes.KEY),
        ([REFUSED, NOT_SENT], False, exit_codes.KEY),
        ([MADE], True, exit_codes.STOPPED),
        ([MADE, NOT_SENT], True, exit_codes.STOPPED),
        ([MADE, DROPPED], True, exit_codes.STOPPED),
        ([MADE], False, exit_codes.SOME_FAILED),
    ],
)
def test_the_exit_code_says_how_it_ended(outcomes: list[Outcome], stopped: bool, code: int) -> None:
    assert summary(*outcomes).exit_code(stopped=stopped) == code


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([MADE, MADE], exit_codes.ALL_MADE),
        ([MADE], exit_codes.UNFINISHED),
        ([MADE, NOT_SENT], exit_codes.UNFINISHED),
        ([MADE, DROPPED], exit_codes.SOME_FAILED),
        ([BLOCKED, NOT_SENT], exit_codes.SOME_FAILED),
    ],
)
def test_a_run_that_was_stopped_and_can_continue(outcomes: list[Outcome], code: int) -> None:
    assert summary(*outcomes).exit_code(stopped=True, durable=True) == code


def test_an_image_whose_first_attempt_may_have_been_billed_is_not_all_well() -> None:
    unclear = replace(MADE, attempts=(attempt("maybe"), attempt()))
    assert summary(MADE, unclear).exit_code(stopped=False) == exit_codes.SOME_FAILED


def test_the_end_is_told_in_numbers() -> None:
    lines = list(summary(MADE, LATE, BLOCKED, DROPPED, NOT_SENT, total=7).lines(durable=False))
    assert lines[0] == "1 image · 2 failed · 3 not sent · $0.268 spent"
    assert lines[1].startswith("1 image dropped in flight")
    assert lines[2] == "May have been billed in addition: $0.268."


def test_failures_are_told_by_reason_the_most_frequent_first() -> None:
    late, blocked = summary(BLOCKED, LATE, LATE).failure_lines()
    assert late == "  2 × ReadTimeout (#17, #17; 2 may have been billed): no answer within 300 s."
    assert blocked.startswith("  1 × ContentBlockedError (#1; 1 billed): refused.")


def test_a_long_list_of_failures_stays_short() -> None:
    (line,) = summary(*[REFUSED] * 500).failure_lines()
    assert line.startswith("  500 × AuthError (#1, ")
    assert ", …; not billed)" in line
    assert len(line) < 120


def test_images_of_other_sizes_are_told() -> None:
    small = replace(MADE, mismatch="asked for 2048x2048, got 1024x1024")
    said = list(summary(MADE, small).lines(durable=False))
    assert "1 image has other pixels than requested: asked for 2048x2048" in " ".join(said)
    assert "other pixels" not in " ".join(summary(MADE, MADE).lines(durable=False))
