"""`nbp batch`: jobs at half the price, submitted today and fetched on any day, from any machine."""

import asyncio
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from nbp_async import (
    AuthError,
    Batch,
    BatchRun,
    Failure,
    InvalidRequestError,
    Limits,
    NoRunError,
    Outcome,
    TaskOpenError,
    read_run_jobs,
    row_of,
)
from nbp_async.cli import exit_codes
from nbp_async.cli.batch_jobs import (
    describe_jobs,
    job_json,
    jobs_at_vendor,
    open_batch_run,
    read_jobs,
    report_problems,
    submitted_json,
    table_lines,
)
from nbp_async.cli.destination import Destination, DestinationType
from nbp_async.cli.error_text import error_text
from nbp_async.cli.fallback_storage import image_locations
from nbp_async.cli.make_images import MakeOptions, open_client, plan_images, print_preview
from nbp_async.cli.network_options import ClientSettings, endpoint_network_options
from nbp_async.cli.outcome_summary import OutcomeSummary
from nbp_async.cli.output import OutcomePrinter, print_line, stderr_console
from nbp_async.cli.prompt_files import FileOptions, file_options
from nbp_async.cli.shared_options import (
    ServiceOptions,
    add_options,
    destination_options,
    dry_run_option,
    endpoint_option,
    json_option,
    keep_links_option,
    link_option,
    payment_options,
    resume_options,
    run_argument,
    service_options,
)
from nbp_async.cli.stop_handler import StopHandler
from nbp_async.display.formats import format_dollars, plural, printable
from nbp_async.display.progress import FailureGroups
from nbp_async.display.progress_counter import ProgressCounter
from nbp_async.display.progress_text import failures_text

_SUBMIT_HELP = """\
Submit the prompts of FILE (- for stdin) as batch jobs, and end when all jobs are created.

They cost half, and take up to a day. DIR is the run; a line for each job goes to stdout: its name,
its images and the US dollars that they may cost, or with --json an object. FILE is as for nbp many.
There is no --links and no --response-format: Google's and OpenAI's batch APIs send base64.

The same command continues where the last one ended: what is submitted or here already is not
bought again. Ctrl-C creates no more jobs; those that are created continue.

Exit code 3: something could not be submitted.
"""
_run_options = add_options(
    run_argument,
    endpoint_option(
        "Where its jobs are. Default: as its journal says; name a relay here or in NBP_BASE_URL.",
        metavar="NAME|URL",
    ),
    endpoint_network_options,
)


@click.group()
def batch() -> None:
    """Submit batch jobs at half the price; check, fetch and cancel them on any day.

    DIR is the folder of the run, or its journal. You may have moved it here from another machine:
    the journal says where its jobs are, and only the key comes from the environment or from
    `nbp auth set`. More: nbp help batch
    """


@batch.command(help=_SUBMIT_HELP, short_help="Submit the prompts of FILE as batch jobs, and end.")
@file_options
@destination_options
@payment_options
@dry_run_option
@resume_options
@service_options
def submit(
    source: FileOptions,
    destination: Destination,
    account: str | None,
    dry_run: bool,
    service: ServiceOptions,
    as_json: bool,
    **call: Any,
) -> None:
    """Submit the prompts of FILE, and end when all jobs are created."""

    console = stderr_console()

    async def work() -> int:
        return await _submit(
            MakeOptions(
                prompts=source.read(console),
                destination=destination.created(),
                name=lambda image: image.location,
                limits=Limits(),
                call={"via": "batch", "wait": False, **call},
                service=service,
                account=account,
                dry_run=dry_run,
                console=console,
                as_json=as_json,
            )
        )

    exit_codes.run(work)


@batch.command()
@_run_options
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each job.")
def status(where: Path, endpoint: str | None, network: ClientSettings, as_json: bool) -> None:
    """Ask for the state of the jobs of the run in DIR. This changes nothing, here or there.

    A line for each job: name, state, lines, done, failed, age, and when the vendor gives it up if
    it is not done. Outside a terminal, tabs separate the columns, and there is no heading.

    Exit code 3: the state of a job could not be read.
    """
    exit_codes.run(lambda: _status(open_batch_run(where, endpoint, network), where, as_json))


@batch.command(short_help="Get the images of the jobs of the run in DIR.")
@_run_options
@click.option(
    "--out",
    type=DestinationType(),
    help="Where its images belong, if the journal is elsewhere and does not name it.",
)
@keep_links_option
@link_option
@json_option
def fetch(
    where: Path,
    endpoint: str | None,
    network: ClientSettings,
    out: Path | str | None,
    links: str | None,
    allow_http: bool | None,
    as_json: bool,
) -> None:
    """Get the images of the jobs of the run in DIR; print each path on stdout as it comes.

    This buys nothing and waits for nothing: what is not done stays at the vendor, and is listed.
    After Ctrl-C the same command continues.

    Exit code 3: something failed, or is still at the vendor.
    """
    folder = where if where.is_dir() else where.parent

    async def work() -> int:
        about_links = {"links": links or "fetch", "allow_http": allow_http}
        run = open_batch_run(where, endpoint, network | about_links, out)
        return await _fetch(run, folder, where, as_json)

    exit_codes.run(work)


@batch.command()
@_run_options
@click.option("--yes", is_flag=True, help="Do not ask first.")
def cancel(where: Path, endpoint: str | None, network: ClientSettings, yes: bool) -> None:
    """Cancel the jobs of the run in DIR at the vendor.

    Images that are finished by then are charged, and `nbp batch fetch` gets them.

    Exit code 3: the vendor did not confirm for a job, which may continue.
    """
    jobs = jobs_at_vendor(read_jobs(where))
    if not jobs:
        print_line(stderr_console(), "Nothing to cancel: no job is open.")
        raise SystemExit(exit_codes.ALL_MADE)
    if not yes:
        if not sys.stdin.isatty():
            raise exit_codes.InvalidUseError(
                "stdin is not a terminal: add --yes to cancel. Nothing was sent."
            )
        if not click.confirm(f"Cancel {describe_jobs(jobs)}?", err=True):
            print_line(stderr_console(), "Nothing was cancelled.")
            raise SystemExit(exit_codes.ALL_MADE)
    names = {job.name for job in jobs}
    exit_codes.run(lambda: _cancel(open_batch_run(where, endpoint, network), where, names))


async def _submit(options: MakeOptions) -> int:
    console, counter = options.console, ProgressCounter(options.total, 1)
    async with open_client(options, [counter]) as client:
        plan = plan_images(client, options)
        if options.dry_run:
            return print_preview(plan, options)
        options.print_file()
        stop_handler = StopHandler(lambda text: print_line(console, text), counter, 0.0)
        print_line(console, f"Submitting {plural(options.total, 'image')} ...")
        with stop_handler.watching(plan):
            await plan
        outcomes = plan.partial
    ended = Batch([outcome for outcome in outcomes if not _is_at_vendor(outcome)])
    await asyncio.to_thread(_print_submitted, options)
    summary = OutcomeSummary(ended, options.total - (len(outcomes) - len(ended)))
    if summary.progress.total:
        for line in summary.lines(durable=True):
            print_line(console, line)
    return summary.exit_code(stopped=stop_handler.stopped, durable=True)


def _print_submitted(options: MakeOptions) -> None:
    run = options.destination.run
    try:
        jobs = jobs_at_vendor(read_run_jobs(run))
    except NoRunError:
        jobs = []
    for job in jobs:
        text = f"{job.name}\t{job.waiting}\t{job.most}"
        click.echo(submitted_json(job) if options.as_json else text)
    if not jobs:
        print_line(options.console, "No job is at the vendor.")
        return
    print_line(options.console, f"At the vendor: {describe_jobs(jobs)}.")
    print_line(
        options.console,
        f"nbp batch status {run} shows their state, nbp batch fetch {run} gets what is done.",
    )


async def _status(run: BatchRun, where: Path, as_json: bool) -> int:
    async with run:
        jobs = await run.jobs()
    now = time.time()
    for line in (job_json(job, now) for job in jobs) if as_json else table_lines(jobs, now):
        sys.stdout.write(line + "\n")
    ended = sum(job.state in ("done", "failed", "cancelled", "expired") for job in jobs)
    if ended:
        print_line(
            stderr_console(),
            f"{plural(ended, 'job')} ended: nbp batch fetch {where} gets the results.",
        )
    return report_problems(jobs)


async def _fetch(run: BatchRun, folder: Path, where: Path, as_json: bool) -> int:
    console = stderr_console()

    def lines(outcome: Outcome) -> Iterator[str]:
        locations = list(image_locations(outcome, folder, console))
        if not as_json:
            yield from locations
        elif not _is_at_vendor(outcome):
            yield row_of(outcome, locations[0] if locations else "").json().decode()

    with OutcomePrinter(lines, console, lambda: None) as printer:
        try:
            async with run:
                fetched = await run.fetch(printer.on_outcome)
        except asyncio.CancelledError:
            print_line(console, "Stopped. What came is safe; the same command gets the rest.")
            raise
    for line in fetch_summary(fetched, where):
        print_line(console, line)
    if any(isinstance(failure.error.__cause__, AuthError) for failure in fetched.failures):
        return exit_codes.KEY
    return exit_codes.SOME_FAILED if fetched.failures else exit_codes.ALL_MADE


def fetch_summary(fetched: Batch, where: Path) -> Iterator[str]:
    """What became of the lines of a run's jobs."""
    paid = sum((outcome.spent_earlier for outcome in fetched), Decimal(0))
    yield f"{plural(len(fetched.images), 'image')} fetched, {format_dollars(paid)} paid"
    failed = [failure for failure in fetched.failures if not _is_at_vendor(failure)]
    for group in FailureGroups(failed, describe=error_text).by_count():
        yield f"  {failures_text(group)}"
    if any(failure.billing == "no" for failure in failed):
        yield "The same nbp batch submit sends again what cost nothing."
    waiting = [failure for failure in fetched.failures if _is_at_vendor(failure)]
    if waiting:
        names = {f.error.task for f in waiting if isinstance(f.error, TaskOpenError)}
        count = f"{plural(len(waiting), 'image')} in {plural(len(names), 'job')}"
        yield f"{count} still at the vendor: run nbp batch fetch {where} again later."
    causes = {str(f.error.__cause__): f.error.__cause__ for f in waiting}
    yield from (f"  {printable(text)}" for text, cause in causes.items() if cause is not None)
    if any(_is_unknown(cause) for cause in causes.values()):
        yield (
            "A key of another project does not see the jobs. If the key is the right one, nbp many "
            "--via batch with the same prompts gives up the jobs that the vendor no longer knows."
        )


async def _cancel(run: BatchRun, where: Path, names: set[str]) -> int:
    console = stderr_console()
    async with run:
        jobs = [job for job in await run.cancel() if job.name in names]
    ending = [job for job in jobs if job.state == "open"]
    ended = [job for job in jobs if job.state not in ("open", "unknown", "doubtful", "planned")]
    lines, done = sum(job.lines for job in jobs), sum(job.done for job in jobs)
    print_line(
        console,
        f"{plural(len(ended), 'job')} ended, {len(ending)} ending; {done} of "
        f"{plural(lines, 'image')} done.",
    )
    most = sum((job.most for job in (*ended, *ending)), Decimal(0))
    if most:
        print_line(
            console,
            f"Up to {format_dollars(most)} may still be billed: images that are finished by now "
            f"are charged. nbp batch fetch {where} gets them.",
        )
    return report_problems(jobs)


def _is_at_vendor(outcome: Outcome) -> bool:
    """The outcome is still in a job at the vendor."""
    return isinstance(outcome, Failure) and isinstance(outcome.error, TaskOpenError)


def _is_unknown(error: BaseException | None) -> bool:
    return isinstance(error, InvalidRequestError) and error.status in (404, 410)
