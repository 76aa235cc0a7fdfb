"""Whatever a field of an option value is given, it is checked there and then, not later."""

import dataclasses
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nbp_async import (
    CallOptions,
    ClientOptions,
    ConfigError,
    FetchOptions,
    ImageOptions,
    Limits,
    Prices,
    Profile,
    Prompt,
    Rate,
    Retry,
    Spend,
    TaskTable,
    Timeouts,
    Webhook,
)

PRICES = Prices(dated="2026-08-01", source="a contract", per_image={"*": Decimal("0.09")})
SECRET = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"
COMPLETE: dict[type, dict[str, Any]] = {
    Limits: {},
    Timeouts: {},
    Retry: {},
    Rate: {"count": 60, "period": 60.0},
    Spend: {"dollars": Decimal(50), "period": 600.0},
    Prices: {"dated": "2026-08-01", "source": "a contract", "per_image": {"*": Decimal("0.09")}},
    Profile: {"name": "relay", "base_url": "https://relay.example.com/v1"},
    TaskTable: {"submit": "/images", "look": "/images/{id}", "links": ("url",)},
    Webhook: {"secret": SECRET},
    Prompt: {"text": "a cat"},
    ClientOptions: {},
    ImageOptions: {},
    CallOptions: {"out": "folder", "via": "batch"},
    FetchOptions: {},
}


class NoRepr:
    def __repr__(self) -> str:
        raise ValueError("this object cannot be shown")


STRANGE: list[Any] = [
    None,
    True,
    False,
    -1,
    0,
    1,
    2.5,
    -0.5,
    500,
    10**400,
    math.nan,
    math.inf,
    -math.inf,
    1e308,
    "",
    " ",
    "x",
    "4",
    "/",
    "://",
    "http://[::1",
    "https://h:99999",
    "s3://",
    "\ud800",
    "a" * 5000,
    "1" * 5000,
    b"",
    b"x",
    Decimal("NaN"),
    Decimal("sNaN"),
    Decimal("Infinity"),
    Decimal(-1),
    1j,
    [],
    ["x"],
    [500],
    [None],
    (),
    ("x",),
    (1,),
    {},
    {"x": 1},
    {1: 2},
    {"x": "y"},
    {500: "perhaps"},
    {"4K": -1.0},
    {"4K": math.nan},
    {"*": Decimal("NaN")},
    set(),
    {500},
    frozenset({1}),
    frozenset({"x"}),
    range(3),
    Path("x"),
    object(),
    NoRepr(),
    int,
    Limits,
    lambda: 0,
]


def fields_of(kind: Any) -> list[str]:
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    return [field.name for field in msgspec.structs.fields(kind)]


CASES = [(kind, name) for kind in COMPLETE for name in fields_of(kind)]


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_any_value_of_any_field_makes_an_option_or_a_config_error(kind: Any, name: str) -> None:
    for value in STRANGE:
        try:
            kind(**{**COMPLETE[kind], name: value})
        except ConfigError as exc:
            assert str(exc).count("Nothing was sent.") == 1


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_an_object_of_no_known_type_is_refused_by_every_field(kind: Any, name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        kind(**{**COMPLETE[kind], name: object()})


@pytest.mark.parametrize("kind", COMPLETE)
def test_an_unknown_name_is_a_type_error(kind: Any) -> None:
    with pytest.raises(TypeError, match="colour"):
        kind(**COMPLETE[kind], colour="red")


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [
        (Retry, {"statuses": 500}, "statuses=500: give a frozenset of HTTP statuses"),
        (Retry, {"statuses": [500]}, "frozenset"),
        (Retry, {"statuses": frozenset({"500"})}, "frozenset"),
        (Retry, {"attempts": "4"}, "a whole number, at least 1"),
        (Retry, {"attempts": 2.5}, "a whole number, at least 1"),
        (Retry, {"max_throttle": -1}, "seconds, at least 0"),
        (Retry, {"base": math.nan}, "seconds above 0"),
        (Retry, {"jitter": "no"}, "True or False"),
        (Retry, {"ambiguous": "never"}, '"hold" or "resend"'),
        (Timeouts, {"read": True}, "seconds above 0 or None"),
        (Limits, {"reuse_connections": 1}, "True or False"),
        (Limits, {"rate": "6/ms"}, "rate='6/ms'"),
        (Rate, {"count": 2.5}, "count"),
        (Prompt, {"n": True}, "images from 1 to 100"),
        (Prompt, {"seed": 1.5}, "a whole number or None"),
        (Prompt, {"extra": {1: 2}}, "a dict of fields"),
        (Profile, {"dialect": "openai"}, '"openai_images", "gemini" or "openai_chat"'),
        (Profile, {"auth": "basic"}, '"bearer", "x-goog-api-key" or "key"'),
        (Profile, {"size_style": "px"}, '"pixels" or "tier"'),
        (Profile, {"billed": {500: "perhaps"}}, '"no", "maybe" or "yes"'),
        (Profile, {"read": {"4K": 0}}, "seconds above 0"),
        (Profile, {"base_url": "http://[::1"}, "an address"),
        (Profile, {"prices": {"4K": 1}}, "Prices"),
        (Prices, {"per_image": {}}, "give a price"),
        (Prices, {"per_image": {"*": Decimal(-1)}}, "dollars as a Decimal"),
        (Prices, {"tiers": {"batch": Decimal(0)}}, "tiers"),
        (Prices, {"dated": "yesterday"}, "a date"),
        (TaskTable, {"billed_failed": "perhaps"}, '"no", "maybe" or "yes"'),
        (TaskTable, {"done": "finished"}, "a tuple of text"),
        (Webhook, {"port": 65_536}, "from 0 to 65535"),
    ],
)
def test_the_message_names_the_field_and_what_it_can_hold(
    kind: Any, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        kind(**{**COMPLETE[kind], **given})


def test_a_secret_of_the_wrong_type_is_not_repeated() -> None:
    with pytest.raises(ConfigError, match="of type dict") as caught:
        Webhook(secret={"whsec": "canary"})  # type: ignore[arg-type]
    assert "canary" not in str(caught.value)
