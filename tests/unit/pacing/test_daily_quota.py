"""The day of a quota ends at midnight in California, whatever the clocks do there."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbp_async._pacing.daily_quota import describe_renewal, next_pacific_midnight

PACIFIC = ZoneInfo("America/Los_Angeles")


@pytest.mark.parametrize(
    ("now", "renewed"),
    [
        ("2026-01-15T12:00", "2026-01-16T08:00"),
        ("2026-07-15T12:00", "2026-07-16T07:00"),
        ("2026-07-15T06:59", "2026-07-15T07:00"),
        ("2026-07-15T07:00", "2026-07-16T07:00"),
        ("2026-03-08T09:00", "2026-03-09T07:00"),  # the day that has 23 hours
        ("2026-11-01T08:00", "2026-11-02T08:00"),  # the day that has 25
    ],
)
def test_the_next_midnight_in_california(now: str, renewed: str) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=UTC).timestamp()
    found = datetime.fromtimestamp(next_pacific_midnight(at), UTC)
    assert found == datetime.fromisoformat(renewed).replace(tzinfo=UTC)


@given(st.floats(1_700_000_000, 2_500_000_000))
def test_it_is_what_the_time_zone_database_says(now: float) -> None:
    tomorrow = datetime.fromtimestamp(now, PACIFIC).date() + timedelta(days=1)
    midnight = datetime.combine(tomorrow, datetime.min.time(), PACIFIC)
    assert next_pacific_midnight(now) == midnight.timestamp()


def test_a_message_names_the_moment_and_the_hours_until_then() -> None:
    at = datetime(2026, 7, 16, 7, tzinfo=UTC).timestamp()
    assert describe_renewal(at, at - 5 * 3600 - 12 * 60) == "2026-07-16 07:00 UTC (in 5 h 12 min)"
