"""When each request of a batch waited, was out and came back: as a picture, a table and a file.

Drawn from the timings of this call's attempts. Those of earlier calls of a run were kept by the
clocks of other processes, which have nothing to do with each other.
"""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from statistics import median

from nbp_async._errors import ConfigError
from nbp_async._html import FRAME, SOFT, line_of
from nbp_async._models import Attempt, Image, Outcome
from nbp_async._words import billed, plural, printable, span
from nbp_async.display.gantt import KINDS, Bar, Kind, Row, draw, is_dense, lanes_of

_SPOKEN = 400  # requests up to which each says its own words: these are most of a picture's weight
_MESSAGE = 160  # characters of an error's message
_CELL = "padding:.1em 1em .1em 0;text-align:right"
_LIGHT, _DARK = "color:#22201c;background:#faf9f6", "color:#ece9e2;background:#161513"


def _alone(what: str) -> str:
    """Colours of what stands on no page of others: light or dark, as people like it."""
    dark = f"@media(prefers-color-scheme:dark){{{what}{{{_DARK}}}}}"
    printed = f"@media print{{{what}{{color:#000;background:#fff}}}}"
    return f"<style>{what}{{{_LIGHT}}}{dark}{printed}</style>"


_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" '
    'content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
    f"<title>Timeline</title>{_alone('body')}<style>body{{margin:1rem;"
    "font:15px/1.5 system-ui,sans-serif}</style><body>"
)


class Timeline:
    """What a batch's requests did, and when: `batch.timeline()`.

    A notebook shows it; `save` writes it. Thousands of requests stay under 300 kB: up to about two
    thousand have a bar each, in a lane for each that was in flight at once; more are drawn as one
    shape, which says how many were in flight. To draw ten thousand takes a quarter of a second.
    """

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        tried = [pair for outcome in outcomes for pair in _tried(outcome)]
        out = sorted((pair for pair in tried if _left(pair[1])), key=lambda p: _begin(p[1]))
        self._zero = min((attempt.timings.queued for _, attempt in tried), default=0.0)
        self._attempts = [attempt for _, attempt in out]
        spoken = len(out) <= _SPOKEN
        self._rows = [self._row(o, attempt, spoken=spoken) for o, attempt in out]
        self._lanes = lanes_of(self._rows)
        self._unsent = len(tried) - len(out)
        self._there = sum(not o.attempts for o in outcomes if isinstance(o, Image))

    def save(self, path: str | Path) -> Path:
        """Write it, and return the path. Blocks; replaces what is there.

        Args:
            path: Ends in `.svg` for the picture alone, or in `.html` for a page with its table.

        Raises:
            ConfigError: It has another ending. Nothing was written.
        """
        target = Path(path)
        if target.suffix.lower() not in (".svg", ".html"):
            raise ConfigError(f"{target.name!r}: a timeline is saved as .svg or .html.")
        svg = target.suffix.lower() == ".svg"
        target.write_text(self._repr_svg_() if svg else f"{_PAGE}{self._repr_html_()}", "utf-8")
        return target

    def __repr__(self) -> str:
        return f"Timeline({', '.join(self._facts())})"

    def _repr_svg_(self) -> str:
        return self._drawn(_alone(".nbp-timeline"))

    def _repr_html_(self) -> str:
        first, *rest = self._facts()
        parts = [f'<div style="{FRAME}"><div><b>{escape(first)}</b>']
        parts.append(f" · {line_of(rest)}</div>" if rest else "</div>")
        if self._rows:
            parts.append(f'<div style="overflow-x:auto">{self._drawn()}</div>')
            note = self._note()
            parts += [f'<div style="{SOFT}">{escape(note)}</div>'] if note else []
            parts += ['<div style="overflow-x:auto">', *self._table(), "</div>"]
        return "".join([*parts, "</div>"])

    def _drawn(self, style: str = "") -> str:
        if not self._rows:
            return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1">{style}</svg>'
        told = "Requests over time: " + ", ".join(self._facts())
        spoken = len(self._rows) <= _SPOKEN
        return draw(self._rows, self._lanes, end=self._end, told=told, spoken=spoken, style=style)

    @property
    def _end(self) -> float:
        return max(row.end for row in self._rows)

    def _facts(self) -> list[str]:
        if not self._rows:
            facts = ["No request was sent"]
        else:
            most = max(self._lanes) + 1
            facts = [plural(len(self._rows), "request"), f"{most:,} in flight at most"]
            facts.append(span(self._end))
        for kind, words in (("again", "tried again"), ("failed", "failed")):
            count = sum(row.bars[-1].kind == kind for row in self._rows)
            facts += [f"{count:,} {words}"] if count else []
        facts += [f"{self._unsent:,} ended unsent"] if self._unsent else []
        facts += [f"{self._there:,} there already"] if self._there else []
        return facts

    def _note(self) -> str:
        if is_dense(self._rows, self._lanes):
            return "Too many to be drawn one by one: this is how many were in flight."
        point = "Point at a bar for what it was. " if len(self._rows) <= _SPOKEN else ""
        return f"{point}Each row is a place for one request in flight."

    def _row(self, outcome: Outcome, attempt: Attempt, *, spoken: bool) -> Row:
        bars = tuple(
            Bar(kind, begin - self._zero, end - self._zero)
            for kind, begin, end in _bars(outcome, attempt)
        )
        words = _words(outcome, attempt) if spoken else ""
        return Row(_begin(attempt) - self._zero, attempt.timings.done - self._zero, bars, words)

    def _table(self) -> Iterator[str]:
        """How long the stages took."""
        spans: dict[Kind, list[float]] = {}
        for attempt in self._attempts:
            for kind, begin, end in _stages(attempt):
                spans.setdefault(kind, []).append(end - begin)
        yield '<table style="border-collapse:collapse;border:0;margin:.4em 0 0"><tr>'
        yield f'<th scope="col" style="{_CELL};text-align:left">How long requests were</th>'
        yield f'<th scope="col" style="{_CELL}">median</th>'
        yield f'<th scope="col" style="{_CELL}">longest</th></tr>'
        for kind, (words, _) in KINDS.items():
            if kind in spans:
                values = (median(spans[kind]), max(spans[kind]))
                cells = "".join(f'<td style="{_CELL}">{span(value)}</td>' for value in values)
                yield f'<tr><td style="{_CELL};text-align:left">{words}</td>{cells}</tr>'
        yield "</table>"


def _tried(outcome: Outcome) -> Iterator[tuple[Outcome, Attempt]]:
    return ((outcome, attempt) for attempt in outcome.attempts)


def _left(attempt: Attempt) -> bool:
    """It was sent, or at least tried to be; a line of a batch job has no connection of its own."""
    return attempt.timings.connecting is not None or attempt.billing != "no"


def _begin(attempt: Attempt) -> float:
    timings = attempt.timings
    return timings.queued if timings.connecting is None else timings.connecting


def _stages(attempt: Attempt) -> Iterator[tuple[Kind, float, float]]:
    """What it did, one after the other."""
    t = attempt.timings
    if t.connecting is None:
        yield "vendor", t.queued, t.done
        return
    begins: list[tuple[Kind, float | None]] = [
        ("wait", t.queued), ("connect", t.connecting), ("vendor", t.sent), ("body", t.first_byte)
    ]  # fmt: skip
    known = [(kind, begin) for kind, begin in begins if begin is not None]
    ends = [*(begin for _, begin in known[1:]), t.done]
    for (kind, begin), end in zip(known, ends, strict=True):
        yield kind, begin, max(begin, end)


def _bars(outcome: Outcome, attempt: Attempt) -> Iterator[tuple[Kind, float, float]]:
    """The same, in the colours of how it ended: an attempt that brought nothing is one bar."""
    last = attempt is outcome.attempts[-1]
    if last and isinstance(outcome, Image):
        yield from _stages(attempt)
        return
    for kind, begin, end in _stages(attempt):
        if kind == "wait":
            yield kind, begin, end
    yield "failed" if last else "again", _begin(attempt), attempt.timings.done


def _words(outcome: Outcome, attempt: Attempt) -> str:
    """What a request was."""
    words = f"Image {outcome.index + 1}"
    if len(outcome.attempts) > 1:
        words += f", attempt {attempt.number}"
    stages = (f"{KINDS[kind][0]} {span(end - begin)}" for kind, begin, end in _stages(attempt))
    words += ": " + ", ".join(stages)
    if attempt.error:
        words += f". {printable(attempt.error, _MESSAGE)} ({billed(attempt.billing, attempt.cost)})"
    return words
