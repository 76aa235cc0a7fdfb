"""Errors carry their facts as attributes, and are worded for each kind of reader."""

import copy
import pickle
from decimal import Decimal
from pathlib import Path

import pytest

from nbp_async import (
    CertificateError,
    ConfigError,
    ConnectError,
    ContentBlockedError,
    Failure,
    NbpError,
    Prompt,
    ReadTimeout,
    TaskFailedError,
)
from tests.unit.display.examples import failure

PRICE = Decimal("0.134")
SIZE = ConfigError("did you mean '4K'?", option="size", value="4k2")
CAP = ConfigError(
    "may pay twice for an image.",
    option="resend_ambiguous",
    value=True,
    remedy={"max_cost": Decimal(45)},
)


def test_an_error_names_the_option_and_its_value_as_a_keyword() -> None:
    assert str(SIZE) == "size='4k2': did you mean '4K'? Nothing was sent."
    assert (SIZE.message, SIZE.option, SIZE.value) == ("did you mean '4K'?", "size", "4k2")


def test_the_same_facts_are_worded_for_another_reader() -> None:
    def typed(option: str, value: object) -> str:
        flag = f"--{option.replace('_', '-')}"
        return flag if value in (None, True) else f"{flag} {value}"

    assert SIZE.describe(typed) == "--size 4k2: did you mean '4K'? Nothing was sent."
    assert CAP.describe(typed) == (
        "--resend-ambiguous: may pay twice for an image. Nothing was sent. Pass --max-cost 45."
    )


def test_an_error_about_one_prompt_names_its_place() -> None:
    error = ConfigError("write 1K, 2K or 4K.", option="size", value="9K", index=3)
    assert str(error).startswith("prompts[3]: size='9K': write 1K")


def test_an_option_without_a_value_stands_alone() -> None:
    assert str(ConfigError("is missing.", option="out")).startswith("out: is missing.")


def test_a_key_is_never_kept() -> None:
    error = ConfigError("contains a space.", option="api_key", value="sk-very secret")
    assert "very" not in f"{error} {error!r} {error.__dict__}"
    assert "very" not in pickle.dumps(error).decode("latin-1")


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (Path("a/b"), "a/b"),
        (0, 0),
        (Decimal("0.5"), Decimal("0.5")),
        ([1, 2], "[1, 2]"),
    ],
)
def test_values_are_kept_as_text_or_numbers(value: object, kept: object) -> None:
    assert ConfigError("no.", option="out", value=value).value == kept


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))]
)
def test_errors_are_copied_with_all_facts(copied: object) -> None:
    error = ConfigError("no.", option="rate", value=lambda: 1, index=2, remedy={"rate": "60/min"})
    error.billing, error.cost = "maybe", PRICE
    assert callable(copied)
    other = copied(error)
    assert (type(other), str(other)) == (ConfigError, str(error))
    assert other.__dict__ == error.__dict__


def test_a_failure_tells_its_error_what_was_billed() -> None:
    blocked = failure(ContentBlockedError("refused.", reason="IMAGE_SAFETY"), "yes")
    assert (blocked.error.billing, blocked.error.cost) == ("yes", PRICE)
    late = failure(ReadTimeout("no response."), "maybe")
    assert (late.error.billing, late.error.cost) == ("maybe", PRICE)
    unsent = Failure(index=0, prompt=Prompt(text="a"), error=ConnectError("refused."))
    assert (unsent.error.billing, unsent.error.cost) == ("no", Decimal(0))


def test_what_may_succeed_later_says_so() -> None:
    assert ConnectError("refused.").is_transient
    assert not CertificateError("expired.").is_transient
    assert not NbpError("other.").is_transient
    assert TaskFailedError("busy.", task="t1", billing="no", is_transient=True).is_transient
