"""The picture of a timeline: what was in flight when, as SVG that is small enough for a notebook.

Each request is a row of bars in a lane of its own while it is in flight. Bars of one kind are one
path, which keeps thousands of them small. More than that is drawn as one shape: how many requests
were in flight. Text takes the page's own colour.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Literal, NamedTuple

from nbp_async._base.html import BLUE, GREEN, RED
from nbp_async.display.svg import PlotArea, element, linear, path, picture, tag, text_width, ticks

BarKind = Literal["wait", "connect", "vendor", "body", "again", "failed"]

BAR_KINDS: dict[BarKind, tuple[str, str]] = {
    "wait": ("waiting to be sent", "#8a8a8a"),
    "connect": ("connecting", "#9467bd"),
    "vendor": ("sent, until the first byte", BLUE),
    "body": ("receiving", GREEN),
    "again": ("tried again", "#b8801a"),
    "failed": ("failed", RED),
}
"""What a bar can be, in words and as a colour that stands out from light and from dark paper."""

_WIDTH = 760.0
_LEFT, _RIGHT, _TOP = 44.0, 744.0, 34.0  # the last number stands half beyond the right
_MOST_LANES = 250
_MOST_BARS = 8000  # that can be seen
_COLUMNS = 350  # of the shape that stands for more than that
_MOST_HEIGHT = 360.0  # pixels of all lanes together
_INVISIBLE = 0.3  # pixels
_UNITS = ((172_800.0, 86_400.0, "days"), (10_800.0, 3600.0, "hours"), (300.0, 60.0, "minutes"))


class Bar(NamedTuple):
    """What a request did, from `begin` to `end` in seconds."""

    kind: BarKind
    begin: float
    end: float


class RequestBars(NamedTuple):
    """One request: its bars in their order, and what to say about it.

    It is in flight from `begin` to `end`; a bar for waiting may stand before `begin`.
    """

    begin: float
    end: float
    bars: tuple[Bar, ...]
    words: str


def is_dense(requests: Sequence[RequestBars], lanes: Sequence[int]) -> bool:
    """They are too many to be drawn one by one."""
    least = max(request.end for request in requests) / (_RIGHT - _LEFT) * _INVISIBLE
    bars = (bar for request in requests for bar in request.bars)
    seen = (bar.end - bar.begin >= least or bar.kind in ("again", "failed") for bar in bars)
    return max(lanes) >= _MOST_LANES or sum(seen) > _MOST_BARS


def timeline_svg(
    requests: Sequence[RequestBars],
    lanes: Sequence[int],
    *,
    end: float,
    description: str,
    titles: bool,
    style: str = "",
) -> str:
    """The picture.

    Args:
        requests: In the order of `begin`; at least one.
        lanes: Of these requests.
        end: Where the axis ends, in seconds.
        description: The picture in words.
        titles: Each request shows its words when it is pointed at.
        style: CSS for a picture that stands alone.
    """
    count = max(lanes) + 1
    height = min(_MOST_HEIGHT, max(40.0, count * 16.0))
    dense = is_dense(requests, lanes)
    plot = _TimelinePlot(count, height, end or 1.0)
    shapes = plot.density(requests) if dense else plot.bars(requests, lanes, titles=titles)
    return picture(
        _WIDTH,
        _TOP + height + 36,
        [style, *_legend(requests, dense), *plot.axes(dense), *shapes],
        class_="nbp-timeline",
        aria_label=description,
        font_family="system-ui,sans-serif",
        font_size=12,
        fill="currentColor",
        style="width:100%;min-width:36rem;display:block",
    )


class _TimelinePlot:
    """Lanes and seconds as places in the picture."""

    def __init__(self, lanes: int, height: float, end: float) -> None:
        self.lanes = lanes
        self.end = end
        self.lane_height = height / lanes
        self.bottom = _TOP + height
        self.x = linear(0, end, _LEFT, _RIGHT)

    def axes(self, dense: bool) -> Iterator[str]:
        """Time below, with its unit; lanes, or how many are in flight, at the left."""
        area = PlotArea(_LEFT, _TOP, _RIGHT, self.bottom)
        unit, name = next(((u, n) for least, u, n in _UNITS if self.end >= least), (1.0, "seconds"))
        times = [value * unit for value in ticks(0, self.end / unit, 8)]
        yield from area.bottom_axis(times, self.x, label=name, write=lambda t: f"{t / unit:,g}")
        first, shift = (0, 0.0) if dense else (1, self.lane_height / 2)
        numbers = (n for n in ticks(0, self.lanes, 6) if n >= first and n == int(n))
        top, bottom = (self.bottom, _TOP) if dense else (_TOP - shift, self.bottom - shift)
        y = linear(0, self.lanes, top, bottom)
        yield from area.left_axis(numbers, y, write=lambda n: f"{n:,.0f}", grid=dense)

    def bars(
        self, requests: Sequence[RequestBars], lanes: Sequence[int], *, titles: bool
    ) -> Iterator[str]:
        """A bar for whatever each request did."""
        paths: dict[BarKind, list[str]] = {kind: [] for kind in BAR_KINDS}
        lane_ends = [0.0] * self.lanes  # a bar for waiting starts where the lane is free
        marks, named = [], []
        for request, lane in zip(requests, lanes, strict=True):
            top = _TOP + lane * self.lane_height
            for bar in request.bars:
                paths[bar.kind].append(self._bar(bar, max(bar.begin, lane_ends[lane]), top))
            lane_ends[lane] = request.end
            if request.bars[-1].kind in ("failed", "again") and self.lane_height >= 7:
                marks.append(self._mark(request.bars[-1], top))
            if titles:
                around = self._rectangle(request.begin, request.end, top, self.lane_height)
                named.append(element("path", tag("title", request.words), d=around, opacity=0))
        for kind, (_, colour) in BAR_KINDS.items():
            if shapes := "".join(paths[kind]):
                yield element("path", d=shapes, fill=colour)
        yield element("path", d="".join(marks), stroke="#fff", stroke_width=1.5, fill="none")
        yield from named

    def _bar(self, bar: Bar, begin: float, top: float) -> str:
        narrow = self.x(bar.end) - self.x(begin) < _INVISIBLE
        if narrow and bar.kind not in ("again", "failed"):
            return ""
        gap = self.lane_height * (0.42 if bar.kind == "wait" else 0.1)
        return self._rectangle(begin, bar.end, top + gap, self.lane_height - 2 * gap)

    def _rectangle(self, begin: float, end: float, top: float, height: float) -> str:
        x = self.x(begin)
        width = max(0.6, self.x(end) - x)
        return f"M{x:.1f} {top:.1f}h{width:.1f}v{height:.1f}h-{width:.1f}z"

    def _mark(self, bar: Bar, top: float) -> str:
        """A cross for what failed, an arrow back for what was tried again."""
        half = 2.5
        x = max(self.x(bar.begin) + half, self.x(bar.end) - 7)
        y = top + self.lane_height / 2
        if bar.kind == "again":
            return f"M{x + half:.1f} {y - half:.1f}l-{half} {half}l{half} {half}"
        return f"M{x - half:.1f} {y - half:.1f}l5 5m0 -5l-5 5"

    def density(self, requests: Sequence[RequestBars]) -> Iterator[str]:
        """How many requests were in flight, and what they did, as areas on top of each other."""
        y = linear(0, self.lanes, self.bottom, _TOP)
        step = (_RIGHT - _LEFT) / _COLUMNS
        columns = [_LEFT + (n + 0.5) * step for n in range(_COLUMNS)]
        below = [0.0] * _COLUMNS
        for kind in ("vendor", "body", "connect", "again", "failed"):
            bars = [bar for request in requests for bar in request.bars if bar.kind == kind]
            if not bars:
                continue
            above = [a + b for a, b in zip(below, self._covered(bars), strict=True)]
            upper = [(x, y(count)) for x, count in zip(columns, above, strict=True)]
            lower = [(x, y(count)) for x, count in zip(columns, below, strict=True)]
            yield element("path", d=f"{path([*upper, *lower[::-1]])}z", fill=BAR_KINDS[kind][1])
            below = above

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


def _legend(requests: Sequence[RequestBars], dense: bool) -> Iterator[str]:
    """What the colours mean, of those that are there."""
    there = {bar.kind for request in requests for bar in request.bars}
    x = _LEFT
    for kind, (words, colour) in BAR_KINDS.items():
        if kind in there and not (dense and kind == "wait"):
            y, height = (11, 2) if kind == "wait" else (7, 10)
            yield element("rect", x=x, y=y, width=14, height=height, fill=colour)
            yield tag("text", words, x=x + 19, y=16)
            x += 19 + text_width(words) + 16
