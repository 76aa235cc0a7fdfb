"""`nbp journal`: moves the journal of a run between its folder and a database. It sends nothing."""

from pathlib import Path

import click

from nbp_async import JournalError, NoRunError, copy_journal
from nbp_async.cli import exit_codes
from nbp_async.cli.destination import RunType
from nbp_async.display.formats import printable

_COPY_HELP = """\
Copy the journal of a run into a database, or out of one, to go on with it there.

SOURCE and TARGET are the folder of an `nbp many --out DIR`, or its journal, and
postgresql://host/db?run=NAME, in this order or the other one. Images stay where they are. The
journal that was read is set aside under another name, so that nobody goes on with both.
"""


@click.group(help="Move the journal of a run between its folder and a database.")
def journal() -> None:
    """The group of its one command."""


@journal.command(help=_COPY_HELP)
@click.argument("source", metavar="SOURCE", type=RunType())
@click.argument("target", metavar="TARGET", type=RunType())
@click.option(
    "--out",
    metavar="URL",
    help="The store of its images, if they are not in the journal's folder.",
)
def copy(source: Path | str, target: Path | str, out: str | None) -> None:
    """Copy it, and print where the one that was read is now."""
    with (
        exit_codes.errors_as(exit_codes.CommandFailedError, JournalError),
        exit_codes.errors_as(exit_codes.InvalidUseError, NoRunError),
        exit_codes.errors_as(exit_codes.InvalidUseError),
    ):
        aside = copy_journal(source, target, out=out)
    click.echo(printable(f"The journal that was read is now: {aside}", 1000))
