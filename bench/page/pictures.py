"""The five pictures. Each answers one question, and is drawn from plain data."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from nbp_async.display.lanes import counts_over_time
from nbp_async.display.svg import (
    PlotArea,
    Scale,
    decades,
    element,
    linear,
    logarithmic,
    path,
    picture,
    plain,
    steps,
    tag,
    ticks,
)

WIDTH = 720.0
MOST_SLOTS = 200  # rows of a strategy; more of them are drawn as how many are busy
_NAME = 150.0  # pixels for the names at the left
_LONG = 100.0  # seconds from which a tenth of one says nothing

Ended = Literal["image", "failed", "again"]


@dataclass(frozen=True)
class Bar:
    """What a slot was busy with; times in seconds. "again": an attempt that was repeated."""

    slot: int
    start: float
    end: float
    ended: Ended = "image"


@dataclass(frozen=True)
class Lane:
    """The slots of one strategy, and when the last image was there."""

    name: str
    bars: Sequence[Bar]
    makespan: float


@dataclass(frozen=True)
class Flight:
    """Requests in flight over time: what the client held, the limit, and what the server counted.

    `server_peak` is the most that the server counted at once; `server_points` its counts over
    time, if it kept them.
    """

    name: str
    points: Sequence[tuple[float, float]]
    limit: float
    server_peak: float
    server_points: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True)
class Point:
    """A measured value with its interval."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True)
class Dot:
    """What one strategy costs with so many in flight."""

    name: str
    in_flight: int
    cpu: float
    memory: float


def gantt(lanes: Sequence[Lane], *, unit: str = "s") -> str:
    """P1: what is the difference? A row is a slot, a bar an image, and all share one axis."""
    longest = max(lane.makespan for lane in lanes)
    x = linear(0, longest * 1.08, _NAME, WIDTH - 10)
    parts: list[str] = []
    top = 14.0
    for lane in lanes:
        height = _height(lane)
        parts += _lane(lane, x, top, height, unit)
        top += height + 14
    box = PlotArea(_NAME, 4, WIDTH - 10, top - 8)
    axis = list(box.bottom_axis(ticks(0, longest), x, label=f"time, {unit}", write=plain))
    description = "; ".join(
        f"{lane.name} ends after {plain(round(lane.makespan, 1))} {unit}" for lane in lanes
    )
    return _picture(
        top + 32,
        axis + parts,
        name="gantt",
        title="What the slots were busy with",
        description=description,
    )


def _height(lane: Lane) -> float:
    slots = _slots(lane)
    return 30.0 if slots > MOST_SLOTS else max(12.0, min(150.0, slots * 6.0))


def _slots(lane: Lane) -> int:
    return max((bar.slot for bar in lane.bars), default=0) + 1


def _lane(lane: Lane, x: Scale, top: float, height: float, unit: str) -> Iterator[str]:
    slots = _slots(lane)
    middle = top + height / 2
    yield tag("text", lane.name, x=_NAME - 8, y=middle - 1, class_="name end")
    words = f"{slots:,} slot{'s' if slots > 1 else ''}"
    yield tag("text", words, x=_NAME - 8, y=middle + 11, class_="tick end")
    if slots > MOST_SLOTS:
        yield from _density(lane, x, top, height, slots)
    else:
        row = height / slots
        for bar in lane.bars:
            yield element(
                "rect",
                x=x(bar.start),
                y=top + bar.slot * row + row * 0.08,
                width=max(0.6, x(bar.end) - x(bar.start) - 0.6),
                height=row * 0.84,
                class_=f"bar {bar.ended}",
            )
    end = x(lane.makespan)
    yield element("line", x1=end, x2=end, y1=top - 2, y2=top + height + 2, class_="end-mark")
    words = f"{plain(round(lane.makespan, 1 if lane.makespan < _LONG else None))} {unit}"
    yield tag("text", words, x=end + 4, y=middle + 4, class_="value")


def _density(lane: Lane, x: Scale, top: float, height: float, slots: int) -> Iterator[str]:
    """How many of them are busy, as one shape."""
    points = counts_over_time([(bar.start, bar.end) for bar in lane.bars])
    y = linear(0, slots, top + height, top)
    corners = [(x(a), y(b)) for a, b in _thinned(list(steps(points)))]
    base = top + height
    yield element(
        "path", d=path([*corners, (corners[-1][0], base), (corners[0][0], base)]), class_="area"
    )


def in_flight(flights: Sequence[Flight], *, unit: str = "s") -> str:
    """P2: is it really concurrent? One panel a strategy, the limit, and what the server counted."""
    longest = max(moment for flight in flights for moment, _ in flight.points)
    each, gap = 74.0, 30.0
    x = linear(0, longest * 1.02, _NAME, WIDTH - 20)
    parts: list[str] = []
    for number, flight in enumerate(flights):
        top = 14 + number * (each + gap)
        parts += _panel(flight, x, top, top + each)
    bottom = 14 + len(flights) * (each + gap) - gap
    box = PlotArea(_NAME, bottom, WIDTH - 20, bottom)
    parts += box.bottom_axis(ticks(0, longest), x, label=f"time, {unit}", write=plain)
    description = "; ".join(
        f"{f.name}: at most {plain(max(v for _, v in f.points))} of {plain(f.limit)}, "
        f"the server counted {plain(f.server_peak)}"
        for f in flights
    )
    return _picture(
        bottom + 40,
        parts,
        name="in-flight",
        title="Requests in flight over time",
        description=description,
    )


def _panel(flight: Flight, x: Scale, top: float, bottom: float) -> Iterator[str]:
    most = max(flight.limit, flight.server_peak, 1)
    y = linear(0, most * 1.12, bottom, top)
    right = WIDTH - 20
    yield tag("text", flight.name, x=_NAME - 8, y=(top + bottom) / 2, class_="name end")
    yield element("line", x1=_NAME, x2=right, y1=bottom, y2=bottom, class_="grid")
    corners = [(x(a), y(b)) for a, b in _thinned(list(steps(flight.points)))]
    shape = [*corners, (corners[-1][0], bottom), (corners[0][0], bottom)]
    yield element("path", d=path(shape), class_="area")
    yield element("path", d=path(corners), class_="line a")
    limit, peak = y(flight.limit), y(flight.server_peak)
    yield element("line", x1=_NAME, x2=right, y1=limit, y2=limit, class_="limit")
    yield tag("text", f"limit {plain(flight.limit)}", x=right, y=limit - 4, class_="tick end")
    if flight.server_points:
        counted = [(x(a), y(b)) for a, b in _thinned(list(steps(flight.server_points)))]
        yield element("path", d=path(counted), class_="witness")
    elif abs(limit - peak) > 1:
        yield element("line", x1=_NAME, x2=right, y1=peak, y2=peak, class_="witness")
    counted_peak = f"the server counted {plain(flight.server_peak)}"
    yield tag("text", counted_peak, x=_NAME + 4, y=min(peak, limit) - 4, class_="tick")


def scaling(
    curves: Mapping[str, Sequence[Point]],
    *,
    bound: Sequence[tuple[float, float]],
    names: Sequence[str] = (),
) -> str:
    """P3: where does each stop scaling? Images a minute by requests in flight, both logarithmic.

    `names` gives each strategy the same colour in all pictures; without it they go by their order.
    """
    hues = _hues(names or list(curves))
    points = [point for curve in curves.values() for point in curve]
    xs = [p.x for p in points] + [a for a, _ in bound]
    ys = [p.low for p in points if p.low > 0] + [p.high for p in points] + [b for _, b in bound]
    box = PlotArea(64, 24, WIDTH - 150, 330)
    x = logarithmic(min(xs) / 1.15, max(xs) * 1.15, box.left, box.right)
    y = logarithmic(min(ys) / 1.3, max(ys) * 1.3, box.bottom, box.top)
    parts = [
        *box.bottom_axis(decades(min(xs), max(xs)), x, label="requests in flight", write=plain),
        *box.left_axis(decades(min(ys), max(ys)), y, label="images a minute", write=plain),
        element("path", d=path([(x(a), y(b)) for a, b in bound]), class_="limit"),
    ]
    ends: list[tuple[float, str, str]] = [(y(bound[-1][1]), "what is possible", "tick")]
    for name, curve in curves.items():
        parts += _curve(curve, x, y, hues[name])
        ends.append((y(curve[-1].y), name, f"key {hues[name]}"))
    parts += _named(ends, box.right + 8)
    description = "; ".join(
        f"{name}: {plain(round(curve[-1].y, 1))} with {plain(curve[-1].x)} in flight"
        for name, curve in curves.items()
    )
    return _picture(
        370,
        parts,
        name="scaling",
        title="Images a minute by requests in flight",
        description=description,
    )


def _curve(curve: Sequence[Point], x: Scale, y: Scale, hue: str) -> Iterator[str]:
    """A line with its points, on the ribbon of its interval."""
    ribbon = [(x(p.x), y(p.high)) for p in curve] + [(x(p.x), y(p.low)) for p in curve[::-1]]
    yield element("path", d=path(ribbon), class_=f"ribbon {hue}")
    yield element("path", d=path([(x(p.x), y(p.y)) for p in curve]), class_=f"line {hue}")
    for p in curve:
        yield element("circle", cx=x(p.x), cy=y(p.y), r=3.0, class_=f"dot {hue}")


def latency(
    series: Mapping[str, Sequence[float]], *, unit: str = "s", names: Sequence[str] = ()
) -> str:
    """P4: what about the tail? The part of the images that was done within a time."""
    hues = _hues(names or list(series))
    values = [value for one in series.values() for value in one if value > 0]
    low, high = max(min(values) / 1.1, max(values) / 1e4), max(values) * 1.05
    box = PlotArea(64, 24, WIDTH - 150, 300)
    x = logarithmic(low, high, box.left, box.right)
    y = linear(0, 1, box.bottom, box.top)
    parts = [
        *box.bottom_axis(decades(low, high), x, label=f"time of an image, {unit}", write=plain),
        *box.left_axis(
            [0, 0.5, 0.95, 1], y, label="part of the images", write=lambda v: f"{v:.0%}"
        ),
    ]
    ends: list[tuple[float, str, str]] = []
    for number, (name, unsorted) in enumerate(series.items()):
        ordered = sorted(max(value, low) for value in unsorted)
        parts += _distribution(ordered, low, x, y, hues[name])
        ends.append((y(1) + number * 14, name, f"key {hues[name]}"))
    parts += _named(ends, box.right + 8)
    description = "; ".join(
        f"{name}: half within {plain(round(sorted(v)[len(v) // 2], 2))} {unit}, all within "
        f"{plain(round(max(v), 2))} {unit}"
        for name, v in series.items()
    )
    return _picture(
        340,
        parts,
        name="latency",
        title="How long an image takes",
        description=description,
    )


def _distribution(
    ordered: Sequence[float], low: float, x: Scale, y: Scale, hue: str
) -> Iterator[str]:
    """The part of the values up to each, as a line with dots at p50, p95 and p99."""
    count = len(ordered)
    points = [(low, 0.0), *((value, (n + 1) / count) for n, value in enumerate(ordered))]
    corners = [(x(a), y(b)) for a, b in _thinned(list(steps(points)))]
    yield element("path", d=path(corners), class_=f"line {hue}")
    for part in (0.5, 0.95, 0.99):
        value = ordered[min(count - 1, int(part * count))]
        yield element("circle", cx=x(value), cy=y(part), r=2.5, class_=f"dot {hue}")


def cost(dots: Sequence[Dot]) -> str:
    """P5: what do I pay? CPU an image and memory a request in flight, one row a strategy."""
    row, left, gap = 24.0, 190.0, 40.0
    middle = left + (WIDTH - left - 30) / 2
    height = 34 + row * len(dots)
    parts: list[str] = []
    fields = (
        (left, middle - gap / 2, "CPU ms an image", [d.cpu for d in dots], "s0"),
        (middle + gap / 2, WIDTH - 30, "MB a request in flight", [d.memory for d in dots], "s2"),
    )
    for start, end, label, values, hue in fields:
        above = [value for value in values if value > 0] or [1.0]
        low, high = min(above) / 1.6, max(above) * 2.2
        x = logarithmic(low, high, start, end)
        box = PlotArea(start, 24, end, height - 6)
        parts += box.bottom_axis(decades(low, high), x, label=label, write=plain)
        for number, value in enumerate(values):
            at = 24 + row * (number + 0.5)
            parts.append(element("line", x1=start, x2=x(value), y1=at, y2=at, class_="stem"))
            parts.append(element("circle", cx=x(value), cy=at, r=4.5, class_=f"dot {hue}"))
            parts.append(tag("text", _short(value), x=x(value) + 8, y=at + 4, class_="value"))
    for number, dot in enumerate(dots):
        at = 24 + row * (number + 0.5)
        name = f"{dot.name}, {dot.in_flight:,}"
        parts.append(tag("text", name, x=left - 12, y=at + 4, class_="name end"))
    description = "; ".join(
        f"{d.name} with {d.in_flight}: {_short(d.cpu)} ms and {_short(d.memory)} MB" for d in dots
    )
    return _picture(
        height + 34,
        parts,
        name="cost",
        title="What concurrency costs",
        description=description,
    )


def _picture(
    height: float, parts: Iterable[str], *, name: str, title: str, description: str
) -> str:
    """A whole picture, with words for those who cannot see it."""
    words = (
        tag("title", title, id=f"{name}-title"),
        tag("desc", f"{description}.", id=f"{name}-desc"),
    )
    labels = f"{name}-title {name}-desc"
    return picture(WIDTH, height, [*words, *parts], id=name, aria_labelledby=labels)


def _hues(names: Sequence[str]) -> dict[str, str]:
    """A class of the style sheet for each name."""
    return {name: f"s{number % 8}" for number, name in enumerate(names)}


def _named(ends: Sequence[tuple[float, str, str]], x: float) -> Iterator[str]:
    """Names at the ends of lines, moved apart where they would meet."""
    at = -100.0
    for wanted, name, kind in sorted(ends):
        at = max(wanted, at + 14)
        yield tag("text", name, x=x, y=at + 4, class_=kind)


def _thinned(points: list[tuple[float, float]], most: int = 600) -> list[tuple[float, float]]:
    """No more points than can be seen, and always the last."""
    if len(points) <= most:
        return points
    every = len(points) / most
    kept = [points[int(number * every)] for number in range(most)]
    return [*kept, points[-1]]


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"
