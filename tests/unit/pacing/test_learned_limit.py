"""A limit that is found by asking: it grows while nothing is refused, and a refusal is earned."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbp_async._pacing.learned_limit import (
    EARNED,
    LONGEST_REST,
    PROOF,
    REST,
    KeptLimit,
    LearnedLimit,
)


def settled(at: int, *, ceiling: int = 1000) -> LearnedLimit:
    """A limit whose first refusal came at 0 s, with so many in flight beside it."""
    limit = LearnedLimit(start=at, floor=1, ceiling=ceiling)
    limit.refused(0.0, -1.0, at)
    return limit


def fill(limit: LearnedLimit, now: float, requests: int = 1) -> None:
    for _ in range(requests):
        limit.departed(now, limit.value)


def test_it_grows_by_half_when_a_full_limit_was_not_refused() -> None:
    limit = LearnedLimit(start=8, floor=1, ceiling=1000)
    limit.departed(0.0, 7)
    assert limit.until is None, "what nobody asks for is not learned"
    limit.departed(1.0, 8)
    assert limit.until == 1.0 + PROOF
    assert not limit.grow(1.0 + PROOF / 2)
    assert limit.grow(1.0 + PROOF)
    assert limit.value == 12
    assert limit.is_searching


def test_a_refusal_keeps_a_little_less_than_what_was_held_and_ends_the_search() -> None:
    limit = LearnedLimit(start=100, floor=1, ceiling=1000)
    assert limit.refused(10.0, 9.0, 80)
    assert 70 < limit.value < 80
    assert not limit.is_searching


def test_the_others_of_a_wave_say_more_exactly_how_many_are_held() -> None:
    limit = LearnedLimit(start=150, floor=1, ceiling=1000)
    limit.refused(10.0, 9.0, 149)
    limit.refused(10.1, 9.0, 120)
    limit.refused(10.2, 9.0, 100)
    after = limit.value
    assert 90 < after < 100
    limit.refused(60.0, 9.0, 3)
    assert limit.value == after, "one that comes late says nothing"


def test_after_a_refusal_it_rests_and_must_earn_the_next() -> None:
    limit = settled(40)
    fill(limit, 1.0)
    assert limit.until == LONGEST_REST
    fill(limit, 2.0, EARNED)
    assert limit.until == REST
    before = limit.value
    assert limit.grow(REST)
    assert limit.value == before + 1


def test_steps_become_larger_while_nothing_is_refused() -> None:
    limit = settled(40)
    fill(limit, 1.0, EARNED)
    now, values = REST, [limit.value]
    for _ in range(6):
        limit.grow(now)
        values.append(limit.value)
        fill(limit, now)
        assert limit.until is not None
        now = limit.until
    steps = [b - a for a, b in pairwise(values)]
    assert steps == sorted(steps)
    assert steps[-1] > 4


def test_a_cut_among_hundreds_says_nothing_and_many_halve_it_once_a_hold() -> None:
    limit = LearnedLimit(start=200, floor=1, ceiling=1000)
    assert not any(limit.lost(float(second), 100.0) for second in range(10))
    assert limit.lost(10.0, 100.0)
    assert limit.value == 100
    assert not any(limit.lost(11.0, 100.0) for _ in range(50)), "the same trouble"
    assert limit.until is None
    fill(limit, 12.0)
    assert limit.until == 10.0 + 200.0, "two holds of rest"


def test_a_limit_of_an_earlier_run_is_not_searched_again() -> None:
    limit = LearnedLimit(start=60, floor=1, ceiling=1000, is_known=True)
    limit.departed(0.0, 60)
    assert limit.grow(PROOF + 5.0)
    assert limit.value == 61


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["depart", "refuse", "lose", "grow"]),
        st.floats(0.0, 120.0),
        st.integers(0, 500),
    ),
    max_size=80,
)


@given(EVENTS, st.integers(1, 20), st.integers(1, 400), st.integers(1, 500))
@settings(deadline=None)
def test_it_never_leaves_its_bounds(
    events: list[tuple[str, float, int]], floor: int, more: int, start: int
) -> None:
    ceiling = floor + more
    limit = LearnedLimit(start=start, floor=floor, ceiling=ceiling)
    now = 0.0
    for kind, seconds, number in events:
        now += seconds
        if kind == "depart":
            limit.departed(now, number)
        elif kind == "refuse":
            limit.refused(now, now - number / 10, number)
        elif kind == "lose":
            limit.lost(now, 100.0)
        else:
            due = limit.until
            grew = limit.grow(now)
            assert not grew or (due is not None and due <= now)
        assert floor <= limit.value <= ceiling
        assert limit.until is None or limit.value < ceiling


@pytest.mark.parametrize("value", ["auto", "auto:30"])
def test_a_client_takes_it_as_a_word(value: str) -> None:
    from nbp_async import AutoLimit, Limits

    limits = Limits(max_in_flight=value)
    assert limits.learned == AutoLimit(ceiling=limits.most_in_flight)
    assert limits.most_in_flight == (30 if ":" in value else 1000)


def returning(goal: int, age: float, *, ceiling: int = 1000) -> LearnedLimit:
    start = KeptLimit(goal).at_once(age)
    return LearnedLimit(start=start, floor=1, ceiling=ceiling, is_known=True, goal=goal)


def test_it_goes_back_to_what_an_earlier_run_had_found_within_seconds() -> None:
    limit, now = returning(400, 60.0), 0.0
    assert limit.value == 200
    while limit.value < 400:
        limit.departed(now, limit.value)
        assert limit.until is not None
        now = limit.until
        assert limit.grow(now)
        assert limit.value <= 400
    assert now == pytest.approx(5.0)
    assert limit.kept is None, "it may have come down: nothing of it is proven yet"
    limit.departed(now, 400)
    assert limit.kept == KeptLimit(400)
    assert limit.until == now + PROOF + 2.0, "from here on it is tested as any other"


def test_a_refusal_on_the_way_back_ends_it() -> None:
    limit = returning(400, 60.0)
    limit.departed(0.0, 200)
    assert limit.grow(0.25)
    assert limit.refused(0.5, 0.25, 200)
    assert limit.value == 190
    assert limit.kept == KeptLimit(190)
    limit.departed(1.0, 190)
    assert limit.until is not None
    assert limit.until >= 60.0


def test_the_older_it_is_the_less_leaves_at_once() -> None:
    kept = KeptLimit(40)
    hours = (0, 0.9, 1.1, 23.9, 24.1)
    assert [kept.at_once(each * 3600.0) for each in hours] == [20, 20, 10, 10, 0]
    assert KeptLimit(1).at_once(7200.0) == 1
    assert returning(400, 60.0, ceiling=50).value == 50


def test_what_nobody_asked_for_is_not_kept() -> None:
    limit = LearnedLimit(start=8, floor=1, ceiling=1000)
    limit.departed(0.0, 3)
    assert limit.kept is None
    limit.departed(0.0, 8)
    assert limit.grow(PROOF)
    assert limit.kept == KeptLimit(12, is_searching=True)
