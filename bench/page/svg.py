"""SVG by hand: elements, scales and axes. Colours are classes, so that the page's style decides."""

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


def picture(
    width: float, height: float, parts: Iterable[str], *, name: str, title: str, description: str
) -> str:
    """A whole picture, with words for who cannot see it. Its size follows the page."""
    return element(
        "svg",
        tag("title", title, id=f"{name}-title")
        + tag("desc", description, id=f"{name}-desc")
        + "".join(parts),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        id=name,
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
    step = next(power * n for n in (1, 2, 2.5, 5, 10) if power * n >= rough)
    first = math.ceil(low / step - 1e-9)
    return [step * n for n in range(first, math.floor(high / step + 1e-9) + 1)]


def decades(low: float, high: float) -> list[float]:
    """1, 10, 100 and so on between the two; more, or even steps, where these are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    few = len(powers) <= 3
    found = [10.0**p * n for p in powers for n in ((1, 2, 5) if few else (1,))]
    within = [value for value in found if low * 0.999 <= value <= high * 1.001]
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
class Box:
    """Where a plot's values are drawn, within its picture."""

    left: float
    top: float
    right: float
    bottom: float

    def bottom_axis(
        self, values: Iterable[float], x: Scale, *, label: str, write: Callable[[float], str]
    ) -> Iterator[str]:
        """Ticks with their words below, faint lines above them, and what the axis is."""
        for value in values:
            at = x(value)
            yield element("line", x1=at, x2=at, y1=self.top, y2=self.bottom, class_="grid")
            yield tag("text", write(value), x=at, y=self.bottom + 14, class_="tick middle")
        middle = (self.left + self.right) / 2
        yield tag("text", label, x=middle, y=self.bottom + 30, class_="label middle")

    def left_axis(
        self, values: Iterable[float], y: Scale, *, label: str, write: Callable[[float], str]
    ) -> Iterator[str]:
        """The same at the left; what the axis is stands above it, where it can be read."""
        for value in values:
            at = y(value)
            yield element("line", x1=self.left, x2=self.right, y1=at, y2=at, class_="grid")
            yield tag("text", write(value), x=self.left - 6, y=at + 3.5, class_="tick end")
        yield tag("text", label, x=self.left - 34, y=self.top - 8, class_="label")


def plain(value: float) -> str:
    """A number as people write it: 1,000, 2.5, 0.05."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:g}" if value >= 0.01 or value == 0 else f"{value:.0e}"


def _number(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".") or "0"
    return str(value)
