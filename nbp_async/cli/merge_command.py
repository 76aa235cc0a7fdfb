"""`nbp merge`: makes one run of those of several machines. It sends nothing."""

from pathlib import Path

import click

from nbp_async import JournalError, NoRunError, StorageError, merge_runs
from nbp_async.cli import exit_codes
from nbp_async.cli.destination import RunType
from nbp_async.display.formats import printable

_HELP = """\
Merge the runs in each FOLDER into the run OUT, as if one machine had made it.

For the folders of `nbp many --shard 1/3 --out ...` and so on, or of any other runs of one account.
They stay as they are. Images are linked where both folders are on one disk, and copied elsewhere.
Then `nbp many FILE --out OUT` without --shard finds everything and sends nothing. Made again, it
adds what is new, and changes nothing else. It needs no key and sends nothing.

If images are in a store, name the journals instead: OUT is then the merged one.

Exit code 3: something could not be merged, or was bought twice: it is named.
"""


@click.command(help=_HELP)
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.argument("folders", metavar="FOLDER...", nargs=-1, required=True, type=RunType())
def merge(out: Path, folders: tuple[Path | str, ...]) -> None:
    """Merge them, and print what the merged run has now."""
    with (
        exit_codes.errors_as(exit_codes.CommandFailedError, StorageError),
        exit_codes.errors_as(exit_codes.CommandFailedError, JournalError),
        exit_codes.errors_as(exit_codes.InvalidUseError, NoRunError),
        exit_codes.errors_as(exit_codes.InvalidUseError),
    ):
        report = merge_runs(out, *folders)
    for line in report.lines():
        click.echo(printable(line, 1000))
    raise SystemExit(exit_codes.SOME_FAILED if report.twice else exit_codes.ALL_MADE)
