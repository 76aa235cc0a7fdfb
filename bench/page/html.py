"""The page around the pictures: one file, no script, nothing fetched. All text is escaped."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nbp_async.display.svg import element, tag

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@dataclass(frozen=True)
class Table:
    """Columns and rows of plain text; those in `words` are sentences, `ours` are rows to stress."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: frozenset[int] = frozenset()
    ours: frozenset[int] = frozenset()

    def html(self, label: str) -> str:
        head = "".join(tag("th", c, scope="col", class_=self._kind(n)) for n, c in self._columns)
        rows = "".join(self._row(number, row) for number, row in enumerate(self.rows))
        inside = element("thead", element("tr", head)) + element("tbody", rows)
        # A wide table scrolls within its own box, which keys can reach.
        return element(
            "div",
            element("table", inside),
            class_="wide",
            tabindex=0,
            role="region",
            aria_label=label,
        )

    @property
    def _columns(self) -> Iterator[tuple[int, str]]:
        return iter(enumerate(self.columns))

    def _row(self, number: int, row: Sequence[str]) -> str:
        cells = "".join(tag("td", cell, class_=self._kind(n)) for n, cell in enumerate(row))
        return element("tr", cells, class_="ours" if number in self.ours else None)

    def _kind(self, column: int) -> str | None:
        return "words" if column in self.words else None


@dataclass(frozen=True)
class Check:
    """A condition of the comparison: met, not met, or None if it could not be checked."""

    words: str
    ok: bool | None


@dataclass(frozen=True)
class Section:
    """A heading, a sentence, and perhaps a picture with its table."""

    heading: str
    lead: str = ""
    svg: str = ""
    caption: str = ""
    table: Table | None = None
    paragraphs: Sequence[str] = ()
    boxed: bool = False

    def html(self) -> str:
        parts = [tag("h2", self.heading)]
        if self.lead:
            parts.append(tag("p", self.lead, class_="lead"))
        if self.svg:
            caption = tag("figcaption", self.caption) if self.caption else ""
            parts.append(element("figure", self.svg + caption))
        if self.table is not None:
            parts.append(self.table.html(self.heading))
        parts += [tag("p", words) for words in self.paragraphs]
        return element("section", "".join(parts), class_="box" if self.boxed else None)


@dataclass(frozen=True)
class Page:
    """All that is on it, in its order."""

    title: str
    subtitle: str
    checks: Sequence[Check]
    sections: Sequence[Section]
    command: str
    metadata: str
    notes: Sequence[str] = field(default_factory=tuple)

    def html(self) -> str:
        style = (Path(__file__).parent / "style.css").read_text("utf-8")
        head = "".join(
            [
                '<meta charset="utf-8"/>',
                '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
                f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"/>',
                tag("title", self.title),
                f"<style>{style}</style>",
            ]
        )
        body = "".join(self._body())
        return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'

    def _body(self) -> Iterable[str]:
        yield element("header", tag("h1", self.title) + tag("p", self.subtitle, class_="lead"))
        yield element("ul", "".join(map(_check, self.checks[:1])), class_="checks")
        yield from (tag("p", note, class_="note") for note in self.notes)
        yield from (section.html() for section in self.sections)
        yield tag("h2", "What was checked")
        yield element("ul", "".join(map(_check, self.checks)), class_="checks")
        yield tag("h2", "Do it again")
        yield element("pre", tag("code", self.command))
        yield element(
            "details",
            tag("summary", "Machine, versions and settings")
            + element("pre", tag("code", self.metadata)),
        )


def _check(check: Check) -> str:
    kind = "open" if check.ok is None else "ok" if check.ok else "no"
    spoken = {"open": "not checked", "ok": "met", "no": "not met"}[kind]
    hidden = tag("span", f"{spoken}: ", class_="said")
    return element("li", hidden + tag("span", check.words), class_=kind)
