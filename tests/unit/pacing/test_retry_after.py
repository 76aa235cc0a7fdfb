"""Retry-After in all the forms that servers send, and in those that must be ignored."""

import pytest

from nbp_async._pacing.retry_after import parse_retry_after

DATE = "Wed, 21 Oct 2026 07:28:00 GMT"


def parse(**headers: str) -> float | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return parse_retry_after(named, now=lambda: 1_792_567_680.0)  # 07:28:00 on that day


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("1.5", 1.5),
        ("999999", 999_999.0),
        ("Wed, 21 Oct 2026 07:29:00 GMT", 60.0),
        ("Wed, 21 Oct 2026 07:27:00 GMT", 0.0),
        ("Wednesday, 21-Oct-26 07:29:00 GMT", 60.0),
        ("Wed, 21 Oct 2026 07:29:00", 60.0),
        ("Wed, 21 Oct 2026 09:29:00 +0200", 60.0),
    ],
)
def test_seconds_and_dates_are_understood(text: str, seconds: float) -> None:
    assert parse(retry_after=text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "-5",
        "1e3",
        "abc",
        "",
        "٣",
        "12345678901234",
        "7, 9",
        "nan",
        "inf",
        "+7",
        "0x10",
        "1.",
        ".5",
        "Wed, 99 Oct 2026 07:29:00 GMT",
        "Wed",
        "1_000",
        "７",
    ],
)
def test_anything_else_is_ignored(text: str) -> None:
    assert parse(retry_after=text) is None


def test_nothing_said_is_none() -> None:
    assert parse() is None


def test_a_date_is_measured_by_the_server_s_own_clock() -> None:
    """Our clock may be an hour wrong."""
    assert (
        parse(retry_after="Wed, 21 Oct 2026 08:28:30 GMT", date="Wed, 21 Oct 2026 08:28:00 GMT")
        == 30.0
    )
    assert parse(retry_after="Wed, 21 Oct 2026 07:28:30 GMT", date="garbage") == 30.0


def test_milliseconds_go_before_seconds() -> None:
    assert parse(retry_after_ms="250", retry_after="7") == 0.25
    assert parse(retry_after_ms="-1", retry_after="7") == 7.0
