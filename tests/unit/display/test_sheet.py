"""The contact sheet, as a page that strangers' text cannot break."""

import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec

from nbp_async import ContentBlockedError, Image, Outcome, ReadTimeout
from nbp_async._models.rows import row_of
from nbp_async.display.sheet import write_sheet
from tests.unit.display.examples import failure, image

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>\u202e{{ 7 * 7 }}'


class Page(HTMLParser):
    """Collects the tags, what they link, and the text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = dict(attrs)
        self.tags.append(tag)
        self.attributes |= facts.keys()
        self.links += [value for name in ("href", "src") if (value := facts.get(name))]
        if tag == "img":
            self.images.append(facts)

    def handle_data(self, data: str) -> None:
        self.text += data


def sheet(outcomes: list[Outcome], folder: Path, *, name: str = "index.html") -> Page:
    """The page of these outcomes; the images' files are made, empty."""
    for outcome in outcomes:
        if isinstance(outcome, Image) and outcome.path is not None:
            outcome.path.touch()
    facts = [("billed", "$0.27"), ("", "no name")]
    rows = [row_of(outcome) for outcome in outcomes]
    return Page(write_sheet(rows, folder / name, folder=folder, title="A", facts=facts, speed=2))


def test_every_image_is_shown_with_what_it_was_and_cost(tmp_path: Path) -> None:
    page = sheet([image(tmp_path / "000000-ab.png"), image(tmp_path / "b.png")], tmp_path)
    assert len(page.images) == 2
    assert "a red bicycle" in page.text
    assert "1024×1024 1 m 20 s $0.134" in page.text
    assert "$0.27" in page.text


def test_images_are_linked_relative_to_the_page_and_loaded_late(tmp_path: Path) -> None:
    page = sheet([image(tmp_path / "a b#1%.png")], tmp_path)
    assert page.links == ["a%20b%231%25.png"] * 2
    assert page.images[0]["loading"] == "lazy"


def test_untrusted_text_stays_text(tmp_path: Path) -> None:
    outcomes: list[Outcome] = [
        image(tmp_path / "a.png", text=EVIL),
        failure(ContentBlockedError(EVIL, reason=EVIL), "yes", index=1, text=EVIL),
    ]
    page = sheet(outcomes, tmp_path)
    assert "script" not in page.tags
    assert "onerror" not in page.attributes
    assert len(page.images) == 1
    assert page.text.count('"><script>alert(1)</script><img src=x onerror=alert(2)>') == 3
    assert page.text.count("{{ 7 * 7 }}") == 3


def test_the_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    sheet([image(tmp_path / "a.png")], tmp_path)
    text = (tmp_path / "index.html").read_text("utf-8")
    assert "default-src 'none'" in text
    assert not re.search(r"https?://|url\(|@import|<link|<script", text)


def test_failures_are_listed_by_reason_with_who_pays(tmp_path: Path) -> None:
    outcomes: list[Outcome] = [
        failure(ReadTimeout("no answer within 300 s."), "maybe", index=3),
        failure(ContentBlockedError("refused", reason="IMAGE_SAFETY"), "yes", index=4),
        failure(ReadTimeout("no answer within 300 s."), "maybe", index=5),
    ]
    page = sheet(outcomes, tmp_path)
    assert "ReadTimeout × 2" in page.text
    assert "ContentBlockedError × 1" in page.text
    assert page.text.count("may have been billed: $0.134") == 2
    assert "no answer within 300 s." in page.text


def test_a_batch_without_failures_says_nothing_of_them(tmp_path: Path) -> None:
    assert "No image" not in sheet([image(tmp_path / "a.png")], tmp_path).text


def test_a_new_sheet_replaces_the_old_one_and_leaves_nothing_else(tmp_path: Path) -> None:
    for text in ("first", "second"):
        page = sheet([image(tmp_path / "a.png", text=text)], tmp_path)
    assert "second" in page.text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "index.html"]


def test_a_page_elsewhere_still_leads_to_the_images(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    page = sheet([image(tmp_path / "run" / "a.png")], tmp_path, name="pages/run.html")
    assert page.links == ["../run/a.png"] * 2


def test_an_image_without_a_file_is_listed_with_what_it_cost(tmp_path: Path) -> None:
    rows = [row_of(image("")), row_of(image("gone.png", index=1), "gone.png")]
    page = Page(write_sheet(rows, tmp_path / "index.html", folder=tmp_path, title="A run"))
    assert not page.images
    assert "No file × 2" in page.text
    assert "gone.png is missing." in page.text
    assert page.text.count("billed: $0.134") == 2


def test_what_was_never_sent_is_left_out_and_what_is_out_is_not(tmp_path: Path) -> None:
    row = row_of(failure(ReadTimeout("?"), "maybe", text="on its way"))
    rows = [
        msgspec.structs.replace(row, state="planned", prompt="never sent"),
        msgspec.structs.replace(row, state="armed", reason="", message=""),
    ]
    page = Page(write_sheet(rows, tmp_path / "index.html", folder=tmp_path, title="A run"))
    assert "never sent" not in page.text
    assert "No answer yet × 1" in page.text
    assert "on its way" in page.text


def test_many_failures_are_folded_behind_their_reasons_and_dollars(tmp_path: Path) -> None:
    blocked = failure(ContentBlockedError("no", reason="SAFETY"), "yes", index=20)
    outcomes: list[Outcome] = [failure(ReadTimeout("?"), "maybe", index=n) for n in range(9)]
    for shown, state in (([*outcomes, blocked], "open"), ([*outcomes, blocked, blocked], "")):
        page = sheet(shown, tmp_path)
        text = (tmp_path / "index.html").read_text("utf-8")
        assert re.findall(r"<details ?(open)?>", text) == [state, state]
        assert "ReadTimeout × 9 $1.21 may have been billed" in page.text
    assert "ContentBlockedError × 2 $0.268 billed" in page.text
