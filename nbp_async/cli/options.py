"""Options that more than one command has, said once."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from nbp_async._flow.run import Again
from nbp_async.cli.place import Out, place_of

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


def place_options(command: Command) -> Command:
    """`--out` and `--journal`; the command gets them as `place`."""

    @functools.wraps(command)
    def with_place(out: str | Path, journal: Path | None, **others: Any) -> Any:
        return command(place=place_of(out, journal), **others)

    wrapped: Any = with_place
    for option in (
        click.option(
            "--journal",
            metavar="FILE",
            type=click.Path(dir_okay=False, path_type=Path),
            help="The run's journal. Default: in the folder; a store needs one.",
        ),
        click.option(
            "--out",
            required=True,
            type=Out(),
            help="The folder that gets each image as soon as it is there; or a store, as "
            "s3://bucket/prefix, oss://, gs://, az://.",
        ),
    ):
        wrapped = option(wrapped)
    return cast("Command", wrapped)


def service_options(command: Command) -> Command:
    """`--size`, `--model`, `--endpoint` and `--json`."""
    for option in (
        click.option(
            "--json", "as_json", is_flag=True, help="One JSON object for each image on stdout."
        ),
        click.option(
            "--endpoint",
            metavar="NAME|URL|FILE",
            help="google, apiyi, apiyi-http, apiyi-gemini, openai, a task service, a base URL, or "
            "a .toml file that describes a service. Default: what NBP_BASE_URL or NBP_ENDPOINT "
            "says, else whose key is set.",
        ),
        click.option(
            "--model", metavar="NAME", help="The model. Default: NBP_MODEL, or the endpoint's."
        ),
        click.option(
            "--size", metavar="SIZE", help="1K, 2K, 4K, or pixels as 2048x2048. Default: 2K."
        ),
    ):
        command = option(command)
    return command


def vendor_options(command: Command) -> Command:
    """The same, and `--via`."""
    return _via("held", "poll", "batch")(service_options(command))


def every_way(command: Command) -> Command:
    """The same, with the way that calls back."""
    return _via("held", "poll", "webhook", "batch")(service_options(command))


def _via(*ways: str) -> Callable[[Command], Command]:
    says = {way: text for way, text in _WAYS.items() if way in ways}
    words = "; ".join(f"{way}: {text}" for way, text in says.items())
    words += ". Default: what the endpoint has, held first."
    return click.option("--via", type=click.Choice(ways), help=words)


_WAYS = {
    "held": "each call open until its image is there",
    "poll": "as a task that is looked at, with no connection held",
    "webhook": "the same, and the service calls back when it is done (nbp help webhooks)",
    "batch": "in jobs of a batch API (google, openai), at half the price (nbp help batch)",
}
