"""`nbp recover`: reads answers again that were paid for and could not be read. It buys nothing."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import get_args

import click
from rich.console import Console

from nbp_async import (
    Batch,
    DialectName,
    NoRunError,
    Outcome,
    recover_run,
)
from nbp_async.cli import exit_codes
from nbp_async.cli.destination import Destination
from nbp_async.cli.error_text import error_text
from nbp_async.cli.fallback_storage import image_locations
from nbp_async.cli.network_options import ClientSettings, network_options
from nbp_async.cli.output import OutcomePrinter, print_line, stderr_console
from nbp_async.cli.shared_options import (
    any_run_argument,
    link_option,
    links_allowed,
    target_option,
)
from nbp_async.display.formats import format_dollars, plural, printable

_HELP = """\
Read answers again that were paid for and could not be read, and store their images.

DIR is the folder of an `nbp many --out DIR`, its journal (a file, or
postgresql://host/db?run=NAME), or one kept answer (FILE.reply). Answers are kept in the folder's
`unread/` as they came; a newer version of nbp, or another dialect, may find their images. This
needs no key and buys nothing: only links that an answer turns out to hold are fetched. The same
`nbp many` does not buy again what is recovered.

Each path goes to stdout as its image is stored. What cannot be read stays where it is.

Exit code 3: an answer still cannot be read.
"""


@click.command(help=_HELP)
@any_run_argument
@click.option(
    "--dialect",
    type=click.Choice(get_args(DialectName)),
    help="The API that they are answers of. Default: the one that was asked, then the others.",
)
@target_option
@link_option
@network_options
def recover(
    where: Path | str,
    dialect: DialectName | None,
    target: Path | str | None,
    allow_http: bool | None,
    network: ClientSettings,
) -> None:
    """Read them, and print what became of each."""
    console = stderr_console()
    if isinstance(target, Path):
        Destination(folder=target).created()
    folder = Path() if isinstance(where, str) else where if where.is_dir() else where.parent
    options = {**links_allowed(allow_http), **network}
    exit_codes.run(lambda: _recover(where, dialect, target, folder, options, console))


async def _recover(
    where: Path | str,
    dialect: DialectName | None,
    target: Path | str | None,
    folder: Path,
    options: ClientSettings,
    console: Console,
) -> int:
    def lines(outcome: Outcome) -> Iterator[str]:
        return image_locations(outcome, folder, console)

    with (
        exit_codes.errors_as(exit_codes.InvalidUseError, NoRunError),
        OutcomePrinter(lines, console, lambda: None) as printer,
    ):
        batch = await recover_run(
            where,
            dialect=dialect,
            out=target,
            on_outcome=printer.on_outcome,
            **options,
        )
    for line in _report(batch):
        print_line(console, line)
    return exit_codes.SOME_FAILED if batch.failures else exit_codes.ALL_MADE


def _report(batch: Batch) -> Iterator[str]:
    if not batch:
        yield "Nothing to recover: no answer of this run is kept."
        return
    paid = sum((image.spent_earlier for image in batch.images), Decimal(0))
    images = plural(len(batch.images), "image")
    yield f"{images} recovered, for which {format_dollars(paid)} was paid"
    if batch.failures:
        yield f"{len(batch.failures)} still cannot be read:"
    for failure in batch.failures:
        text = printable(failure.prompt.text, 40)
        yield f"  #{failure.index + 1} {text}: {error_text(failure.error)}"
