"""Where a run stands, in words."""

from pathlib import Path
from typing import Any

import msgspec

from nbp_async import ContentBlockedError, ReadTimeout
from nbp_async._models.rows import Row, row_of
from nbp_async.display.run_summary import RunSummary, cost_of, state_of
from tests.unit.display.examples import failure, image

NOW = 1_800_000_000.0
BLOCKED = ContentBlockedError("no", reason="SAFETY")
UNCLEAR = row_of(failure(ReadTimeout("?"), "maybe", index=3, text="a\x1b[2Jcat"))
IMAGE = row_of(image("a.png"), "a.png")


def like(row: Row, **changes: Any) -> Row:
    return msgspec.structs.replace(row, **changes)


def facts(rows: list[Row], folder: Path) -> dict[str, str]:
    return dict(RunSummary(rows, folder).facts(NOW))


def test_an_empty_run_has_nothing_and_cost_nothing(tmp_path: Path) -> None:
    assert facts([], tmp_path) == {"images": "0 of 0", "spent": "$0.00"}
    assert not list(RunSummary([], tmp_path).unclear())


def test_files_that_are_not_there_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    rows = [IMAGE, like(IMAGE, path="b.png"), like(IMAGE, path="")]
    assert facts(rows, tmp_path)["images"] == "3 of 3, 1 file missing"


def test_failures_are_counted_by_reason_and_by_who_pays(tmp_path: Path) -> None:
    rows = [UNCLEAR, row_of(failure(BLOCKED, "yes")), UNCLEAR, row_of(failure(BLOCKED)), UNCLEAR]
    said = facts(rows, tmp_path)
    assert said["failed"] == "5: ReadTimeout × 3, ContentBlockedError × 2"
    assert said[""] == "1 billed, 3 may have been billed, 1 not billed"
    assert (said["spent"], said["may be spent"]) == ("$0.134", "$0.402 more")


def test_links_are_shown_with_the_time_they_have_left(tmp_path: Path) -> None:
    link = like(UNCLEAR, state="answered", url="https://x.test/a")
    assert facts([like(link, url_expires=None)], tmp_path)["still a link"] == (
        "1, paid; the vendor did not say how long the links live"
    )
    ends = [NOW - 1, NOW + 5 * 3600, NOW + 7 * 86400]
    rows = [like(link, url_expires=end) for end in ends]
    assert facts(rows, tmp_path)["still a link"] == (
        "3, paid; 1 should have ended, the links live for 5 h 0 m to 7 d 0 h"
    )
    assert facts(rows[:1], tmp_path)["still a link"] == "1, paid; 1 should have ended"


def test_what_is_out_and_what_was_not_sent_are_told_apart(tmp_path: Path) -> None:
    said = facts([like(UNCLEAR, state="armed"), like(UNCLEAR, state="planned")], tmp_path)
    assert said["in flight"].startswith("1: now, or when the run")
    assert said["not sent"] == "1"


def test_what_may_have_been_billed_is_named_and_steers_no_terminal(tmp_path: Path) -> None:
    rows = [UNCLEAR, like(IMAGE, maybe_usd=UNCLEAR.maybe_usd, index=11), IMAGE]
    lines = list(RunSummary(rows, tmp_path).unclear())
    assert lines == [" #4  $0.134  a [2Jcat", "#12  $0.134  a red bicycle"]


def test_no_more_than_twenty_are_named(tmp_path: Path) -> None:
    lines = list(RunSummary([UNCLEAR] * 1025, tmp_path).unclear())
    assert len(lines) == 21
    assert lines[-1] == "and 1,005 more"


def test_each_state_has_its_word() -> None:
    lost = row_of(failure(BLOCKED, "yes"))
    rows = [
        IMAGE,
        UNCLEAR,
        lost,
        row_of(failure(BLOCKED)),
        like(UNCLEAR, state="armed"),
        like(UNCLEAR, state="from the future"),
    ]
    assert [state_of(row) for row in rows] == [
        "image",
        "unclear",
        "lost",
        "failed",
        "in flight",
        "from the future",
    ]


def test_dollars_tell_what_is_certain_from_what_is_not() -> None:
    both = like(IMAGE, maybe_usd=UNCLEAR.maybe_usd)
    rows = [IMAGE, UNCLEAR, both, row_of(failure(BLOCKED))]
    assert [cost_of(row) for row in rows] == ["$0.134", "$0.134?", "$0.134 + $0.134?", ""]


def test_images_of_other_sizes_are_counted_by_how_they_differ(tmp_path: Path) -> None:
    assert "other pixels" not in facts([IMAGE], tmp_path)
    small = like(IMAGE, mismatch="asked for 2048x2048, got 1024x1024")
    wide = [like(IMAGE, mismatch=f"asked for 1x{n}, got 1x1") for n in (2, 3, 4)]
    assert facts([small, IMAGE, *wide, small], tmp_path)["other pixels"] == (
        "5: asked for 2048x2048, got 1024x1024 × 2; asked for 1x2, got 1x1 × 1; "
        "asked for 1x3, got 1x1 × 1; and 1 other way"
    )
