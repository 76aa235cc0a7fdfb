"""Amounts, durations and untrusted text."""

from decimal import Decimal

import pytest

from nbp_async._base.text import (
    describe_billing,
    format_bytes,
    format_dollars,
    format_seconds,
    plural,
    printable,
)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0.00"),
        ("0.134", "$0.134"),
        ("0.24", "$0.24"),
        ("26.8", "$26.80"),
        ("1234.5678", "$1,234.57"),
    ],
)
def test_money_shows_tenths_of_a_cent_only_where_they_matter(amount: str, text: str) -> None:
    assert format_dollars(Decimal(amount)) == text


def test_billing_is_written_with_its_dollars() -> None:
    assert describe_billing("yes", Decimal("0.24")) == "billed: $0.24"
    assert describe_billing("maybe", Decimal("0.134")) == "may have been billed: $0.134"
    assert describe_billing("yes", Decimal(0)) == "billed"
    assert describe_billing("no", Decimal("0.24")) == "not billed"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (5.62, "5.6 s"),
        (9.96, "10 s"),
        (41.4, "41 s"),
        (59.6, "1 m 0 s"),
        (167, "2 m 47 s"),
        (3599.7, "1 h 0 m"),
        (19_980, "5 h 33 m"),
        (601_300, "6 d 23 h"),
    ],
)
def test_durations_are_written_in_the_units_that_people_use(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(912, "912 B"), (84_300, "84 kB"), (999_600, "1.0 MB"), (6_100_000, "6.1 MB")],
)
def test_sizes_are_decimal(size: int, text: str) -> None:
    assert format_bytes(size) == text


def test_untrusted_text_cannot_control_the_terminal() -> None:
    assert printable("red\x1b[2J\n\r\tbike\u202e!") == "red [2J bike !"


def test_long_untrusted_text_is_cut() -> None:
    assert printable("abc " * 200, 10) == "abc abc a…"


def test_a_noun_has_a_plural() -> None:
    assert [plural(1, "image"), plural(2, "image")] == ["1 image", "2 images"]
