"""Options that more than one command has, said once."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


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
