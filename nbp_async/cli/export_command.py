"""`nbp export`: a run's items as CSV, Parquet or JSON, for spreadsheets and other programs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from nbp_async.cli import exit_codes
from nbp_async.cli.run_reader import RunReader
from nbp_async.cli.shared_options import any_run_argument
from nbp_async.display.output_file import replacing
from nbp_async.display.row_export import write_csv, write_json, write_parquet

_WRITERS = {"csv": write_csv, "parquet": write_parquet, "json": write_json}
_HELP = """\
Write a row for each item of a run: its prompt, its image, where that is, and what it cost.

DIR is the folder of an `nbp many --out DIR`, or its journal: a file, or
postgresql://host/db?run=NAME. It is only read, and may be in use.
Paths are relative to it, or addresses in a store; sizes are in bytes, times in seconds, amounts in
US dollars.

\b
csv      RFC 4180, UTF-8. Text that begins with = + - @, a tab or a line
         end gets a ' before it: spreadsheets would run it as a formula.
parquet  typed columns, dollars as exact decimals; needs
         pip install "nbp-async[frames]"
json     one array, an object on each line.

Exit code 3: something of the run could not be read; stderr says what.
"""


@click.command(help=_HELP)
@any_run_argument
@click.option(
    "--to",
    "form",
    type=click.Choice(list(_WRITERS)),
    default="csv",
    show_default=True,
    help="What to write.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A new file is for you alone; an existing one is replaced in one step, and keeps its "
    "rights. Default: stdout.",
)
def export(where: Path | str, form: str, output: Path | None) -> None:
    """Read the run, and write it in this form."""
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise exit_codes.InvalidUseError("Parquet is binary: name a file with -o.")
    reader = RunReader(where)
    with _target(output) as file:
        try:
            _WRITERS[form](reader.rows(), file)
        except ImportError as exc:
            raise exit_codes.InvalidUseError(f"--to {form}: {exc}") from exc
    sys.exit(reader.finish())


@contextmanager
def _target(output: Path | None) -> Iterator[BinaryIO]:
    """Where the bytes go: stdout, or a file that appears when it is complete."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    # Renamed when complete: a program that reads the file never sees a half.
    try:
        with replacing(output) as file:
            yield file
    except OSError as exc:
        raise exit_codes.InvalidUseError(f"{output}: {exc.strerror}.") from exc
