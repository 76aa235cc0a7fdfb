"""`nbp show`: what a run has made, what it cost, and what is unclear. It changes nothing."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from nbp_async._rows import Row
from nbp_async.cli import codes
from nbp_async.cli.runs import Reading
from nbp_async.display.sheet import write_sheet
from nbp_async.display.standing import Standing
from nbp_async.display.summary import summary
from nbp_async.display.table import Fitted, cells_of, plain

_HELP = """\
Show a run: what it has made and cost, what failed, what may have been billed.

DIR is the folder of an `nbp many --out DIR` (or its journal, where that is elsewhere). It is only
read, and may be at work. Without an option its sums are shown.

\b
--table  a line for each item: number, state, pixels, dollars, seconds,
         prompt, and its file or why it failed. Dollars with a question mark
         may have been billed. Fitted to a terminal; elsewhere whole, with a
         tab between two columns and without a heading.
--json   an object for each item, on a line of its own.
--html   a page with all images; it links them where they are.

Exit code 3: something of the run could not be read; it is told on stderr.
"""
_INDEX = "index.html"


@click.command(help=_HELP)
@click.argument("where", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--table", "as_table", is_flag=True, help="A line for each item.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object for each item.")
@click.option(
    "--html",
    "sheet",
    is_flag=False,
    flag_value=_INDEX,
    metavar="[FILE]",
    type=click.Path(path_type=Path),
    help=f"A page with the images; without FILE it is {_INDEX} in DIR.",
)
@click.option("--failed", is_flag=True, help="Only what ended without an image.")
@click.option("--unclear", is_flag=True, help="Only what may have been billed.")
def show(
    where: Path, as_table: bool, as_json: bool, sheet: Path | None, failed: bool, unclear: bool
) -> None:
    """Read the run, and show it in the form that was asked for."""
    if as_table + as_json + (sheet is not None) > 1:
        raise codes.Misuse("Choose one of --table, --json and --html.")
    reading = Reading(where)
    wanted = _filter(failed, unclear)

    def rows() -> Iterator[Row]:
        return (row for row in reading.rows() if wanted(row))

    if sheet is not None:
        _write_page(reading, list(rows()), sheet)
    elif as_json:
        for row in rows():
            sys.stdout.buffer.write(row.json() + b"\n")
    elif as_table or failed or unclear:
        _show_table(rows())
    else:
        _show_sums(reading)
    sys.stdout.flush()
    sys.exit(reading.end())


def _filter(failed: bool, unclear: bool) -> Callable[[Row], bool]:
    everything = not failed and not unclear
    return lambda row: (
        everything or (failed and row.state == "failed") or (unclear and row.maybe_usd > 0)
    )


def _show_table(rows: Iterator[Row]) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        for row in rows:
            sys.stdout.write(plain(cells_of(row)) + "\n")
        return
    fitted = Fitted(console.width)
    console.print(fitted.heading(), no_wrap=True, crop=True)
    for row in rows:
        console.print(fitted.line(cells_of(row)), no_wrap=True, crop=True)


def _show_sums(reading: Reading) -> None:
    report, console = reading.report, Console(highlight=False)
    standing = Standing(reading.rows(), report.folder)
    facts = [*standing.facts(time.time()), ("processes", f"{report.processes:,} so far")]
    unclear = [f"  {line}" for line in standing.unclear()]
    if unclear:
        unclear.insert(0, "May have been billed, and is not sent again unasked:")
    if console.is_terminal:
        console.print(summary(str(report.folder), facts))
        for line in unclear:
            console.print(Text(line), no_wrap=True, overflow="ellipsis")
        return
    wide = max(len(name) for name, _ in facts)
    lines = [str(report.folder), *(f"{name:<{wide}}  {value}" for name, value in facts), *unclear]
    sys.stdout.write("\n".join(lines) + "\n")


def _write_page(reading: Reading, rows: list[Row], sheet: Path) -> None:
    report = reading.report
    file = report.folder / _INDEX if sheet == Path(_INDEX) else sheet
    facts = list(Standing(rows, report.folder).facts(time.time()))
    try:
        click.echo(write_sheet(rows, file, folder=report.folder, title=report.folder.name,
                               facts=facts))  # fmt: skip
    except OSError as exc:
        raise codes.Misuse(f"{file}: {exc.strerror}.") from exc
