"""`nbp show`: what a run has made, what it cost, and what is unclear. It changes nothing."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from nbp_async import Report, Row
from nbp_async.cli import exit_codes
from nbp_async.cli.run_reader import RunReader
from nbp_async.cli.shared_options import any_run_argument
from nbp_async.display.formats import format_seconds, printable
from nbp_async.display.row_table import RowTable, columns_of, tab_separated
from nbp_async.display.run_summary import RunSummary, facts_table
from nbp_async.display.sheet import write_sheet

_HELP = """\
Show a run: what it made and cost, what failed, what may have been billed.

DIR is the folder of an `nbp many --out DIR`, or its journal, if that is elsewhere: a file, or
postgresql://host/db?run=NAME. It is only read, and may be in use. Without an option its totals
are shown.

\b
--table  a line for each item: number, state, pixels, dollars, seconds,
         prompt, and its file or why it failed. Dollars with a question mark
         may have been billed, those in brackets are set aside for what is
         queued. A terminal shows what fits; elsewhere lines are complete,
         with tabs and without a heading.
--json   an object for each item, on a line of its own.
--html   a page with links to all images.

Exit code 3: something of the run could not be read; stderr says what.
"""
_INDEX = "index.html"


@click.command(help=_HELP)
@any_run_argument
@click.option("--table", "as_table", is_flag=True, help="A line for each item.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object for each item.")
@click.option(
    "--html",
    "sheet",
    is_flag=False,
    flag_value=_INDEX,
    metavar="[FILE]",
    type=click.Path(path_type=Path),
    help=f"A page with the images. Default FILE: {_INDEX} in DIR.",
)
@click.option("--failed", is_flag=True, help="Only items that ended without an image.")
@click.option("--unclear", is_flag=True, help="Only items that may have been billed.")
def show(
    where: Path | str,
    as_table: bool,
    as_json: bool,
    sheet: Path | None,
    failed: bool,
    unclear: bool,
) -> None:
    """Read the run, and show it in this form."""
    if as_table + as_json + (sheet is not None) > 1:
        raise exit_codes.InvalidUseError("Choose one of --table, --json and --html.")
    reader = RunReader(where)
    wanted = _filter(failed, unclear)

    def rows() -> Iterator[Row]:
        return (row for row in reader.rows() if wanted(row))

    if sheet is not None:
        _write_page(reader, list(rows()), sheet)
    elif as_json:
        for row in rows():
            sys.stdout.buffer.write(row.json() + b"\n")
    elif as_table or failed or unclear:
        _show_table(rows())
    else:
        _show_totals(reader)
    sys.stdout.flush()
    sys.exit(reader.finish())


def _filter(failed: bool, unclear: bool) -> Callable[[Row], bool]:
    everything = not failed and not unclear
    return lambda row: (
        everything or (failed and row.state == "failed") or (unclear and row.maybe_usd > 0)
    )


def _show_table(rows: Iterator[Row]) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        for row in rows:
            sys.stdout.write(tab_separated(columns_of(row)) + "\n")
        return
    table = RowTable(console.width, console.encoding)
    console.print(table.heading(), no_wrap=True, crop=True)
    for row in rows:
        console.print(table.line(columns_of(row)), no_wrap=True, crop=True)


def _show_totals(reader: RunReader) -> None:
    report, console = reader.report, Console(highlight=False)
    place = report.place or str(report.folder)
    summary = RunSummary(reader.rows(), report.folder, reader.accounts())
    facts = [*summary.facts(time.time()), ("processes", f"{report.processes:,} so far")]
    facts += _learned_limits(report, time.time())
    unclear = [f"  {line}" for line in summary.unclear()]
    if unclear:
        unclear.insert(0, "May have been billed, and not sent again by default:")
    if console.is_terminal:
        console.print(facts_table(place, facts))
        for line in unclear:
            console.print(Text(line), no_wrap=True, overflow="ellipsis")
        return
    wide = max(len(name) for name, _ in facts)
    lines = [place, *(f"{name:<{wide}}  {value}" for name, value in facts), *unclear]
    sys.stdout.write("\n".join(lines) + "\n")


def _learned_limits(report: Report, now: float) -> Iterator[tuple[str, str]]:
    """How many requests vendors held, for calls with `--max-in-flight auto`."""
    for one in report.learned:
        ago = format_seconds(max(0.0, now - one.written))
        where = printable(f"{one.model} at {one.endpoint}", 200)
        yield "learned limit", f"{one.limit:,} in flight, {ago} ago ({where})"


def _write_page(reader: RunReader, rows: list[Row], sheet: Path) -> None:
    report = reader.report
    file = report.folder / _INDEX if sheet == Path(_INDEX) else sheet
    facts = list(RunSummary(rows, report.folder, reader.accounts()).facts(time.time()))
    try:
        page = write_sheet(rows, file, folder=report.folder, title=report.folder.name, facts=facts)
    except OSError as exc:
        raise exit_codes.InvalidUseError(f"{file}: {exc.strerror}.") from exc
    click.echo(page)
