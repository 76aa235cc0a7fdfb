"""The contact sheet, as a page that strangers' text cannot break."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from nbp_async import Batch, ConfigError, ContentBlockedError, ReadTimeout
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


def sheet(batch: Batch, folder: Path) -> Page:
    return Page(write_sheet(batch, folder, title="A run", facts=[("billed", "$0.27")], speed=2))


def test_every_image_is_shown_with_what_it_was_and_cost(tmp_path: Path) -> None:
    page = sheet(Batch([image(tmp_path / "000000-ab.png"), image(tmp_path / "b.png")]), tmp_path)
    assert len(page.images) == 2
    assert "a red bicycle" in page.text
    assert "1024×1024 1 m 20 s $0.134" in page.text
    assert "$0.27" in page.text


def test_images_are_linked_relative_to_the_page_and_loaded_late(tmp_path: Path) -> None:
    page = sheet(Batch([image(tmp_path / "a b#1%.png")]), tmp_path)
    assert page.links == ["a%20b%231%25.png"] * 2
    assert page.images[0]["loading"] == "lazy"


def test_untrusted_text_stays_text(tmp_path: Path) -> None:
    batch = Batch(
        [
            image(tmp_path / "a.png", text=EVIL),
            failure(ContentBlockedError(EVIL, reason=EVIL), "yes", index=1, text=EVIL),
        ]
    )
    page = sheet(batch, tmp_path)
    assert "script" not in page.tags
    assert "onerror" not in page.attributes
    assert len(page.images) == 1
    assert page.text.count('"><script>alert(1)</script><img src=x onerror=alert(2)>') == 3
    assert page.text.count("{{ 7 * 7 }}") == 3


def test_the_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    write_sheet(Batch([image(tmp_path / "a.png")]), tmp_path, title="A run")
    text = (tmp_path / "index.html").read_text("utf-8")
    assert "default-src 'none'" in text
    assert not re.search(r"https?://|url\(|@import|<link|<script", text)


def test_failures_are_listed_by_reason_with_who_pays(tmp_path: Path) -> None:
    batch = Batch(
        [
            failure(ReadTimeout("no answer within 300 s."), "maybe", index=3),
            failure(ContentBlockedError("refused", reason="IMAGE_SAFETY"), "yes", index=4),
            failure(ReadTimeout("no answer within 300 s."), "maybe", index=5),
        ]
    )
    page = sheet(batch, tmp_path)
    assert "ReadTimeout × 2" in page.text
    assert "ContentBlockedError × 1" in page.text
    assert page.text.count("may have been billed: $0.134") == 2
    assert "no answer within 300 s." in page.text


def test_a_batch_without_failures_says_nothing_of_them(tmp_path: Path) -> None:
    assert "No image" not in sheet(Batch([image(tmp_path / "a.png")]), tmp_path).text


def test_a_new_sheet_replaces_the_old_one_and_leaves_nothing_else(tmp_path: Path) -> None:
    for text in ("first", "second"):
        page = sheet(Batch([image(tmp_path / "a.png", text=text)]), tmp_path)
    assert "second" in page.text
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


def test_images_in_memory_cannot_be_linked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='out="folder/"'):
        sheet(Batch([image("")]), tmp_path)
