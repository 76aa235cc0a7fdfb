"""The picture of a timeline: what was in flight when, as SVG that is light enough for any notebook.

Each request is a row of bars in a lane of its own for as long as it is in flight. Bars of one kind
are one path, which keeps thousands of them small. What is too much even so is drawn as one shape:
how many were in flight. Words take the page's own colour.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from html import escape
from itertools import accumulate
from typing import Literal, NamedTuple

from nbp_async._html import BLUE, GREEN, RED

Kind = Literal["wait", "connect", "vendor", "body", "again", "failed"]

KINDS: dict[Kind, tuple[str, str]] = {
    "wait": ("waiting to be sent", "#8a8a8a"),
    "connect": ("connecting", "#9467bd"),
    "vendor": ("sent, until the first byte", BLUE),
    "body": ("receiving", GREEN),
    "again": ("tried again", "#b8801a"),
    "failed": ("failed", RED),
}
"""What a bar can be, in words and as a colour that stands out from light and from dark paper."""

_WIDTH = 760.0
_LEFT, _RIGHT, _TOP = 44.0, 752.0, 34.0
_MOST_LANES = 250
_MOST_BARS = 8000  # that can be seen
_COLUMNS = 350  # of the shape that stands for more than that
_TALL = 360.0  # pixels of all lanes together, at most
_NO_WIDTH = 0.3  # pixels that nobody sees
_UNITS = ((172_800.0, 86_400.0, "days"), (10_800.0, 3600.0, "hours"), (300.0, 60.0, "minutes"))


class Bar(NamedTuple):
    """What a request did, from `begin` to `end` in seconds."""

    kind: Kind
    begin: float
    end: float


class Row(NamedTuple):
    """One request: its bars, in their order, and what to say of it.

    It is in flight from `begin` to `end`; what it waited before is outside.
    """

    begin: float
    end: float
    bars: tuple[Bar, ...]
    words: str


def lanes_of(rows: Sequence[Row]) -> list[int]:
    """The lane of each row, from 0: the lowest that is free. Rows come in the order of `begin`."""
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    lanes = []
    for row in rows:
        while busy and busy[0][0] <= row.begin:
            heappush(free, heappop(busy)[1])
        lane = heappop(free) if free else len(busy)
        heappush(busy, (row.end, lane))
        lanes.append(lane)
    return lanes


def is_dense(rows: Sequence[Row], lanes: Sequence[int]) -> bool:
    """They are too many to be drawn one by one."""
    least = max(row.end for row in rows) / (_RIGHT - _LEFT) * _NO_WIDTH
    bars = (bar for row in rows for bar in row.bars)
    seen = (bar.end - bar.begin >= least or bar.kind in ("again", "failed") for bar in bars)
    return max(lanes) >= _MOST_LANES or sum(seen) > _MOST_BARS


def draw(
    rows: Sequence[Row],
    lanes: Sequence[int],
    *,
    end: float,
    told: str,
    spoken: bool,
    style: str = "",
) -> str:
    """The picture.

    Args:
        rows: In the order of `begin`; at least one.
        lanes: Of these rows.
        end: Where the axis ends, in seconds.
        told: The picture in words.
        spoken: Each row says its words when it is pointed at.
        style: CSS for a picture that stands alone.
    """
    count = max(lanes) + 1
    height = min(_TALL, max(40.0, count * 16.0))
    dense = is_dense(rows, lanes)
    plot = _Plot(count, height, end)
    parts = plot.density(rows) if dense else plot.bars(rows, lanes, spoken=spoken)
    total = _TOP + height + 40
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:g} {total:g}" role="img" '
        f'class="nbp-timeline" aria-label="{escape(told)}" font-family="system-ui,sans-serif" '
        'font-size="12" fill="currentColor" '
        f'style="width:100%;min-width:36rem;display:block">{style}'
        + "".join([*_legend(rows, dense), *plot.axes(dense), *parts])
        + "</svg>"
    )


class _Plot:
    """Lanes and seconds as places in the picture."""

    def __init__(self, lanes: int, height: float, end: float) -> None:
        self.lanes = lanes
        self.height = height
        self.end = end or 1.0
        self.row = height / lanes

    def x(self, second: float) -> float:
        return _LEFT + second / self.end * (_RIGHT - _LEFT)

    def axes(self, dense: bool) -> Iterator[str]:
        """Time below, with its unit; lanes or numbers at the left."""
        bottom = _TOP + self.height
        unit, name = next(((u, n) for least, u, n in _UNITS if self.end >= least), (1.0, "seconds"))
        for value in _ticks(self.end / unit, 8):
            x = self.x(value * unit)
            yield (
                f'<path d="M{x:.1f} {_TOP:g}V{bottom:g}" stroke="currentColor" opacity=".15"/>'
                f'<text x="{x:.1f}" y="{bottom + 15:g}" text-anchor="middle">{value:,g}</text>'
            )
        yield f'<text x="{_RIGHT:g}" y="{bottom + 32:g}" text-anchor="end">{name}</text>'
        for value in _ticks(self.lanes, 6):
            whole = round(value)
            y = bottom - whole * self.row if dense else _TOP + (whole - 0.5) * self.row
            if whole == value and (whole >= 1 or dense):
                text = f'text-anchor="end" dominant-baseline="central">{whole:,}</text>'
                yield f'<text x="{_LEFT - 6:g}" y="{y:.1f}" {text}'

    def bars(self, rows: Sequence[Row], lanes: Sequence[int], *, spoken: bool) -> Iterator[str]:
        """A bar for whatever each request did."""
        paths: dict[str, list[str]] = {}
        until = [0.0] * self.lanes
        crosses = []
        for row, lane in zip(rows, lanes, strict=True):
            y = _TOP + lane * self.row
            for bar in row.bars:
                begin = max(bar.begin, until[lane])
                paths.setdefault(bar.kind, []).append(self._bar(bar.kind, begin, bar.end, y))
            until[lane] = row.end
            if row.bars[-1].kind in ("failed", "again") and self.row >= 7:
                crosses.append(self._mark(row.bars[-1], y))
        for kind, (_, colour) in KINDS.items():
            path = "".join(paths.get(kind, ()))
            if path:
                yield f'<path d="{path}" fill="{colour}"/>'
        yield f'<path d="{"".join(crosses)}" stroke="#fff" stroke-width="1.5" fill="none"/>'
        if spoken:
            for row, lane in zip(rows, lanes, strict=True):
                around = self._rectangle(row.begin, row.end, _TOP + lane * self.row, self.row)
                yield f'<path d="{around}" opacity="0"><title>{escape(row.words)}</title></path>'

    def _bar(self, kind: str, begin: float, end: float, y: float) -> str:
        if self.x(end) - self.x(begin) < _NO_WIDTH and kind not in ("again", "failed"):
            return ""
        gap = self.row * (0.42 if kind == "wait" else 0.1)
        return self._rectangle(begin, end, y + gap, self.row - 2 * gap)

    def _rectangle(self, begin: float, end: float, y: float, height: float) -> str:
        x = self.x(begin)
        width = max(0.6, self.x(end) - x)
        return f"M{x:.1f} {y:.1f}h{width:.1f}v{height:.1f}h-{width:.1f}z"

    def _mark(self, bar: Bar, y: float) -> str:
        """A cross for what failed, an arrow back for what was tried again."""
        half = 2.5
        x, y = max(self.x(bar.begin) + half, self.x(bar.end) - 7), y + self.row / 2
        if bar.kind == "again":
            return f"M{x + half:.1f} {y - half:.1f}l-{half} {half}l{half} {half}"
        return f"M{x - half:.1f} {y - half:.1f}l5 5m0 -5l-5 5"

    def density(self, rows: Sequence[Row]) -> Iterator[str]:
        """How many were in flight, and with what."""
        below = [0.0] * _COLUMNS
        for kind in ("vendor", "body", "connect", "again", "failed"):
            within = [bar for row in rows for bar in row.bars if bar.kind == kind]
            if not within:
                continue
            above = [a + b for a, b in zip(below, self._covered(within), strict=True)]
            there, back = self._line(above), self._line(below)
            path = "M" + "L".join(there) + "L" + "L".join(reversed(back)) + "z"
            yield f'<path d="{path}" fill="{KINDS[kind][1]}"/>'
            below = above

    def _line(self, values: Sequence[float]) -> list[str]:
        step = (_RIGHT - _LEFT) / _COLUMNS
        bottom = _TOP + self.height
        return [
            f"{_LEFT + (n + 0.5) * step:.1f} {bottom - value * self.row:.1f}"
            for n, value in enumerate(values)
        ]

    def _covered(self, bars: Iterable[Bar]) -> list[float]:
        """How many of them each column has, on average."""
        changes = [0.0] * (_COLUMNS + 2)
        for bar in bars:
            for second, sign in ((bar.begin, 1.0), (bar.end, -1.0)):
                column, part = divmod(second / self.end * _COLUMNS, 1.0)
                place = min(int(column), _COLUMNS)
                changes[place] += sign * (1.0 - part)
                changes[place + 1] += sign * part
        return list(accumulate(changes))[:_COLUMNS]


def _legend(rows: Sequence[Row], dense: bool) -> Iterator[str]:
    """What the colours mean, of those that are there."""
    there = {bar.kind for row in rows for bar in row.bars} - ({"wait"} if dense else set())
    x = _LEFT
    for kind, (words, colour) in KINDS.items():
        if kind in there:
            thin = kind == "wait"
            y, height = (11, 2) if thin else (7, 10)
            yield f'<rect x="{x:g}" y="{y}" width="14" height="{height}" fill="{colour}"/>'
            yield f'<text x="{x + 19:g}" y="16">{words}</text>'
            x += 38 + 5.9 * len(words)


def _ticks(most: float, count: int) -> list[float]:
    """Round values from 0 to `most`, about so many."""
    power = 10.0 ** math.floor(math.log10(most / count))
    step = next(power * n for n in (1, 2, 5, 10) if power * n * count >= most * 0.999)
    return [round(step * n, 9) for n in range(int(most / step + 1e-9) + 1)]
