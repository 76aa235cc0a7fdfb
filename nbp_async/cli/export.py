"""`nbp export`: a run's items as CSV, Parquet or JSON, for spreadsheets and other programs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from nbp_async._frames import to_polars
from nbp_async.cli import codes
from nbp_async.cli.runs import Reading
from nbp_async.display.cells import write_csv, write_json

_HELP = """\
Write a row for each item of a run: what was asked, what came, where it is, what it cost.

DIR is the folder of an `nbp many --out DIR` (or its journal); it is only read, and may be at
work. Paths are relative to it, or addresses in a store; sizes are in bytes, times in seconds,
amounts in US dollars.

\b
csv      RFC 4180, UTF-8. A text that begins with = + - @, a tab or a line's
         end has a ' before it: a spreadsheet would take it for a formula.
parquet  typed columns, dollars as exact decimals; needs
         pip install "nbp-async[frames]"
json     one array, an object on each line.

Exit code 3: something of the run could not be read; it is told on stderr.
"""


@click.command(help=_HELP)
@click.argument("where", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--to", "form", type=click.Choice(["csv", "parquet", "json"]), default="csv",
              show_default=True, help="What to write.")  # fmt: skip
@click.option("-o", "--output", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
              help="Replaced in one step if it is there. Default: stdout.")  # fmt: skip
def export(where: Path, form: str, output: Path | None) -> None:
    """Read the run, and write it in the form that was asked for."""
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise codes.Misuse("Parquet is nothing for a terminal: name a file with -o.")
    reading = Reading(where)
    with _target(output) as file:
        if form == "csv":
            write_csv(reading.rows(), file)
        elif form == "json":
            write_json(reading.rows(), file)
        else:
            _write_parquet(reading, file)
    sys.exit(reading.end())


def _write_parquet(reading: Reading, file: BinaryIO) -> None:
    try:
        frame = to_polars(reading.rows())
    except ImportError as exc:
        raise codes.Misuse(f"--to parquet: {exc}") from exc
    frame.write_parquet(file)


@contextmanager
def _target(output: Path | None) -> Iterator[BinaryIO]:
    """Where the bytes go: stdout, or a file that appears when it is whole."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    temporary = output.with_name(f".{output.name}.part")
    try:
        with temporary.open("wb") as file:
            yield file
        temporary.replace(output)
    except OSError as exc:
        raise codes.Misuse(f"{output}: {exc.strerror}.") from exc
    finally:
        temporary.unlink(missing_ok=True)
