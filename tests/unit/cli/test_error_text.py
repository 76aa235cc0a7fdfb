"""The library's errors in the words of the command line."""

import click
import pytest

from nbp_async import ConfigError
from nbp_async.cli.error_text import as_flag, error_text
from nbp_async.cli.many_command import many


@pytest.mark.parametrize(
    ("option", "value", "typed"),
    [
        ("max_cost", "45", "--max-cost 45"),
        ("max_cost", None, "--max-cost"),
        ("resend_ambiguous", True, "--resend-ambiguous"),
        ("ignore", "Aspect Ratioo", "--ignore-column 'Aspect Ratioo'"),
        ("wait", False, "--no-wait"),
        ("via", "batch", "--via batch"),
        ("link_hosts", "a", "link_hosts='a'"),
    ],
)
def test_an_option_is_written_as_the_command_takes_it(
    option: str, value: object, typed: str
) -> None:
    with click.Context(many):
        assert as_flag(option, value) == typed


def test_without_a_command_options_are_keywords() -> None:
    assert as_flag("max_cost", 45) == "max_cost=45"


def test_a_field_of_a_prompt_keeps_its_name_and_prompts_count_from_one() -> None:
    error = ConfigError("write 1K, 2K or 4K.", option="size", value="9K", index=0)
    with click.Context(many):
        assert error_text(error).startswith("prompt 1: size='9K': write 1K")


def test_an_address_in_a_message_stays_as_it_is() -> None:
    error = ConfigError("no answer from s3://shop/run?endpoint=http://a.example&size=4")
    with click.Context(many):
        assert "run?endpoint=http://a.example&size=4" in error_text(error)
