"""Ticks of an axis, and lanes of spans."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from nbp_async.display.lanes import counts_over_time, lanes_of
from nbp_async.display.svg import decades, ticks

moments = st.floats(0, 1000, allow_nan=False)


@given(st.floats(0, 1e6), st.floats(0.1, 1e6), st.integers(1, 12))
def test_ticks_are_round_and_within(low: float, span: float, count: int) -> None:
    found = ticks(low, low + span, count)
    assert len(found) <= count + 2
    assert all(low - span * 1e-6 <= value <= low + span * (1 + 1e-6) for value in found)


@given(st.floats(1e-3, 1e3), st.floats(1.01, 1e4))
def test_decades_are_within(low: float, factor: float) -> None:
    assert all(low * 0.99 <= value <= low * factor * 1.01 for value in decades(low, low * factor))


@given(st.lists(st.tuples(moments, moments), min_size=1, max_size=40))
def test_a_lane_holds_one_request_at_a_time_and_no_lane_is_too_many(
    pairs: list[tuple[float, float]],
) -> None:
    spans = sorted((min(pair), max(pair)) for pair in pairs)
    lanes = lanes_of(spans)
    for lane in set(lanes):
        own = [span for span, place in zip(spans, lanes, strict=True) if place == lane]
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(own))
    changes = sorted([(a, 1) for a, b in spans if b > a] + [(b, -1) for a, b in spans if b > a])
    most = max(itertools.accumulate(change for _, change in changes), default=0)
    assert max(lanes) + 1 <= most + sum(a == b for a, b in spans)
    assert max(lanes) + 1 >= most
    assert max(count for _, count in counts_over_time(spans)) == most
