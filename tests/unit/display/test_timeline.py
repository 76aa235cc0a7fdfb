"""The timeline of a batch: one lane for each request in flight, told in words too, and light."""

import random
import re
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from nbp_async import Attempt, Batch, ConfigError, Outcome, ReadTimeout, Timings
from nbp_async._base.http import Billing
from nbp_async.display.svg import text_width
from tests.unit.display.examples import failure, image

PRICE = Decimal("0.134")
EVIL = "<script>alert(\"1\")</script> & 'more' "


def tried(number: int, billing: Billing, *moments: float | None, error: str = "") -> Attempt:
    """An attempt by when it was queued, connecting, sent, answering and done."""
    queued, connecting, sent, first_byte, done = moments
    assert queued is not None
    assert done is not None
    return Attempt(
        number, billing, PRICE, Timings(queued, done, connecting, sent, first_byte), error=error
    )


def made(index: int, *attempts: Attempt) -> Outcome:
    return replace(image("a.png", index=index), attempts=attempts)


def lost(index: int, *attempts: Attempt) -> Outcome:
    return replace(failure(ReadTimeout("no answer"), index=index), attempts=attempts)


SMALL = Batch(
    [
        made(0, tried(1, "yes", 1000, 1000, 1001, 1040, 1042)),
        made(
            1,
            tried(1, "no", 1000, 1000, 1001, None, 1003, error=f"RateLimitError: {EVIL}"),
            tried(2, "yes", 1003, 1010, 1010, 1050, 1051),
        ),
        lost(2, tried(1, "maybe", 1000, 1042, 1042, None, 1100, error="ReadTimeout: no answer")),
    ]
)


def crowd(images: int, slots: int) -> Batch:
    """Through so many slots; one of twelve requests is refused at first, one of thirty is lost."""
    rng, free, outcomes = random.Random(3), [0.0] * slots, list[Outcome]()
    for n in range(images):
        slot = min(range(slots), key=free.__getitem__)
        at, attempts, chance = free[slot], [], rng.random()
        if chance < 0.08:
            attempts.append(tried(1, "no", at, at, at + 0.3, None, at + 3, error=f"E: {EVIL * 9}"))
            at += 3
        first = at + rng.uniform(30, 150)
        done = first + rng.uniform(0.5, 8)
        if chance > 0.97:
            attempts.append(tried(2, "maybe", at, at + 1, at + 1.3, None, first, error="E: lost"))
            outcomes.append(lost(n, *attempts))
        else:
            attempts.append(tried(2, "yes", at, at + 1, at + 1.3, first, done))
            outcomes.append(made(n, *attempts))
        free[slot] = done
    return Batch(outcomes)


def test_it_says_in_words_what_it_shows() -> None:
    timeline = SMALL.timeline()
    assert repr(timeline) == (
        "Timeline(4 requests, 2 in flight at most, 1 m 40 s, 1 tried again, 1 failed)"
    )
    html = timeline._repr_html_()
    for words in (
        "<b>4 requests</b>",
        "waiting to be sent",
        "connecting",
        "sent, until the first byte",
        "receiving",
        "tried again",
        "failed",
        "seconds",
        "Image 1: waiting to be sent 0.0 s, connecting 1.0 s, sent, until the first byte 39 s",
        "Image 2, attempt 1: ",
        "RateLimitError: &lt;script&gt;",
        "(not billed)",
        "ReadTimeout: no answer (may have been billed: $0.134)",
        "<td style",
    ):
        assert words in html
    assert "<script" not in html


def test_the_table_has_the_median_and_the_longest_of_each_stage() -> None:
    html = SMALL.timeline()._repr_html_()
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", html)
    assert [cells[n : n + 3] for n in range(0, len(cells), 3)] == [
        ["waiting to be sent", "3.5 s", "42 s"],
        ["connecting", "0.5 s", "1.0 s"],
        ["sent, until the first byte", "40 s", "58 s"],
        ["receiving", "1.5 s", "2.0 s"],
    ]


@pytest.mark.parametrize(
    ("images", "slots", "one_by_one"),
    [(1, 1, True), (300, 60, True), (2000, 100, True), (3000, 400, False), (9000, 100, False)],
)
def test_thousands_of_requests_stay_small_and_well_formed(
    images: int, slots: int, one_by_one: bool
) -> None:
    timeline = crowd(images, slots).timeline()
    html = timeline._repr_html_()
    assert len(html.encode()) < 300_000
    assert ("Too many to be drawn one by one" in html) != one_by_one
    assert ("Point at a bar" in html) == (images <= 300)
    ElementTree.fromstring(html)
    root = ElementTree.fromstring(timeline._repr_svg_())
    assert root.get("role") == "img"
    assert f"{slots} in flight at most" in root.get("aria-label", "")


def test_a_storm_of_refusals_stays_small() -> None:
    """Each is narrower than a pixel, and none of them is left out."""
    storm = [tried(n, "no", n, n, n, None, n + 0.01, error="E: 429") for n in range(20_000)]
    html = Batch([lost(0, *storm)]).timeline()._repr_html_()
    assert len(html.encode()) < 300_000
    assert "19,999 tried again" in html


def test_what_was_never_sent_and_what_was_there_is_counted_and_not_drawn() -> None:
    there = replace(image("a.png", index=1), attempts=(), earlier=(tried(1, "yes", 1, 1, 1, 1, 9),))
    unsent = lost(2, tried(1, "no", 1000, None, None, None, 1009, error="StoppedError: stopped"))
    mixed = Batch([*SMALL, there, unsent]).timeline()
    assert repr(mixed).endswith("1 failed, 1 ended unsent, 1 there already)")
    assert repr(Batch([there]).timeline()) == "Timeline(No request was sent, 1 there already)"
    assert "<svg" not in Batch([]).timeline()._repr_html_()
    ElementTree.fromstring(Batch([]).timeline()._repr_svg_())


def test_a_line_of_a_batch_job_is_with_the_vendor_all_the_time() -> None:
    line = made(0, tried(1, "yes", 0, None, None, None, 36_000))
    html = Batch([line]).timeline()._repr_html_()
    assert "Image 1: sent, until the first byte 10 h 0 m" in html
    assert ">hours</text>" in html


def test_it_is_saved_as_a_picture_or_as_a_page(tmp_path: Path) -> None:
    timeline = SMALL.timeline()
    svg = timeline.save(tmp_path / "t.svg")
    assert svg == tmp_path / "t.svg"
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")
    page = timeline.save(str(tmp_path / "t.HTML")).read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert "<table" in page
    with pytest.raises(ConfigError, match=r"'t\.png'.*\.svg or \.html"):
        timeline.save(tmp_path / "t.png")
    assert not (tmp_path / "t.png").exists()


@pytest.mark.parametrize("end", [100.0, 250.0, 36_000.0])
def test_the_last_number_of_the_time_axis_is_not_cut(end: float) -> None:
    svg = Batch([made(0, tried(1, "yes", 0, 0, 1, 2, end))]).timeline()._repr_svg_()
    texts = re.findall(r'<text x="([\d.]+)" y="[\d.]+" class="tick middle"[^>]*>([^<]*)<', svg)
    assert texts
    assert all(float(x) + text_width(words) / 2 <= 760 for x, words in texts)
