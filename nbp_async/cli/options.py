"""Options that more than one command has, said once."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import click

from nbp_async._flow.run import Again

Command = TypeVar("Command", bound=Callable[..., Any])


def run_options(command: Command) -> Command:
    """`--resend-ambiguous`, `--retry-failed` and `--verify`; the command gets them as `again`."""

    @functools.wraps(command)
    def with_again(resend_ambiguous: bool, retry_failed: bool, verify: bool, **others: Any) -> Any:
        again = Again(resend_ambiguous=resend_ambiguous, retry_failed=retry_failed, verify=verify)
        return command(again=again, **others)

    flags = {
        "--resend-ambiguous": "Send again what may have been billed; needs --max-cost.",
        "--retry-failed": "Send again what was billed and brought nothing, or whose file is gone.",
        "--verify": "Compare the hash of each file that is there.",
    }
    wrapped: Any = with_again
    for name in reversed(flags):
        wrapped = click.option(name, is_flag=True, help=flags[name])(wrapped)
    return cast("Command", wrapped)


def vendor_options(command: Command) -> Command:
    """`--size`, `--model`, `--endpoint` and `--json`."""
    for option in (
        click.option(
            "--json", "as_json", is_flag=True, help="One JSON object for each image on stdout."
        ),
        click.option(
            "--endpoint",
            metavar="NAME|URL",
            help="google, apiyi, apiyi-http, apiyi-gemini, openai, or a base URL. Default: what "
            "NBP_BASE_URL or NBP_ENDPOINT says, else whose key is set.",
        ),
        click.option("--model", help="Default: NBP_MODEL, else the endpoint's own."),
        click.option(
            "--size", metavar="SIZE", help="1K, 2K, 4K, or pixels as 2048x2048. Default: 2K."
        ),
    ):
        command = option(command)
    return command
