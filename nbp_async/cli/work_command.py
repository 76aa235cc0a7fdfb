"""`nbp work`: makes what is queued in a run, beside any number of other processes."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from nbp_async import CallOptions, Client, Failure, Limits, Outcome, Run
from nbp_async.cli import exit_codes
from nbp_async.cli.account_options import AccountChoice, account_options
from nbp_async.cli.destination import Destination
from nbp_async.cli.outcome_lines import OutcomeLines
from nbp_async.cli.output import OutcomePrinter, print_line, stderr_console
from nbp_async.cli.queue_options import journal_option, place_option, run_destination
from nbp_async.cli.queue_summary import QueueSummary
from nbp_async.cli.run_reader import read_report
from nbp_async.cli.service_client import service_client
from nbp_async.cli.shared_options import (
    ServiceOptions,
    answer_options,
    library_option,
    limit_options,
    maker_options,
    payment_options,
    via_option,
)
from nbp_async.cli.stop_handler import StopHandler
from nbp_async.cli.webhook_options import WebhookSettings, webhook_options
from nbp_async.display.progress import is_unsent
from nbp_async.display.progress_counter import ProgressCounter
from nbp_async.display.terminal_line import TerminalLine

_HELP = """\
Make the images that are queued in a run (nbp submit); print each path on stdout as it comes.

It ends when the queue is empty; with --forever it waits for more. Of a run in a database any number
of processes make a part each, and limits for all of them together are set by `nbp queue limit`.

SIGTERM or Ctrl-C sends nothing more and lets paid requests finish; what was not sent is in the
queue again. A second one drops them: they may be billed, and are named.

Exit code 5: it was stopped before the queue was empty, with nothing unclear. Services of a machine:
nbp help workers.
"""


@dataclass(frozen=True, kw_only=True)
class WorkOptions:
    """What `nbp work` works on, and how.

    Attributes:
        journal: The run's.
        destination: Where images go.
        call: Options of `Client.open_run`.
        forever: Wait for more when the queue is empty.
        console: Where messages go.
        as_json: Print a JSON object for each outcome on stdout, instead of paths.
        quiet: No progress bar and no summary unless something failed.
    """

    journal: Path | str
    destination: Destination
    call: dict[str, Any]
    forever: bool
    console: Console
    as_json: bool
    quiet: bool


@click.command(help=_HELP)
@journal_option
@place_option
@click.option(
    "--forever", is_flag=True, help="Wait for more when the queue is empty, until it is stopped."
)
@limit_options
@payment_options
@library_option(CallOptions, "shared")
@click.option("-q", "--quiet", is_flag=True, help="Nothing on stderr unless something failed.")
@webhook_options
@via_option("held", "poll", "webhook")
@answer_options
@account_options
@maker_options
def work(
    journal: Path | str,
    out: Path | str | None,
    forever: bool,
    max_in_flight: str,
    rate: str | None,
    burst: int,
    spend: str | None,
    account: str | None,
    accounts: AccountChoice,
    quiet: bool,
    webhook: WebhookSettings | None,
    service: ServiceOptions,
    as_json: bool,
    **call: Any,
) -> None:
    """Open the run and make what is queued; `call` are the options of `Client.open_run`."""
    destination = run_destination(journal, out)
    _check_run(journal, forever=forever)
    destination.created(shared=call["shared"])
    limits = Limits(max_in_flight=max_in_flight, rate=rate, burst=burst, spend=spend)
    options = WorkOptions(
        journal=journal,
        destination=destination,
        call={**call, "out": out},
        forever=forever,
        console=stderr_console(),
        as_json=as_json,
        quiet=quiet,
    )

    client = partial(
        service_client, service, accounts=accounts, limits=limits, account=account, webhook=webhook
    )
    exit_codes.run(lambda: _work(options, client))


def _check_run(journal: Path | str, *, forever: bool) -> None:
    """Refuse a file that nobody has submitted to, or can."""
    if isinstance(journal, Path):
        if forever:
            raise exit_codes.InvalidUseError(_ALONE)
        read_report(journal)


_ALONE = (
    "--forever is for a run in a database: nobody else can submit to a folder while this process "
    "works on it. Nothing was sent."
)


async def _work(options: WorkOptions, open_client: Callable[..., Client]) -> int:
    """Make what is queued, show the progress and the summary, and return the exit code."""
    console, loop = options.console, asyncio.get_running_loop()
    counter, summary = ProgressCounter(None, 1), QueueSummary()

    # Called in the loop, after the thread that prints has found stdout closed (`nbp work | head`).
    def reader_left() -> None:
        if not stop_handler.stopped:
            stop_handler.stop(stream)

    gone = partial(loop.call_soon_threadsafe, reader_left)
    printer = OutcomePrinter(_lines(options), console, gone)
    client = open_client(listeners=[counter, summary, printer])
    counter.max_in_flight = client.limits.most_in_flight
    run = client.open_run(options.journal, **options.call)
    stream = run.work(forever=options.forever)  # refuses before anything is opened
    stop_handler = StopHandler(partial(print_line, console), counter, _longest_wait(client))
    async with client, run:
        await _begin(run, options, counter)
        async with TerminalLine(lambda: counter.progress, console, quiet=options.quiet):
            with printer:  # inside, so that its last lines go above the bar
                with stop_handler.watching(stream):
                    async for _ in stream:
                        pass  # the listeners have it
                await stream.aclose()  # after a second signal it is not at its end
                printer.patience = 1.0 if stop_handler.dropped else None
        queue = await run.counts()
    code = summary.exit_code(queue, stopped=stop_handler.stopped)
    if code != exit_codes.ALL_MADE or not options.quiet:
        for line in summary.lines(queue):
            print_line(console, line)
    return code


async def _begin(run: Run, options: WorkOptions, counter: ProgressCounter) -> None:
    """What is known before the first request: how much there is to do, and why it may not begin."""
    queue = await run.counts()
    if isinstance(options.journal, Path):  # nobody else makes some of it
        counter.total = queue.ready
    if queue.paused:
        print_line(options.console, f"{queue.paused} Nothing is sent until nbp queue resume.")


def _lines(options: WorkOptions) -> Callable[[Outcome], Iterable[str]]:
    lines = OutcomeLines(
        name=options.destination.name_as_given,
        destination=options.destination,
        console=options.console,
        as_json=options.as_json,
        number="ticket",
    )

    def of(outcome: Outcome) -> Iterable[str]:
        is_queued_again = isinstance(outcome, Failure) and is_unsent(outcome)
        return () if is_queued_again else lines.of(outcome)

    return of


def _longest_wait(client: Client) -> float:
    """Seconds after which the slowest image times out, whatever size and tier it has."""
    profile = client.profile
    return client.timeouts.read or max(map(profile.read_timeout, ("1K", "2K", "4K", *profile.read)))
