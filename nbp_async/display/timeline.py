"""When each request of a batch waited, was in flight and ended: as a picture, a table and a file.

Drawn from the timings of this call's attempts. Earlier calls of a run were timed by the clocks of
other processes, which cannot be compared.
"""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from statistics import median

from nbp_async._base.errors import ConfigError
from nbp_async._base.folders import write_file
from nbp_async._base.html import FRAME, SOFT, line_of
from nbp_async._base.text import describe_billing, format_seconds, plural, printable
from nbp_async._models.outcomes import Attempt, Image, Outcome
from nbp_async.display.lanes import lanes_of
from nbp_async.display.timeline_svg import (
    BAR_KINDS,
    Bar,
    BarKind,
    RequestBars,
    is_dense,
    timeline_svg,
)

_MOST_TITLES = 400  # requests that show their own words: these are most of a picture's weight
_MOST_MESSAGE = 160  # characters of an error's message
_CELL = "padding:.1em 1em .1em 0;text-align:right"
_LIGHT, _DARK = "color:#22201c;background:#faf9f6", "color:#ece9e2;background:#161513"


def _own_colours(selector: str) -> str:
    """Colours for what stands on no other page: light or dark, as the reader prefers."""
    dark = f"@media(prefers-color-scheme:dark){{{selector}{{{_DARK}}}}}"
    printed = f"@media print{{{selector}{{color:#000;background:#fff}}}}"
    return f"<style>{selector}{{{_LIGHT}}}{dark}{printed}</style>"


_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" '
    'content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
    f"<title>Timeline</title>{_own_colours('body')}<style>body{{margin:1rem;"
    "font:15px/1.5 system-ui,sans-serif}</style><body>"
)


class Timeline:
    """What a batch's requests did, and when: `batch.timeline()`.

    A notebook shows it; `save` writes it. Thousands of requests stay under 300 kB: up to about two
    thousand have a bar each, in a lane for each that was in flight at once; more are drawn as one
    shape, which says how many were in flight. To draw ten thousand takes a quarter of a second.
    """

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        attempts = [(outcome, attempt) for outcome in outcomes for attempt in outcome.attempts]
        sent = sorted((p for p in attempts if _was_sent(p[1])), key=lambda p: _begin(p[1]))
        self._zero = min((attempt.timings.queued for _, attempt in attempts), default=0.0)
        self._attempts = [attempt for _, attempt in sent]
        self._has_titles = len(sent) <= _MOST_TITLES
        self._requests = [self._request(outcome, attempt) for outcome, attempt in sent]
        self._lanes = lanes_of((request.begin, request.end) for request in self._requests)
        self._unsent = len(attempts) - len(sent)
        self._resumed = sum(not o.attempts for o in outcomes if isinstance(o, Image))

    def save(self, path: str | Path, *, shared: bool = False) -> Path:
        """Write it, and return the path. Blocks; replaces what is there.

        Args:
            path: Ends in `.svg` for the picture alone, or in `.html` for a page with its table.
            shared: Other users may read a new file, as far as the umask lets them; by default only
                its owner may.

        Raises:
            ConfigError: It has another ending. Nothing was written.
        """
        target = Path(path)
        if target.suffix.lower() not in (".svg", ".html"):
            raise ConfigError(f"{target.name!r}: a timeline is saved as .svg or .html.")
        svg = target.suffix.lower() == ".svg"
        text = self._repr_svg_() if svg else f"{_PAGE}{self._repr_html_()}"
        return write_file(target, text.encode(), shared=shared)

    def __repr__(self) -> str:
        return f"Timeline({', '.join(self._facts())})"

    def _repr_svg_(self) -> str:
        return self._svg(_own_colours(".nbp-timeline"))

    def _repr_html_(self) -> str:
        first, *rest = self._facts()
        parts = [f'<div style="{FRAME}"><div><b>{escape(first)}</b>']
        parts.append(f" · {line_of(rest)}</div>" if rest else "</div>")
        if self._requests:
            parts.append(f'<div style="overflow-x:auto">{self._svg()}</div>')
            parts.append(f'<div style="{SOFT}">{escape(self._note())}</div>')
            parts += ['<div style="overflow-x:auto">', *self._table(), "</div>"]
        return "".join([*parts, "</div>"])

    def _svg(self, style: str = "") -> str:
        if not self._requests:
            return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1">{style}</svg>'
        return timeline_svg(
            self._requests,
            self._lanes,
            end=self._end,
            description="Requests over time: " + ", ".join(self._facts()),
            titles=self._has_titles,
            style=style,
        )

    @property
    def _end(self) -> float:
        return max(request.end for request in self._requests)

    def _facts(self) -> list[str]:
        if not self._requests:
            facts = ["No request was sent"]
        else:
            most = max(self._lanes) + 1
            facts = [plural(len(self._requests), "request"), f"{most:,} in flight at most"]
            facts.append(format_seconds(self._end))
        for kind, words in (("again", "tried again"), ("failed", "failed")):
            count = sum(request.bars[-1].kind == kind for request in self._requests)
            facts += [f"{count:,} {words}"] if count else []
        facts += [f"{self._unsent:,} ended unsent"] if self._unsent else []
        facts += [f"{self._resumed:,} there already"] if self._resumed else []
        return facts

    def _note(self) -> str:
        if is_dense(self._requests, self._lanes):
            return "Too many to be drawn one by one: this is how many were in flight."
        point = "Point at a bar for what it was. " if self._has_titles else ""
        return f"{point}Each row is a place for one request in flight."

    def _request(self, outcome: Outcome, attempt: Attempt) -> RequestBars:
        zero = self._zero
        bars = tuple(
            Bar(kind, begin - zero, end - zero) for kind, begin, end in _bars(outcome, attempt)
        )
        words = _words(outcome, attempt) if self._has_titles else ""
        return RequestBars(_begin(attempt) - zero, attempt.timings.done - zero, bars, words)

    def _table(self) -> Iterator[str]:
        """How long the stages took."""
        spans: dict[BarKind, list[float]] = {}
        for attempt in self._attempts:
            for kind, begin, end in _stages(attempt):
                spans.setdefault(kind, []).append(end - begin)
        yield '<table style="border-collapse:collapse;border:0;margin:.4em 0 0"><tr>'
        yield f'<th scope="col" style="{_CELL};text-align:left">How long requests were</th>'
        yield f'<th scope="col" style="{_CELL}">median</th>'
        yield f'<th scope="col" style="{_CELL}">longest</th></tr>'
        for kind, (words, _) in BAR_KINDS.items():
            if kind in spans:
                values = map(format_seconds, (median(spans[kind]), max(spans[kind])))
                cells = "".join(f'<td style="{_CELL}">{value}</td>' for value in values)
                yield f'<tr><td style="{_CELL};text-align:left">{words}</td>{cells}</tr>'
        yield "</table>"


def _was_sent(attempt: Attempt) -> bool:
    """It was sent, or tried to be. A line of a batch job has no connection of its own."""
    return attempt.timings.connecting is not None or attempt.billing != "no"


def _begin(attempt: Attempt) -> float:
    timings = attempt.timings
    return timings.queued if timings.connecting is None else timings.connecting


def _stages(attempt: Attempt) -> Iterator[Bar]:
    """What an attempt did, one after the other."""
    t = attempt.timings
    if t.connecting is None:
        yield Bar("vendor", t.queued, t.done)
        return
    kinds: tuple[BarKind, ...] = ("wait", "connect", "vendor", "body")
    begins = zip(kinds, (t.queued, t.connecting, t.sent, t.first_byte), strict=True)
    known = [(kind, begin) for kind, begin in begins if begin is not None]
    ends = [*(begin for _, begin in known[1:]), t.done]
    for (kind, begin), end in zip(known, ends, strict=True):
        yield Bar(kind, begin, max(begin, end))


def _bars(outcome: Outcome, attempt: Attempt) -> Iterator[Bar]:
    """The same, coloured by how it ended: an attempt without an image is one bar."""
    last = attempt is outcome.attempts[-1]
    if last and isinstance(outcome, Image):
        yield from _stages(attempt)
        return
    yield from (bar for bar in _stages(attempt) if bar.kind == "wait")
    yield Bar("failed" if last else "again", _begin(attempt), attempt.timings.done)


def _words(outcome: Outcome, attempt: Attempt) -> str:
    """What a request was."""
    number = f", attempt {attempt.number}" if len(outcome.attempts) > 1 else ""
    stages = ", ".join(
        f"{BAR_KINDS[kind][0]} {format_seconds(end - begin)}"
        for kind, begin, end in _stages(attempt)
    )
    words = f"Image {outcome.index + 1}{number}: {stages}"
    if not attempt.error:
        return words
    billing = describe_billing(attempt.billing, attempt.cost)
    return f"{words}. {printable(attempt.error, _MOST_MESSAGE)} ({billing})"
