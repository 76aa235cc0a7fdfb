"""SVG by hand: elements, scales and axes, for the timeline of a batch and for the bench.

An axis is drawn in the colour of the page's text and needs no style sheet, for a notebook may
strip it; where there is one, its rules for the classes win.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

Scale = Callable[[float], float]


def tag(name: str, text: str = "", **attributes: object) -> str:
    """One element; `text` is escaped, `class_` becomes `class`, underscores become hyphens."""
    return element(name, escape(text), **attributes)


def element(name: str, inside: str = "", **attributes: object) -> str:
    """One element around others that are SVG already."""
    words = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_number(value), quote=True)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{words}>{inside}</{name}>" if inside else f"<{name}{words}/>"


def picture(width: float, height: float, parts: Iterable[str], **attributes: object) -> str:
    """A whole picture. Its size follows the page."""
    return element(
        "svg",
        "".join(parts),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        **attributes,
    )


def linear(low: float, high: float, start: float, end: float) -> Scale:
    """From values to pixels, evenly."""
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def logarithmic(low: float, high: float, start: float, end: float) -> Scale:
    """From values above zero to pixels, by their logarithm."""
    inner = linear(math.log10(low), math.log10(high), start, end)
    return lambda value: inner(math.log10(max(value, low)))


def ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Round values from `low` to `high`, about so many."""
    rough = (high - low) / max(1, count)
    if rough <= 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * n for n in (1, 2, 2.5, 5, 10) if power * n >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [step * n for n in range(first, math.floor(high / step + 1e-9) + 1)]


def decades(low: float, high: float) -> list[float]:
    """1, 10, 100 and so on between the two; more, or even steps, where these are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    few = len(powers) <= 3
    values = [10.0**p * n for p in powers for n in ((1, 2, 5) if few else (1,))]
    within = [value for value in values if low * 0.999 <= value <= high * 1.001]
    return within if len(within) > 2 else [value for value in ticks(low, high, 5) if value > 0]


def path(points: Iterable[tuple[float, float]]) -> str:
    """A line through these points, as a path's `d`."""
    return "M" + "L".join(f"{_number(x)} {_number(y)}" for x, y in points)


def steps(points: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """The corners of a line that keeps its value until the next point."""
    before: float | None = None
    for x, y in points:
        if before is not None:
            yield x, before
        yield x, y
        before = y


@dataclass(frozen=True)
class PlotArea:
    """Where the values of a plot are drawn, in pixels of its picture."""

    left: float
    top: float
    right: float
    bottom: float

    def bottom_axis(
        self, values: Iterable[float], x: Scale, *, label: str, write: Callable[[float], str]
    ) -> Iterator[str]:
        """Ticks with their numbers below, faint lines above them, and the label."""
        for value in values:
            yield _grid((x(value), self.top), (x(value), self.bottom))
            yield _text(write(value), x(value), self.bottom + 14, "tick", "middle")
        middle = (self.left + self.right) / 2
        yield _text(label, middle, self.bottom + 30, "label", "middle")

    def left_axis(
        self,
        values: Iterable[float],
        y: Scale,
        *,
        label: str = "",
        write: Callable[[float], str],
        grid: bool = True,
    ) -> Iterator[str]:
        """The same at the left; the label stands above the axis, where it can be read."""
        for value in values:
            if grid:
                yield _grid((self.left, y(value)), (self.right, y(value)))
            yield _text(write(value), self.left - 6, y(value) + 3.5, "tick", "end")
        if label:
            yield _text(label, self.left - 34, self.top - 8, "label", "start")


def plain(value: float) -> str:
    """A number as people write it: 1,000, 2.5, 0.05."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:g}" if value >= 0.01 or value == 0 else f"{value:.0e}"


def text_width(text: str, size: float = 12.0) -> float:
    """About how many pixels a text takes in a sans-serif font; nobody can measure it here."""
    return size * sum(0.32 if sign in " ,.:ijltfr1" else 0.6 for sign in text)


def _grid(begin: tuple[float, float], end: tuple[float, float]) -> str:
    return element(
        "path", d=path([begin, end]), class_="grid", stroke="currentColor", stroke_opacity=0.15
    )


def _text(text: str, x: float, y: float, kind: str, anchor: str) -> str:
    return tag("text", text, x=x, y=y, class_=f"{kind} {anchor}", text_anchor=anchor)


def _number(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".") or "0"
    return str(value)
