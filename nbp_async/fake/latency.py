"""How long a request is held, in simulated seconds. Pure: chance comes in as a quantile in [0, 1).

The default is what people measure with Nano Banana Pro: 30 to 170 s, evenly spread.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Protocol

_NORMAL = NormalDist()
_MOST = 1 - 2**-40  # a normal distribution has no end, a request must have one


def _check(low: float, high: float) -> None:
    if not 0 <= low <= high < math.inf:
        raise ValueError(f"a latency must be 0 s or more and finite, not {low:g} to {high:g}")


class Latency(Protocol):
    """How long images take; `str` of it is a text that `latency_of` reads."""

    def seconds(self, quantile: float, size: str) -> float:
        """Simulated seconds of an image of `size` ("1K", "2K", "4K"), for a quantile in [0, 1)."""
        ...


@dataclass(frozen=True, slots=True)
class Fixed:
    """Always the same."""

    hold: float

    def __post_init__(self) -> None:
        _check(self.hold, self.hold)

    def seconds(self, quantile: float, size: str) -> float:  # noqa: ARG002
        return self.hold

    def __str__(self) -> str:
        return f"{self.hold:g}"


@dataclass(frozen=True, slots=True)
class Uniform:
    """Evenly spread from `low` to `high`."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _check(self.low, self.high)

    def seconds(self, quantile: float, size: str) -> float:  # noqa: ARG002
        return self.low + quantile * (self.high - self.low)

    def __str__(self) -> str:
        return f"{self.low:g}-{self.high:g}"


@dataclass(frozen=True, slots=True)
class Lognormal:
    """A long tail: half are faster than `median`; `sigma` is the spread of the logarithm."""

    median: float
    sigma: float

    def __post_init__(self) -> None:
        _check(self.median, self.median)
        _check(self.sigma, self.sigma)
        if not self.median:
            raise ValueError("a lognormal latency must have a median above 0 s")

    def seconds(self, quantile: float, size: str) -> float:  # noqa: ARG002
        quantile = min(max(quantile, 1 - _MOST), _MOST)
        return self.median * math.exp(self.sigma * _NORMAL.inv_cdf(quantile))

    def __str__(self) -> str:
        return f"lognormal:{self.median:g}:{self.sigma:g}"


@dataclass(frozen=True, slots=True)
class BySize:
    """Evenly spread within what a relay measured: 1K 30-90 s, 2K 50-120 s, 4K 100-170 s."""

    def seconds(self, quantile: float, size: str) -> float:
        low, high = _MEASURED.get(size, _MEASURED["2K"])
        return low + quantile * (high - low)

    def __str__(self) -> str:
        return "by-size"


LatencyOption = Latency | float | tuple[float, float] | str
"""What `latency_of` reads."""

_MEASURED = {"1K": (30.0, 90.0), "2K": (50.0, 120.0), "4K": (100.0, 170.0)}
DEFAULT = Uniform(30, 170)


def latency_of(value: LatencyOption) -> Latency:
    """The latency of a number, a pair, or a text that `parse_latency` reads."""
    if isinstance(value, str):
        return parse_latency(value)
    if isinstance(value, int | float):
        return Fixed(float(value))
    if isinstance(value, tuple):
        return Uniform(*value)
    return value


def parse_latency(text: str) -> Latency:
    """Read "120", "30-170", "by-size" or "lognormal:90:0.4" (median, sigma).

    Raises:
        ValueError: It is not one of these.
    """
    try:
        if text == "by-size":
            return BySize()
        if text.startswith("lognormal:"):
            _, median, sigma = text.split(":")
            return Lognormal(float(median), float(sigma))
        low, dash, high = text.partition("-")
        return Uniform(float(low), float(high)) if dash else Fixed(float(low))
    except ValueError as exc:
        raise ValueError(
            f'latency {text!r}: seconds as "120" or "30-170", "by-size", or "lognormal:90:0.4"'
        ) from exc
