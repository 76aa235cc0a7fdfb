"""The bar that a notebook shows: one piece of HTML, whatever it is told."""

from decimal import Decimal
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbp_async.display.progress import FailureGroup, Progress, ProgressState
from nbp_async.display.progress_html import Thumbnail, plan_html, progress_html
from nbp_async.display.progress_text import progress_text

EVIL = '<script>alert(1)</script><img src=x onerror="alert(2)"> & "quotes" \u202e\x1b[31m'
SAFE = {"div", "b", "span", "ul", "li", "img"}


class Tags(HTMLParser):
    """The elements of a page, with their attributes, and its text; they must all be closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag != "img":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def group(name: str = "ServerError", count: int = 1, message: str = "no") -> FailureGroup:
    return FailureGroup(reason=name, count=count, message=message, maybe=Decimal("0.15"))


def test_it_says_how_far_it_is_and_what_it_costs() -> None:
    now = Progress(
        total=300,
        images=129,
        failed=2,
        in_flight=60,
        spent=Decimal("17.29"),
        maybe=Decimal("0.27"),
        elapsed=400.0,
        left=480.0,
    )
    assert progress_text(now) == (
        "131 of 300 · 60 in flight · 2 failed · $17.29 · perhaps $0.27 more · 6 m 40 s so far · "
        "about 8 m 0 s left"
    )
    tags = Tags(progress_html(now))
    (bar,) = [attrs for _, attrs in tags.found if attrs.get("role") == "progressbar"]
    assert (bar["aria-valuemin"], bar["aria-valuenow"], bar["aria-valuemax"]) == ("0", "131", "300")
    assert "131 of 300, 60 in flight" in str(bar["aria-valuetext"])
    assert "131 of 300" in tags.words


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("done", "250 images"),
        ("stopped", "Stopped: 250 images · 50 not sent"),
        ("cancelled", "Cancelled: 250 images · 50 not sent"),
        ("broken", "Ended by an error: 250 images · 50 not sent"),
    ],
)
def test_it_says_how_it_ended(state: ProgressState, words: str) -> None:
    text = progress_text(Progress(state=state, total=300, images=250, in_flight=4, left=9.0))
    assert text.startswith(words)
    assert "in flight" not in text
    assert "left" not in text


def test_while_it_stops_it_says_what_is_waited_for() -> None:
    now = Progress(state="stopping", total=50, images=3, in_flight=4)
    assert "nothing more is sent; 4 requests" in progress_text(now)
    assert "nothing more is sent; 4 requests" in Tags(progress_html(now)).words


def test_of_an_unknown_number_it_shows_what_is_known() -> None:
    tags = Tags(progress_html(Progress(images=7)))
    (bar,) = [attrs for _, attrs in tags.found if attrs.get("role") == "progressbar"]
    assert "aria-valuenow" not in bar
    assert "7 done" in tags.words


def test_reasons_beyond_the_fifth_are_counted_together() -> None:
    reasons = tuple(group(f"Kind{n}Error", 9 - n) for n in range(8))
    words = Tags(progress_html(Progress(total=100, failed=44, reasons=reasons))).words
    assert "Kind4Error × 5" in words
    assert "Kind5Error" not in words
    assert "and 9 more, of 3 other kinds" in words


def test_text_from_outside_stays_text() -> None:
    now = Progress(
        total=2, images=1, failed=1, reasons=(group(message=EVIL),), state="broken", note=EVIL
    )
    html = progress_html(now, [Thumbnail("data:image/jpeg;base64,AAAA", 0, EVIL)])
    tags = Tags(html + plan_html(EVIL, [EVIL, EVIL], EVIL))
    assert {tag for tag, _ in tags.found} <= SAFE
    assert not [name for _, attrs in tags.found for name in attrs if name.startswith("on")]
    assert "<script>alert(1)" in tags.words
    assert "\u202e" not in tags.words
    (picture,) = [attrs for tag, attrs in tags.found if tag == "img"]
    assert str(picture["alt"]).startswith("Image 1: <script>")


@given(st.text(), st.text(), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_whatever_it_is_told_its_elements_are_its_own(
    message: str, note: str, images: int, failed: int, total: int
) -> None:
    now = Progress(
        state="broken",
        total=total,
        images=images,
        failed=failed,
        note=note,
        reasons=(group(message=message),),
    )
    tags = Tags(progress_html(now))
    assert {tag for tag, _ in tags.found} <= SAFE
    assert len(tags.found) < 20


def test_a_plan_says_first_what_matters_most() -> None:
    words = Tags(plan_html("many(3 prompts)", ["3 images", "at least 100 s"], "not sent yet")).words
    assert words == "many(3 prompts)3 imagesat least 100 snot sent yet"
