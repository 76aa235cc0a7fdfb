"""A batch in a notebook: some small pictures, what failed, and the bill; never the originals."""

import asyncio
import sys
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from PIL import Image as Pixels

from nbp_async import Batch, ContentBlockedError, Image, Outcome, ReadTimeout, StoppedError
from nbp_async.display import screen as screens
from nbp_async.display.batch_view import MOST_SHOWN, BatchView
from nbp_async.display.progress import Progress
from tests.unit.display.examples import attempt, failure, image
from tests.unit.display.test_live_display import Wall

EVIL = "<script>alert(\"1\")</script> & 'more' " * 20


def pictured(folder: Path, n: int, text: str = "a red bicycle") -> Image:
    path = folder / f"{n}.png"
    if not path.exists():
        Pixels.effect_noise((256, 128), 90).convert("RGB").save(path)
    return image(path, index=n, text=text)


def test_a_batch_shows_pictures_the_bill_and_reasons(tmp_path: Path) -> None:
    outcomes: list[Outcome] = [pictured(tmp_path, n) for n in range(3)]
    outcomes += [
        failure(ContentBlockedError(EVIL, reason="SAFETY"), "yes", index=n) for n in (3, 5)
    ]
    outcomes += [failure(ReadTimeout("no answer"), "maybe", index=4)]
    html = Batch(outcomes, elapsed=167.0)._repr_html_()
    assert html.count("<img ") == 3
    for words in (
        "<b>3 images</b>",
        "3 failed",
        "$0.67",
        "perhaps $0.134 more",
        "2 m 47 s",
        "ContentBlockedError × 2",
        "$0.268 billed",
        "Images 4, 6",
        "ReadTimeout × 1",
        "$0.134 may have been billed",
        "Image 5",
        "Image 3 is batch[2].",
        'alt="Image 1: a red bicycle"',
    ):
        assert words in html
    assert "<script" not in html


def test_thousands_of_images_and_of_reasons_stay_small(tmp_path: Path) -> None:
    """The worst of texts, and pictures that do not get small: under 300 kB all the same."""
    pictured(tmp_path, 0)
    outcomes: list[Outcome] = [replace(pictured(tmp_path, 0, EVIL), index=n) for n in range(2000)]
    kinds = [type(f"Kind{n}Error", (ReadTimeout,), {}) for n in range(40)]
    outcomes += [failure(kinds[n % 40](EVIL), "maybe", index=2000 + n) for n in range(2000)]
    html = Batch(outcomes)._repr_html_()
    assert len(html.encode()) < 300_000
    assert html.count("<img ") == MOST_SHOWN
    assert f"{2000 - MOST_SHOWN:,} more images are in batch.images" in html
    assert "more, of 35 other kinds" in html


def test_pictures_end_where_their_room_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = "data:image/jpeg;base64," + "A" * 90_000
    monkeypatch.setattr("nbp_async.display.batch_view.thumbnail", lambda *_: big)
    html = Batch([image("a.png", index=n) for n in range(9)])._repr_html_()
    assert html.count("<img ") == 2
    assert html.count("<figure ") == 9


def test_images_without_a_picture_are_named_with_the_reason(tmp_path: Path) -> None:
    shown = Batch([pictured(tmp_path, 0), image("gone.png", index=1), image("s3://b/a", index=2)])
    html = shown._repr_html_()
    assert html.count("<img ") == 1
    assert "No picture of 2: Its file does not exist any more." in html
    assert "No picture of 3: It is in a store" in html


def test_without_pillow_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = Batch([pictured(tmp_path, n) for n in range(20)])
    monkeypatch.setitem(sys.modules, "PIL", None)
    html = batch._repr_html_()
    assert html.count("pip install") == 1
    assert "<figure" not in html
    assert "4, 5, 6, 7, 8, 9, 10 and 10 more" in html


def test_how_it_ended_and_what_was_saved_is_said() -> None:
    there = replace(image("a.png"), attempts=(), earlier=(attempt("yes"),))
    cheap = replace(attempt("yes"), reduced=Decimal("0.067"))
    outcomes = [there, replace(image("b.png", index=1), attempts=(cheap,))]
    html = Batch(outcomes, stopped=StoppedError("The run was stopped."))._repr_html_()
    for words in (
        "Stopped: 2 images",
        "The run was stopped.",
        "1 there already, $0.134 saved",
        "$0.067 saved by batch",
    ):
        assert words in html
    assert "<b>0 images</b>" in Batch([])._repr_html_()


async def test_in_a_kernel_it_is_there_at_once_and_its_pictures_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = Wall()
    monkeypatch.setattr("nbp_async._calls.batch.notebook", lambda: wall)
    batch = Batch([pictured(tmp_path, n) for n in range(5)])
    batch._ipython_display_()
    assert "<img" not in wall.html
    assert "<b>5 images</b>" in wall.html
    async with asyncio.timeout(20):
        while wall.html.count("<img ") < 5:
            await asyncio.sleep(0.01)
    assert [how for how, _, _ in wall.shown] == ["show", "update"]
    assert wall.shown[0][1] == repr(batch)
    assert len(wall.names) == 1


def test_outside_a_kernel_it_is_left_to_whoever_shows_it() -> None:
    assert screens.notebook() is None
    with pytest.raises(NotImplementedError):
        Batch([])._ipython_display_()


def test_without_a_loop_that_could_add_pictures_it_is_made_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = Wall()
    monkeypatch.setattr("nbp_async._calls.batch.notebook", lambda: wall)
    batch = Batch([pictured(tmp_path, 0)])
    with pytest.raises(NotImplementedError):
        batch._ipython_display_()
    assert not wall.shown
    assert "<img " in batch._repr_html_()


class Tags(HTMLParser):
    """The names of all tags, and of all attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen |= {tag, *(name for name, _ in attrs)}


@given(st.text(min_size=1).filter(str.strip), st.text())
def test_no_text_is_ever_more_than_text(text: str, message: str) -> None:
    calm = shown("a", "b")
    assert Tags(shown(f"{text} <b onclick=x>", message)).seen == Tags(calm).seen


def shown(text: str, message: str) -> str:
    """All that can be shown of an image and of a failure."""
    lost = failure(ReadTimeout(message), "maybe", index=1, text=text)
    lost = replace(lost, attempts=(attempt("maybe", error=f"ReadTimeout: {message}"),))
    there = image("a.png", text=text)
    batch = Batch([there, lost], stopped=StoppedError(message))
    pieces = (there, lost, batch, batch.timeline())
    return "".join(piece._repr_html_() for piece in pieces) + batch._view().html({0: "data:"})


def test_a_loop_that_has_ended_is_no_reason_to_complain(tmp_path: Path) -> None:
    async def show() -> None:
        BatchView(Progress(), [pictured(tmp_path, 0)], text="").show(Wall())

    asyncio.run(show())
