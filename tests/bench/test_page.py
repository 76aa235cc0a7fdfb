"""The pictures and the page: well-formed, told in words too, and every text is only text."""

import random
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from bench.page.html import Check, Page, Section, Table
from bench.page.pictures import (
    MOST_SLOTS,
    Bar,
    Dot,
    Flight,
    Lane,
    Point,
    cost,
    gantt,
    in_flight,
    latency,
    scaling,
)

EVIL = '<script>alert("1")</script>&\'"'
SVG = "{http://www.w3.org/2000/svg}"


def lane(name: str, slots: int, images: int) -> Lane:
    rng, free, bars = random.Random(3), [0.0] * slots, []
    for _ in range(images):
        slot = min(range(slots), key=free.__getitem__)
        end = free[slot] + rng.uniform(30, 170)
        bars.append(Bar(slot, free[slot], end, "failed" if rng.random() < 0.1 else "image"))
        free[slot] = end
    return Lane(name, bars, max(free))


def pictures(name: str = EVIL) -> dict[str, str]:
    points = [Point(x, x * 0.6, x * 0.5, x * 0.7) for x in (1, 10, 100, 1000)]
    return {
        "gantt": gantt([lane(name, 1, 5), lane("b", 8, 40), lane("c", MOST_SLOTS + 1, 500)]),
        "in-flight": in_flight([Flight(name, [(0, 0), (1, 5), (9, 0)], 5, 4)]),
        "scaling": scaling({name: points, "b": points}, bound=[(1, 0.6), (1000, 600)]),
        "latency": latency({name: [0.1, 3, 170], "b": [0.0, 0.2]}),
        "cost": cost([Dot(name, 100, 8.1, 2.2), Dot("b", 1000, 0.0, 0.02)]),
    }


@pytest.mark.parametrize("name", ["gantt", "in-flight", "scaling", "latency", "cost"])
def test_each_picture_is_whole_and_told_in_words(name: str) -> None:
    root = ElementTree.fromstring(pictures()[name])
    assert root.get("role") == "img"
    assert root.get("id") == name
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert title.text
    assert description is not None
    assert EVIL in (description.text or "")
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert any(EVIL in (text or "") for text in texts)
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    for element in root.iter(f"{SVG}rect"):
        right = float(element.attrib["x"]) + float(element.attrib["width"])
        assert left <= float(element.attrib["x"]) < right <= width
        assert top <= float(element.attrib["y"]) <= height


def test_a_bar_is_drawn_for_each_image_as_long_as_slots_can_be_seen() -> None:
    few = ElementTree.fromstring(gantt([lane("a", 8, 40)]))
    bars = list(few.iter(f"{SVG}rect"))
    assert len(bars) == 40
    assert {e.attrib["class"] for e in bars} == {"bar image", "bar failed"}
    many = gantt([lane("a", MOST_SLOTS + 1, 5_000)])
    assert "<rect" not in many
    assert len(many) < 60_000


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        self.seen.append(tag)
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_one_file_without_script_and_believes_nobody() -> None:
    table = Table([EVIL, "b"], [[EVIL, "1"], ["c", "2"]], ours=frozenset({1}))
    page = Page(
        EVIL,
        EVIL,
        [Check(EVIL, True), Check("x", False), Check("y", None)],
        [Section(EVIL, EVIL, svg, EVIL, table, [EVIL]) for svg in pictures().values()],
        EVIL,
        EVIL,
        [EVIL],
    ).html()
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert not {"script", "link", "iframe", "img", "object"} & set(tags.seen)
    assert page.count("<svg") == 5
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page
    assert "@media print" in page
    assert "prefers-color-scheme: dark" in page
    assert page.count("tabindex") == 5
