"""`nbp doctor`: what may keep this machine from making images, and how to fix it."""

import asyncio
import dataclasses
import json
import os
import textwrap
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from nbp_async import ClientOptions, ConfigError, Limits
from nbp_async.cli import exit_codes, machine_checks
from nbp_async.cli.key_file import chosen_key, chosen_profile
from nbp_async.cli.machine_checks import CheckResult
from nbp_async.cli.network_options import ClientSettings, endpoint_network_options
from nbp_async.cli.shared_options import endpoint_option, model_option
from nbp_async.cli.table_approval import key_to_send
from nbp_async.display.formats import printable

_STYLES = {"ok": "green", "warn": "yellow", "bad": "bold red", "skipped": "dim"}
_WIDE = max(map(len, _STYLES))
_NAMES = 13
_LEAST_COLUMN = 24  # characters


@click.command()
@endpoint_option("As for `nbp many`.")
@model_option("The model to ask. Default: the endpoint's.")
@click.option(
    "--out",
    "folder",
    type=click.Path(path_type=Path),
    default=Path(),
    help="Where images will go. Default: this folder.",
)
@click.option(
    "--max-in-flight",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    metavar="N",
    help="Requests that will be in flight at once.",
)
@endpoint_network_options
@click.option("--offline", is_flag=True, help="Check this machine only.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each check.")
def doctor(
    endpoint: str | None,
    model: str | None,
    folder: Path,
    max_in_flight: int,
    network: ClientSettings,
    offline: bool,
    as_json: bool,
) -> None:
    """Check key, address, model, certificate, clock, open files, disk, proxy and event loop.

    This costs nothing: it asks the vendor for the list of models only. Exit codes: 0 nothing is
    bad, 3 something is bad, 4 the key is missing or refused.
    """
    console = Console(highlight=False, markup=False, emoji=False)

    async def work() -> int:
        code = exit_codes.ALL_MADE
        limits = Limits(max_in_flight=max_in_flight)
        options = ClientOptions(endpoint, model=model, limits=limits, **network)
        async for result in _all(options, folder, offline=offline):
            code = max(code, _code_of(result))
            if as_json:
                print(json.dumps(dataclasses.asdict(result), ensure_ascii=False), flush=True)
            else:
                _show(console, result)
        return code

    exit_codes.run(work)


async def _all(
    options: ClientOptions, folder: Path, *, offline: bool
) -> AsyncIterator[CheckResult]:
    assert options.limits is not None and isinstance(options.endpoint, str | None)
    yield machine_checks.versions()
    yield await machine_checks.event_loop()
    yield machine_checks.open_files(options.limits.most_in_flight)
    yield await asyncio.to_thread(machine_checks.disk, folder)
    profile = chosen_profile(options.endpoint, os.environ)
    yield machine_checks.proxies(options, profile.base_url, os.environ)
    yield machine_checks.held_calls(options.limits.most_in_flight, profile.base_url)
    yield CheckResult(name="endpoint", state="ok", message=f"{profile.name}: {profile.base_url}")
    today = datetime.now(UTC).date()
    yield machine_checks.model(options.model or profile.model, profile, today)
    try:
        choose = chosen_key if offline else key_to_send
        key = choose(profile, os.environ)
        yield CheckResult(name="key", state="ok", message=f"{key} from {key.origin}")
    except ConfigError as exc:
        key = None
        message = printable(exc.message, 500)
        yield CheckResult(name="key", state="bad", message=message, fix=exc.hint)
    if offline:
        return
    from nbp_async.cli.endpoint_checks import check_endpoint

    async for result in check_endpoint(profile, key, options):
        yield result


def _code_of(result: CheckResult) -> int:
    if result.state != "bad":
        return exit_codes.ALL_MADE
    return exit_codes.KEY if result.name.startswith("key") else exit_codes.SOME_FAILED


def _show(console: Console, result: CheckResult) -> None:
    """A line for the result and one for what to do, wrapped in a column of their own.

    A terminal too narrow for that column has them below the name of the check.
    """
    head = f"{result.state:<{_WIDE}}  {result.name:<{_NAMES}} "
    is_narrow = console.width - len(head) < _LEAST_COLUMN
    indent = " " * (4 if is_narrow else len(head))
    wide = max(_LEAST_COLUMN, console.width - len(indent))
    lines = [*_wrap(result.message, wide), *_wrap(result.fix and f"→ {result.fix}", wide)]
    first = "" if is_narrow else lines.pop(0)
    style = _STYLES[result.state]
    console.print(Text.assemble((head[:_WIDE], style), head[_WIDE:], first), soft_wrap=True)
    for line in lines:
        console.print(Text(indent + line), soft_wrap=True)


def _wrap(text: str, wide: int) -> list[str]:
    return textwrap.wrap(text, wide, break_long_words=False, break_on_hyphens=False)
