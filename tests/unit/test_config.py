"""Settings are checked where they are made, and say what is wrong."""

import dataclasses
import pickle
from decimal import Decimal
from typing import Any

import pytest

from nbp_async._base.errors import ConfigError
from nbp_async._base.secret import Secret
from nbp_async._models.settings import Limits, Rate, Retry, Timeouts, dollars


@pytest.mark.parametrize(
    ("text", "count", "period"),
    [
        ("60/min", 60, 60.0),
        ("2/s", 2, 1.0),
        ("1000/hour", 1000, 3600.0),
        ("10/6s", 10, 6.0),
        (" 60 / minutes ", 60, 60.0),
        ("5/day", 5, 86400.0),
        ("1/0.5s", 1, 0.5),
    ],
)
def test_a_rate_is_read_as_people_write_it(text: str, count: int, period: float) -> None:
    assert Rate.parse(text) == Rate(count, period)


@pytest.mark.parametrize("text", ["60", "sixty/min", "60/fortnight", "", "-1/s", "0/min", "1/0s"])
def test_what_is_no_rate_is_refused_with_the_right_form(text: str) -> None:
    with pytest.raises(ConfigError, match="rate"):
        Limits(rate=text)


def test_limits_of_nothing_are_refused() -> None:
    cases: list[dict[str, Any]] = [
        {"max_in_flight": 0},
        {"burst": 0},
        {"max_downloads": 0},
        {"max_body": 1},
    ]
    for bad in cases:
        with pytest.raises(ConfigError, match="at least"):
            Limits(**bad)
    with pytest.raises(ConfigError, match="max_in_flight=True"):
        Limits(max_in_flight=True)


@pytest.mark.parametrize("bad", [0, -1, float("inf"), float("nan"), "10"])
def test_a_timeout_is_seconds_above_zero(bad: float) -> None:
    with pytest.raises(ConfigError, match="connect"):
        Timeouts(connect=bad)
    with pytest.raises(ConfigError, match="read"):
        Timeouts(read=bad)


def test_resending_what_may_be_billed_needs_a_budget() -> None:
    with pytest.raises(ConfigError, match="ambiguous_budget_usd"):
        Retry(ambiguous="resend")
    retry = Retry(ambiguous="resend", ambiguous_budget_usd="$2.50")
    assert retry.ambiguous_dollars == Decimal("2.50")


def test_the_article_s_policy_waits_two_four_and_eight_seconds() -> None:
    retry = Retry.article()
    assert (retry.attempts, retry.base, retry.cap, retry.jitter) == (4, 2.0, 8.0, False)
    assert retry.statuses == frozenset({429, 500, 502, 503, 504})


@pytest.mark.parametrize("bad", ["four", "nan", "-1", "inf", ""])
def test_what_is_no_amount_of_dollars_is_refused(bad: str) -> None:
    with pytest.raises(ConfigError, match="max_cost"):
        dollars(bad, "max_cost")


def test_a_key_shows_its_last_four_characters_at_most() -> None:
    secret = Secret("sk-canary-0123456789abcd", "NBP_API_KEY")
    for shown in (str(secret), repr(secret), f"{secret}", repr([secret])):
        assert "canary" not in shown
        assert "abcd" in shown
    assert "tiny" not in str(Secret("tiny"))
    with pytest.raises(TypeError):
        dataclasses.asdict(secret)  # type: ignore[call-overload]
    slots = {name: getattr(secret, name, None) for name in dir(secret)}
    assert "canary" not in repr(slots)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secret)
