"""`nbp batch`: jobs at half the price, handed in today and fetched on any day, from any machine."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

from nbp_async import (
    AuthError,
    Batch,
    BatchRun,
    BatchStatus,
    InvalidRequestError,
    Outcome,
    TaskOpenError,
)
from nbp_async._models import ZERO
from nbp_async._rows import row_of
from nbp_async._words import money, plural, printable
from nbp_async.cli import codes
from nbp_async.cli.hand_in import HELP, hand_in, is_out
from nbp_async.cli.jobs import as_object, read_jobs, run_of, table, waiting_in
from nbp_async.cli.options import place_options, run_options, service_options
from nbp_async.cli.output import Data, people, say
from nbp_async.cli.place import Out, Place
from nbp_async.cli.rescue import lasting
from nbp_async.cli.tally import Reason

_DOUBT = (
    "creation was not answered, and no list has it. nbp batch fetch looks again for a minute, and "
    "then frees the prompts."
)
Command = TypeVar("Command", bound=Callable[..., Any])


@click.group()
def batch() -> None:
    """Hand in batch jobs at half the price; look, fetch and cancel on any day.

    DIR is the folder of the run, or its journal. It may have been moved here from another machine:
    where its jobs are is in the journal, and only the key comes from the environment or from
    `nbp auth set`. More: nbp help batch
    """


def _dir_and_endpoint(command: Command) -> Command:
    for option in (
        click.option("--endpoint", metavar="NAME|URL", help="Where its jobs are. Default: where "
                     "its journal says; a relay is named here or with NBP_BASE_URL."),
        click.argument("where", metavar="DIR", type=click.Path(path_type=Path)),
    ):  # fmt: skip
        command = option(command)
    return command


@batch.command(help=HELP, short_help="Hand in the prompts of FILE as batch jobs, and end.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@place_options
@click.option("--max-cost", metavar="USD", help="The whole run costs no more than so many dollars.")
@click.option("--account", metavar="NAME",
              help="A name for the account that pays: its keys may change.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say how many and for how much; send nothing.")
@click.option("--prompt-column", metavar="NAME",
              help="Column of a .csv, or field of a .jsonl, that holds the prompt.")  # fmt: skip
@run_options
@service_options
def submit(file: str, place: Place, **options: Any) -> None:
    """Hand in the prompts of FILE, and end when all jobs are created."""
    codes.run(lambda: hand_in(file, place, **options))


@batch.command()
@_dir_and_endpoint
@click.option("--json", "as_json", is_flag=True, help="A JSON object for each job.")
def status(where: Path, endpoint: str | None, as_json: bool) -> None:
    """Ask how the jobs of the run in DIR stand. Nothing is changed, here or there.

    A line for each job: name, state, lines, done, failed, age, and when it is given up if it is
    not done. Elsewhere than in a terminal, with a tab between two columns and without a heading.

    Exit code 3: a job could not be asked for.
    """
    codes.run(lambda: _status(run_of(where, endpoint), where, as_json))


@batch.command(short_help="Bring what the jobs of the run in DIR have made.")
@_dir_and_endpoint
@click.option("--out", type=Out(), help="Where its images belong, if the journal is elsewhere and "
              "does not say so.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="A JSON object for each image.")
def fetch(where: Path, endpoint: str | None, out: Path | str | None, as_json: bool) -> None:
    """Bring what the jobs of the run in DIR have made; paths go to stdout as images come.

    Nothing is bought, and nothing waited for: what is not done stays, and is named. Stopped with
    Ctrl-C it goes on where it was, when it is called again.

    Exit code 3: something failed, or is still at the vendor.
    """
    folder = where if where.is_dir() else where.parent
    codes.run(lambda: _fetch(run_of(where, endpoint, out), folder, where, as_json))


@batch.command()
@_dir_and_endpoint
@click.option("--yes", is_flag=True, help="Do not ask first.")
def cancel(where: Path, endpoint: str | None, yes: bool) -> None:
    """Cancel the jobs of the run in DIR at the vendor.

    What is rendered by then is charged, and `nbp batch fetch` brings it.

    Exit code 3: a job could not be asked for, and may go on.
    """
    jobs = waiting_in(read_jobs(where))
    if not jobs:
        say(people(), "Nothing to cancel: no job is open.")
        raise SystemExit(codes.ALL_MADE)
    lines, most = sum(job.waiting for job in jobs), sum((job.most for job in jobs), ZERO)
    if not yes:
        if not sys.stdin.isatty():
            raise codes.Misuse("Nobody can be asked here: add --yes to cancel. Nothing was sent.")
        words = f"Cancel {plural(len(jobs), 'job')} of {plural(lines, 'image')}, {money(most)}?"
        if not click.confirm(words, err=True):
            say(people(), "Nothing was cancelled.")
            raise SystemExit(codes.ALL_MADE)
    names = {job.name for job in jobs}
    codes.run(lambda: _cancel(run_of(where, endpoint), where, names))


async def _status(run: BatchRun, where: Path, as_json: bool) -> int:
    async with run:
        jobs = await run.jobs()
    now, console = time.time(), people()
    for line in map(as_object(now), jobs) if as_json else table(jobs, now):
        sys.stdout.write(line + "\n")
    ready = [job for job in jobs if job.state in ("done", "failed", "cancelled", "expired")]
    if ready:
        ended = f"{plural(len(ready), 'job')} ended"
        say(console, f"{ended}: nbp batch fetch {where} brings what came of it.")
    return _told(jobs)


async def _fetch(run: BatchRun, folder: Path, where: Path, as_json: bool) -> int:
    console = people()

    def lines(outcome: Outcome) -> Iterator[str]:
        places = list(lasting(outcome, folder, console))
        if not as_json:
            yield from places
        elif not is_out(outcome):
            yield row_of(outcome, places[0] if places else "").json().decode()

    with Data(lines, console, lambda: None) as data:
        try:
            async with run:
                made = await run.fetch(data.on_outcome)
        except asyncio.CancelledError:
            say(console, "Stopped. What came is safe; the same command brings the rest.")
            raise
    for line in told(made, where):
        say(console, line)
    if any(isinstance(one.error.__cause__, AuthError) for one in made.failures):
        return codes.KEY
    return codes.SOME_FAILED if made.failures else codes.ALL_MADE


def told(made: Batch, where: Path) -> Iterator[str]:
    """What became of the lines of a run's jobs."""
    paid = sum((one.spent_earlier for one in made), ZERO)
    left = [one for one in made.failures if is_out(one)]
    failed = [one for one in made.failures if not is_out(one)]
    yield f"{plural(len(made.images), 'image')} fetched, {money(paid)} paid"
    reasons: dict[str, Reason] = {}
    for one in failed:
        name = type(one.error).__name__
        reasons.setdefault(name, Reason(name, printable(str(one.error)))).add(one)
    yield from (f"  {reason}" for reason in reasons.values())
    if any(one.billing == "no" for one in failed):
        yield "What cost nothing is sent again by the same nbp batch submit."
    if left:
        names = {one.error.task for one in left if isinstance(one.error, TaskOpenError)}
        at = f"{plural(len(left), 'image')} in {plural(len(names), 'job')}"
        yield f"{at} still at the vendor: nbp batch fetch {where} again, later."
    for problem in {str(one.error.__cause__) for one in left if one.error.__cause__ is not None}:
        yield f"  {printable(problem)}"
    if any(_is_unknown(one.error.__cause__) for one in left):
        yield (
            "A key of another project sees none of its jobs. If it is the right one, nbp many "
            "--via batch with the same prompts gives up what is not known any more."
        )


def _is_unknown(error: BaseException | None) -> bool:
    return isinstance(error, InvalidRequestError) and error.status in (404, 410)


async def _cancel(run: BatchRun, where: Path, names: set[str]) -> int:
    console = people()
    async with run:
        jobs = [job for job in await run.cancel() if job.name in names]
    ended = [job for job in jobs if job.state not in ("open", "unknown", "doubtful", "planned")]
    asked = [job for job in jobs if job.state == "open"]
    most = sum((job.most for job in (*ended, *asked)), ZERO)
    done = sum(job.done for job in jobs)
    say(console, f"{plural(len(ended), 'job')} ended, {len(asked)} about to end; {done} of "
        f"{plural(sum(job.lines for job in jobs), 'image')} done.")  # fmt: skip
    if most:
        say(console, f"Up to {money(most)} may still be billed: what is rendered by now is "
            f"charged. nbp batch fetch {where} brings it.")  # fmt: skip
    return _told(jobs)


def _told(jobs: list[BatchStatus]) -> int:
    """Say why jobs could not be asked for, and return the exit code."""
    problems = {str(job.error): job.error for job in jobs if job.state == "unknown"}
    for problem in problems:
        say(people(), printable(problem))
    doubtful = sum(job.state == "doubtful" for job in jobs)
    if doubtful:
        say(people(), f"{plural(doubtful, 'job')} in doubt: {_DOUBT}")
    if any(isinstance(why, AuthError) for why in problems.values()):
        return codes.KEY
    return codes.SOME_FAILED if problems or doubtful else codes.ALL_MADE
