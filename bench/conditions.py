"""Conditions on rows, for CI: `--fail-if 'nbp.of_bound<0.95'`."""

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.records import Interval, Row

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_FORM = re.compile(r"\s*([\w/*]+)\.([a-z_0-9.]+)\s*(<=|>=|==|!=|<|>)\s*(-?\d+(?:\.\d+)?)\s*")
_FIGURES = (
    "makespan",
    "of_bound",
    "of_order",
    "images_per_minute",
    "cpu_ms_per_image",
    "memory_bytes",
    "memory_per_call",
    "goodput",
    "failed",
    "valid",
    "reps",
    "service.p50",
    "service.p95",
    "service.p99",
    "service.max",
    "money.billed",
    "money.delivered",
    "money.maybe",
    "money.twice",
    "money.lost",
)


@dataclass(frozen=True)
class Condition:
    """`strategy.figure < number`, or `scenario/strategy.figure`; holds if it does for any row."""

    text: str
    scenario: str
    strategy: str
    figure: str
    sign: str
    number: float

    def held_by(self, rows: Sequence[Row]) -> Iterator[str]:
        """A sentence for each row that it holds for, by the middle of intervals.

        A condition that no row can answer holds too, so that a typo fails the build.
        """
        mine = [row for row in rows if row.strategy == self.strategy]
        mine = [row for row in mine if self.scenario in ("", row.scenario)]
        values = [(row, figure_of(row, self.figure)) for row in mine]
        known = [(row, value) for row, value in values if value is not None]
        if not known:
            yield f"{self.text}: no row has this figure"
        for row, value in known:
            if _COMPARE[self.sign](value, self.number):
                yield f"{self.text}: {row.id} has {value:.6g}"


def conditions(texts: Sequence[str]) -> list[Condition]:
    """Read conditions.

    Raises:
        ValueError: One cannot be read.
    """
    found = []
    for text in texts:
        match = _FORM.fullmatch(text)
        if match is None or match[2] not in _FIGURES:
            raise ValueError(
                f"--fail-if {text!r}: a strategy, a figure, a sign and a number, as "
                f"nbp.of_bound<0.95; figures are {', '.join(_FIGURES)}"
            )
        scenario, _, strategy = match[1].rpartition("/")
        found.append(Condition(text, scenario, strategy, match[2], match[3], float(match[4])))
    return found


def figure_of(row: Row, name: str) -> float | None:
    """A figure of a row by its name (of an interval the middle); None if it is not measured."""
    value: object = row
    for part in name.split("."):
        value = getattr(value, part)
    if isinstance(value, Interval):
        return value.mid
    return float(value) if isinstance(value, int | float) else None
