"""Spans of time beside each other: which lane each one gets, and how many there are at once."""

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush

Span = tuple[float, float]


def lanes_of(spans: Iterable[Span], *, slack: float = 0.0) -> list[int]:
    """The lane of each span, from 0: the lowest that is free. Spans come in order of their begin.

    A lane is free again `slack` seconds before its span ends, for clocks that are not exact.
    """
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    lanes = []
    for begin, end in spans:
        while busy and busy[0][0] <= begin + slack:
            heappush(free, heappop(busy)[1])
        lane = heappop(free) if free else len(busy)
        heappush(busy, (end, lane))
        lanes.append(lane)
    return lanes


def counts_over_time(spans: Sequence[Span]) -> list[tuple[float, float]]:
    """How many spans there are from each moment on, from 0 at second 0."""
    changes = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
    points, count = [(0.0, 0.0)], 0
    for moment, change in changes:
        count += change
        if points[-1][0] == moment:
            points.pop()
        points.append((moment, float(count)))
    return points
