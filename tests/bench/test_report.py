"""The report of a run: complete, true to run.json, and at home in a real browser."""

import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from bench.page.report import markdown_of, page_of, write_report
from bench.page.tables import part, seconds
from bench.result_files import load, load_requests
from tests.bench.made_run import EVIL, made
from tests.bench.test_page import Tags
from tests.browser import browse, needs_browser

PICTURES = ("gantt", "in-flight", "scaling", "latency", "cost")


class Cells(HTMLParser):
    """The rows of all tables, as text."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._cell = False

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        if tag == "tr":
            self.rows.append([])
        self._cell = tag in ("td", "th")
        if self._cell:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.rows[-1][-1] += data


def test_every_row_of_the_run_is_in_the_summary_with_its_numbers() -> None:
    run, asked = made()
    cells = Cells()
    cells.feed(page_of(run, asked).html())
    for row in run.rows:
        billed, delivered = row.money.billed / row.reps, row.money.delivered / row.reps
        line = [
            row.scenario,
            row.strategy,
            f"{row.at_once:,}",
            row.clock,
            seconds(row.makespan.mid),
            part(row.of_bound.mid),
            part(row.of_order.mid),
            f"{row.failed / row.reps:,.4g}",
            f"{billed:,.2f}",
            f"{billed - delivered:,.2f}",
        ]
        assert line in cells.rows
    assert [
        "5 threads",
        "250 s",
        "240 s",
        "242 s",
        "+0.6%",
        "two waves | and overhead",
    ] in cells.rows


def test_it_is_whole_small_and_says_what_was_not_met() -> None:
    run, asked = made()
    html = page_of(run, asked).html()
    tags = Tags()
    tags.feed(html)
    assert tags.open == []
    assert len(html) < 300_000
    for name in PICTURES:
        assert f'id="{name}"' in html
    assert EVIL not in html
    assert unescape(html).count(EVIL) >= 2
    words = re.sub(r"<[^>]+>", " ", html)
    assert "not met:" in words
    assert "18 of 22 trials are valid" in words
    assert "load: the machine was busy" in words
    assert "no significant difference" in words
    assert "Where async does not help" in words


@pytest.mark.parametrize("name", ["article", "faults"])
def test_runs_that_were_made_have_a_whole_page(name: str) -> None:
    folder = Path(__file__).parent / "data" / name
    page = page_of(load(folder), load_requests(folder)).html()
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert all(f'id="{picture}"' in page for picture in PICTURES[:4])
    assert len(page) < 300_000


def test_it_can_be_read_as_markdown() -> None:
    run, _ = made()
    text = markdown_of(run)
    assert EVIL not in text
    assert "two waves \\| and overhead" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") - line.count("\\|") for line in tables if "5 threads" in line}) == 1


def test_its_first_picture_stands_alone(tmp_path: Path) -> None:
    """As a README shows it: a file with its own colours, light and dark, and no script."""
    run, asked = made()
    write_report(tmp_path, run, asked)
    picture = ElementTree.parse(tmp_path / "difference.svg").getroot()
    assert picture.get("role") == "img"
    style = picture.findtext("{http://www.w3.org/2000/svg}style", "")
    assert "prefers-color-scheme: dark" in style
    assert EVIL not in ElementTree.tostring(picture, "unicode")
    assert not picture.findall(".//{http://www.w3.org/2000/svg}script")


@needs_browser
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_a_browser_opens_it_without_a_complaint(mode: str, tmp_path: Path) -> None:
    run, asked = made()
    write_report(tmp_path, run, asked)
    page, picture = tmp_path / "report.html", tmp_path / "page.png"
    dark = ["--blink-settings=preferredColorScheme=0"] if mode == "dark" else []
    done = browse(page, *dark, "--window-size=1000,6000", f"--screenshot={picture}")
    assert "CONSOLE" not in done.stderr
    dom = browse(page, "--dump-dom").stdout
    assert all(f'id="{name}"' in dom for name in PICTURES)
    with Image.open(picture) as shown:
        colours = shown.convert("RGB").getcolors(maxcolors=1_000_000)
    assert colours is not None
    paper = max(colours)[1]
    assert isinstance(paper, tuple)
    assert (sum(paper) > 600) == (mode == "light"), paper
    assert len(colours) > 100, "bars, lines and words, not an empty page"


def test_a_strategy_has_the_same_colour_in_each_picture() -> None:
    page = page_of(*made()).html()
    colours: dict[str, set[str]] = {}
    for hue, name in re.findall(r'<text [^>]*class="key (s\d)"[^>]*>([^<]*)</text>', page):
        colours.setdefault(name, set()).add(hue)
    assert len(colours["nbp"]) == len(colours["threads"]) == 1
    assert colours["nbp"] != colours["threads"]
