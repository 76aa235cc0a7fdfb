"""Amounts, spans and foreign text."""

from decimal import Decimal

import pytest

from nbp_async._words import billed, money, plural, printable, span, weight


@pytest.mark.parametrize(
    ("amount", "text"),
    [("0", "$0.00"), ("0.134", "$0.134"), ("0.24", "$0.24"), ("26.8", "$26.80"),
     ("1234.5678", "$1,234.57")],
)  # fmt: skip
def test_money_shows_tenths_of_a_cent_only_where_they_matter(amount: str, text: str) -> None:
    assert money(Decimal(amount)) == text


def test_who_pays_is_said_with_the_dollars_that_somebody_pays() -> None:
    assert billed("yes", Decimal("0.24")) == "billed: $0.24"
    assert billed("maybe", Decimal("0.134")) == "may have been billed: $0.134"
    assert billed("yes", Decimal(0)) == "billed"
    assert billed("no", Decimal("0.24")) == "not billed"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (5.62, "5.6 s"), (9.96, "10 s"), (41.4, "41 s"), (59.6, "1 m 0 s"),
     (167, "2 m 47 s"), (3599.7, "1 h 0 m"), (19_980, "5 h 33 m"),
     (601_300, "6 d 23 h")],
)  # fmt: skip
def test_spans_are_said_in_the_units_that_people_use(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(912, "912 B"), (84_300, "84 kB"), (999_600, "1.0 MB"), (6_100_000, "6.1 MB")],
)
def test_weights_are_decimal(size: int, text: str) -> None:
    assert weight(size) == text


def test_foreign_text_cannot_steer_the_terminal() -> None:
    assert printable("red\x1b[2J\n\r\tbike\u202e!") == "red [2J bike !"


def test_long_foreign_text_is_cut() -> None:
    assert printable("abc " * 200, 10) == "abc abc a…"


def test_one_is_not_many() -> None:
    assert [plural(1, "image"), plural(2, "image")] == ["1 image", "2 images"]
