"""`nbp fetch`: downloads the paid images of a run that are only links, before the links expire."""

import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import click
from rich.console import Console

from nbp_async import (
    Batch,
    Failure,
    Outcome,
    fetch_run,
)
from nbp_async.cli import exit_codes
from nbp_async.cli.destination import Destination
from nbp_async.cli.error_text import error_text
from nbp_async.cli.fallback_storage import image_locations
from nbp_async.cli.network_options import ClientSettings, network_options
from nbp_async.cli.output import OutcomePrinter, print_line, stderr_console
from nbp_async.cli.run_reader import RunReader
from nbp_async.cli.shared_options import (
    any_run_argument,
    link_option,
    links_allowed,
    target_option,
)
from nbp_async.display.formats import format_dollars, format_seconds, plural, printable
from nbp_async.display.link_expiry import LinkExpiry

_HELP = """\
Download the images of a run that are paid for and are only links yet.

DIR is the folder of an `nbp many --out DIR`, or its journal: a file, or
postgresql://host/db?run=NAME. This needs no key and buys nothing;
the link that expires first comes first. Each path goes to stdout as its image comes.

An image that cannot be downloaded stays a link: run the command again. A link that no longer works
is given up, and stderr says what was paid for it. Links usually work for seven days.

Exit code 3: something is still a link, or was lost.
"""


@click.command(help=_HELP)
@any_run_argument
@target_option
@link_option
@network_options
def fetch(
    where: Path | str,
    target: Path | str | None,
    allow_http: bool | None,
    network: ClientSettings,
) -> None:
    """Download them, and print what became of each."""
    reader, console = RunReader(where), stderr_console()
    states = reader.report.states
    expiries: list[float | None] = []
    if states.get("answered"):
        expiries = [row.url_expires for row in reader.rows() if row.state == "answered"]
    pending = states.get("submitted", 0)
    if pending:
        print_line(
            console, f"{plural(pending, 'image')} at the vendor: the same nbp many polls for them."
        )
    if not expiries:
        print_line(console, "Nothing to fetch: no image of this run is only a link.")
        raise SystemExit(reader.finish())
    links = LinkExpiry(expiries, time.time())
    print_line(console, f"{plural(links.count, 'link')}: {links}.")
    if isinstance(target, Path):
        Destination(folder=target).created()
    options = {**links_allowed(allow_http), **network}
    exit_codes.run(lambda: _fetch(where, target, reader.report.folder, options, console))


async def _fetch(
    where: Path | str,
    target: Path | str | None,
    folder: Path,
    options: ClientSettings,
    console: Console,
) -> int:
    def lines(outcome: Outcome) -> Iterator[str]:
        return image_locations(outcome, folder, console)

    with OutcomePrinter(lines, console, lambda: None) as printer:
        batch = await fetch_run(
            where,
            out=target,
            on_outcome=printer.on_outcome,
            **options,
        )
    for line in fetch_report(batch, time.time()):
        print_line(console, line)
    return exit_codes.SOME_FAILED if batch.failures else exit_codes.ALL_MADE


def fetch_report(batch: Batch, now: float) -> Iterator[str]:
    """What became of the links; `now` is in seconds since 1970."""
    spent = sum((image.spent_earlier for image in batch.images), Decimal(0))
    images = plural(len(batch.images), "image")
    yield f"{images} fetched, for which {format_dollars(spent)} was paid"
    lost = [failure for failure in batch.failures if not failure.links]
    if lost:
        paid = sum((failure.spent_earlier for failure in lost), Decimal(0))
        yield f"{len(lost)} lost, for which {format_dollars(paid)} was paid:"
        yield from (f"  {_named(one)}: {error_text(one.error)}" for one in lost)
    waiting = [failure for failure in batch.failures if failure.links]
    if waiting:
        links = LinkExpiry([failure.link_expires for failure in waiting], now)
        yield f"{len(waiting)} still a link; {links.warning() or links}:"
        for one in waiting:
            left = "" if one.link_expires is None else f", {_expiry(one.link_expires - now)}"
            yield f"  {_named(one)}{left}: {error_text(one.error)}"


def _named(failure: Failure) -> str:
    text = printable(failure.prompt.text, 40)
    return f"#{failure.index + 1} {text} ({format_dollars(failure.spent_earlier)})"


def _expiry(left: float) -> str:
    if left > 0:
        return f"works for {format_seconds(left)}"
    return f"should have expired {format_seconds(-left)} ago"
