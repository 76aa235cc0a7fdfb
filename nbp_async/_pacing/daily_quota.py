"""When a day's quota is renewed: Google counts days in Pacific time (ai.google.dev, rate limits).

The rule of its daylight saving time is written out, because systems without a time zone database
are common: Windows, and slim containers.
"""

from datetime import UTC, datetime, timedelta

_STANDARD = timedelta(hours=-8)
_SUMMER = timedelta(hours=-7)


def next_pacific_midnight(now: float) -> float:
    """The first midnight in California after `now`; both in seconds since 1970."""
    today = _in_pacific_time(datetime.fromtimestamp(now, UTC)).date()
    midnight = datetime.combine(today + timedelta(days=1), datetime.min.time(), UTC)
    # The clocks change at 2 o'clock, so midnight has the offset of the moment before it.
    return (midnight - _offset(midnight - _STANDARD - timedelta(hours=1))).timestamp()


def describe_renewal(at: float, now: float) -> str:
    """When that is, for a message: the moment and how far off it is."""
    minutes = max(1, round((at - now) / 60))
    when = datetime.fromtimestamp(at, UTC)
    return f"{when:%Y-%m-%d %H:%M} UTC (in {minutes // 60} h {minutes % 60} min)"


def _in_pacific_time(utc: datetime) -> datetime:
    return utc + _offset(utc)


def _offset(utc: datetime) -> timedelta:
    """Since 2007: from the second Sunday of March to the first of November, 2 o'clock each."""
    begins = _sunday(utc.year, 3, 8) + timedelta(hours=2) - _STANDARD
    ends = _sunday(utc.year, 11, 1) + timedelta(hours=2) - _SUMMER
    return _SUMMER if begins <= utc < ends else _STANDARD


def _sunday(year: int, month: int, day: int) -> datetime:
    """The first Sunday on or after this day."""
    first = datetime(year, month, day, tzinfo=UTC)
    return first + timedelta(days=(6 - first.weekday()) % 7)
