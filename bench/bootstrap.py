"""Intervals by the bootstrap: how far a mean of few repetitions can be trusted."""

import random
from collections.abc import Sequence
from statistics import fmean

from bench.records import Interval

_DRAWS = 2000


def interval(values: Sequence[float], seed: int = 0) -> Interval:
    """The mean, and where 95 % of the means of resampled values lie."""
    mid = fmean(values)
    if len(set(values)) == 1:
        return Interval(mid, mid, mid)
    rng = random.Random(seed)
    means = sorted(fmean(rng.choices(values, k=len(values))) for _ in range(_DRAWS))
    return Interval(mid, *_middle(means))


def ratio(values: Sequence[float], base: Sequence[float], seed: int = 0) -> Interval:
    """The mean of `values` by that of `base`, both resampled."""
    mid = fmean(values) / fmean(base)
    if len(set(values)) == len(set(base)) == 1:
        return Interval(mid, mid, mid)
    rng = random.Random(seed)
    ratios = sorted(
        fmean(rng.choices(values, k=len(values))) / fmean(rng.choices(base, k=len(base)))
        for _ in range(_DRAWS)
    )
    return Interval(mid, *_middle(ratios))


def _middle(ordered: Sequence[float]) -> tuple[float, float]:
    """Without the lowest and the highest 2.5 %."""
    cut = len(ordered) // 40
    return ordered[cut], ordered[-cut - 1]
