"""The figures of a second call, which begins with the limit of the first."""

from bench.kept_limits import measure_kept


def test_a_limit_that_was_found_is_used_again_and_an_old_one_forgotten() -> None:
    fresh = measure_kept(40, "as before", "now")
    assert fresh.back_after is not None
    assert fresh.back_after <= 6.0
    forgotten = measure_kept(40, "as before", "2 days")
    assert forgotten.back_after is not None
    assert forgotten.back_after > fresh.back_after
    assert forgotten.share < fresh.share
    assert measure_kept(40, "half", "2 hours").refusals <= 5
