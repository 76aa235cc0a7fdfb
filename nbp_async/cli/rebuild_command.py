"""`nbp rebuild`: makes the lost or damaged journal of a run from what is left. It sends nothing."""

from pathlib import Path

import click

from nbp_async import JournalError, NoRunError, rebuild_run
from nbp_async.cli import exit_codes
from nbp_async.cli.shared_options import run_argument
from nbp_async.display.formats import printable

_HELP = """\
Make the journal of a run from its manifest and images, and what its old journal still yields.

DIR is the folder of an `nbp many --out DIR`, or its journal. Use it if the journal was lost or
damaged, or copied without its -wal file: then the same `nbp many` buys nothing again that is known
here. It needs no key and sends nothing. The old files are kept under other names.

An image whose prompt is not known for certain is unclear: a prompt that fits it is not sent again,
unless with --resend-ambiguous. Requests that were out when the journal was lost are not known.

Exit code 3: something could not be read, or is unclear.
"""


@click.command(help=_HELP)
@run_argument
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder of its images, if the journal is in another one.",
)
def rebuild(where: Path, out: Path | None) -> None:
    """Rebuild it, and print what it knows now."""
    with (
        exit_codes.errors_as(exit_codes.CommandFailedError, JournalError),
        exit_codes.errors_as(exit_codes.InvalidUseError, NoRunError),
    ):
        report = rebuild_run(where, out=out)
    for line in report.lines():
        click.echo(printable(line, 1000))
    whole = not report.unclear and not report.problems
    raise SystemExit(exit_codes.ALL_MADE if whole else exit_codes.SOME_FAILED)
