"""`nbp many`: a file of prompts, one image for each."""

from pathlib import Path
from typing import Any, get_args

import click

from nbp_async import Image, Limits
from nbp_async._flow.run import Again
from nbp_async._models import FailedLines
from nbp_async.cli import codes
from nbp_async.cli.hooks import Hook, hook_options
from nbp_async.cli.lists import prompts_of
from nbp_async.cli.making import Order, make
from nbp_async.cli.options import every_way, place_options, run_options
from nbp_async.cli.place import Place

_HELP = """\
Make one image for each prompt in FILE (- for stdin); paths go to stdout as they come.

\b
.txt, -   one prompt a line, unless it is blank or begins with #
.csv      the column "prompt" or "text", or --prompt-column; columns
          called size, aspect_ratio and so on are options of their row
.jsonl    a string, or an object: text, size, aspect_ratio and so on
          (nbp help prompts)

DIR is a run: its journal knows what was sent, what came and what it cost. The same command
goes on where the last one ended, was stopped or was killed; what is there is not bought again.

Images may go to a store instead, as --out s3://bucket/prefix (oss, gs, az; its keys come from the
environment); the journal is then the file that --journal names, on this machine.

Ctrl-C sends nothing more and lets what is paid for finish; again, it drops that as well.
"""


@click.command(help=_HELP)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@place_options
@click.option("--max-in-flight", type=click.IntRange(min=1), default=50, show_default=True,
              metavar="N", help="Requests in flight at once.")  # fmt: skip
@click.option("--rate", metavar="N/PERIOD", help="Requests that may leave: 60/min, 2/s, 1000/hour.")
@click.option("--burst", type=click.IntRange(min=1), default=1, show_default=True,
              metavar="N", help="Requests that may leave together after idling.")  # fmt: skip
@click.option(
    "--max-cost",
    metavar="USD",
    help="No attempt goes beyond so many dollars, all calls of the run together.",
)
@click.option(
    "--spend", metavar="USD/PERIOD", help="Dollars that may be billed in any such period: 50/10min."
)
@click.option(
    "--account",
    metavar="NAME",
    help="A name for the account that pays: a run goes on with its own account alone, and keys "
    "may change. Default: the key stands for it.",
)
@click.option("--dry-run", is_flag=True,
              help="Say how many, for how much and how long; send nothing.")  # fmt: skip
@click.option("--prompt-column", metavar="NAME",
              help="Column of a .csv, or field of a .jsonl, that holds the prompt.")  # fmt: skip
@click.option("--no-wait", is_flag=True,
              help="With --via batch: end when all jobs are created. The same command, on any day, "
              "brings what they made.")  # fmt: skip
@click.option("--failed-lines", type=click.Choice(get_args(FailedLines)), default="batch",
              show_default=True,
              help="With --via batch: what becomes of lines that cost nothing and brought nothing. "
              "batch: into another job; held: by held calls, at the full price; keep: "
              "failures.")  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Nothing on stderr unless something failed.")
@run_options
@hook_options
@every_way
def many(
    file: str,
    place: Place,
    max_in_flight: int,
    rate: str | None,
    burst: int,
    max_cost: str | None,
    spend: str | None,
    again: Again,
    account: str | None,
    dry_run: bool,
    prompt_column: str | None,
    no_wait: bool,
    failed_lines: FailedLines,
    quiet: bool,
    hook: Hook | None,
    **vendor: Any,
) -> None:
    """Read the prompts, and make them; what the vendor is asked is named as in an `Order`."""

    async def work() -> int:
        return await make(
            Order(
                prompts=prompts_of(file, prompt_column),
                place=place.made(),
                name=lambda image: _beneath(place.folder, image),
                limits=Limits(max_in_flight=max_in_flight, rate=rate, burst=burst, spend=spend),
                max_cost=max_cost,
                again=again,
                dry_run=dry_run,
                wait=not no_wait,
                failed_lines=failed_lines,
                account=account,
                quiet=quiet,
                hook=hook,
                **vendor,
            )
        )

    codes.run(work)


def _beneath(out: Path, image: Image) -> Path:
    """The image's path in the form that the user gave the folder in."""
    assert image.path is not None
    return out / image.path.name
