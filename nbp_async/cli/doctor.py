"""`nbp doctor`: what stands between this machine and its images, and how to mend it."""

import asyncio
import dataclasses
import json
import os
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from nbp_async import ConfigError
from nbp_async._words import printable
from nbp_async.cli import checks, codes
from nbp_async.cli.checks import Finding
from nbp_async.cli.keyfile import chosen_key, chosen_profile

_STYLES = {"ok": "green", "warn": "yellow", "bad": "bold red", "skipped": "dim"}
_WIDE = max(map(len, _STYLES))
_NAMES = 13


@click.command()
@click.option("--endpoint", metavar="NAME|URL|FILE", help="As for `nbp many`.")
@click.option("--out", "folder", type=click.Path(path_type=Path), default=Path(),
              help="Where images will go. Default: this folder.")  # fmt: skip
@click.option("--max-in-flight", type=click.IntRange(min=1), default=50, show_default=True,
              metavar="N", help="Calls that will be in flight at once.")  # fmt: skip
@click.option("--offline", is_flag=True, help="Look at this machine only.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each check.")
def doctor(
    endpoint: str | None, folder: Path, max_in_flight: int, offline: bool, as_json: bool
) -> None:
    """Check key, address, certificate, clock, open files, disk, proxy and event loop.

    Nothing is paid: the vendor is asked for its list of models. Exit codes: 0 nothing is bad,
    3 something is, 4 the key is missing or refused.
    """
    console = Console(highlight=False, markup=False, emoji=False)

    async def work() -> int:
        code = codes.ALL_MADE
        async for finding in _all(endpoint, folder, max_in_flight, offline=offline):
            code = max(code, _code_of(finding))
            if as_json:
                print(json.dumps(dataclasses.asdict(finding), ensure_ascii=False), flush=True)
            else:
                _show(console, finding)
        return code

    codes.run(work)


async def _all(
    endpoint: str | None, folder: Path, in_flight: int, *, offline: bool
) -> AsyncIterator[Finding]:
    yield checks.versions()
    yield await checks.event_loop()
    yield checks.open_files(in_flight)
    yield await asyncio.to_thread(checks.disk, folder)
    yield checks.proxies(os.environ)
    profile = chosen_profile(endpoint, os.environ)
    yield Finding(name="endpoint", state="ok", says=f"{profile.name}: {profile.base_url}")
    try:
        key = chosen_key(profile, os.environ)
        yield Finding(name="key", state="ok", says=f"{key} from {key.origin}")
    except ConfigError as exc:
        key = None
        yield Finding(name="key", state="bad", says=printable(str(exc.args[0]), 500), mend=exc.hint)
    if offline:
        return
    from nbp_async.cli.reach import reach

    async for finding in reach(profile, key):
        yield finding


def _code_of(finding: Finding) -> int:
    if finding.state != "bad":
        return codes.ALL_MADE
    return codes.KEY if finding.name.startswith("key") else codes.SOME_FAILED


def _show(console: Console, finding: Finding) -> None:
    """A line for what was found, and one for what to do; each wrapped under its own words."""
    head = f"{finding.state:<{_WIDE}}  {finding.name:<{_NAMES}} "
    wide = max(20, console.width - len(head))
    words = [*_wrapped(finding.says, wide), *_wrapped(finding.mend and f"→ {finding.mend}", wide)]
    for number, line in enumerate(words):
        start = Text(" " * len(head))
        if number == 0:
            start = Text.assemble((head[: _WIDE + 2], _STYLES[finding.state]), head[_WIDE + 2 :])
        console.print(start + Text(line), soft_wrap=True)


def _wrapped(text: str, wide: int) -> list[str]:
    return textwrap.wrap(text, wide, break_long_words=False, break_on_hyphens=False)
