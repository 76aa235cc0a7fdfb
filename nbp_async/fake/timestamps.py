"""Times as the vendors write them."""

from datetime import UTC, datetime


def iso_time(seconds: float, digits: str = "milliseconds") -> str:
    """Seconds since 1970 by ISO 8601 in UTC; `digits` as in `datetime.isoformat`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec=digits)[:-6] + "Z"
