"""From options to images: what `nbp gen`, `nbp many` and `nbp batch submit` have in common."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import click
from rich.console import Console

from nbp_async import (
    Client,
    ConfigError,
    Image,
    Limits,
    Listener,
    Plan,
    PromptFile,
    canvas_for,
)
from nbp_async.cli import exit_codes
from nbp_async.cli.account_options import AccountChoice
from nbp_async.cli.destination import Destination
from nbp_async.cli.error_text import as_flag
from nbp_async.cli.machine_checks import open_files_warning
from nbp_async.cli.outcome_lines import OutcomeLines
from nbp_async.cli.outcome_summary import OutcomeSummary
from nbp_async.cli.output import OutcomePrinter, preview_json, print_line, stderr_console
from nbp_async.cli.prompt_files import rows_shown
from nbp_async.cli.service_client import service_client
from nbp_async.cli.shared_options import ServiceOptions
from nbp_async.cli.stop_handler import StopHandler
from nbp_async.cli.webhook_options import WebhookSettings
from nbp_async.display.formats import plural
from nbp_async.display.progress_counter import ProgressCounter
from nbp_async.display.terminal_line import TerminalLine


@dataclass(frozen=True, kw_only=True)
class MakeOptions:
    """What a command makes, and how.

    Attributes:
        prompts: What to draw.
        destination: Where images go; its folder exists.
        name: Gives the file of an image its final name, and returns it, or the link that was kept.
            Called in a thread.
        limits: How hard the endpoint is pressed.
        call: Options of the call: size, max_cost and so on; see `RunAsk`.
        service: Who makes them.
        account: A name for the account that pays; None for the key's.
        accounts: A file of several accounts, which are asked instead of one endpoint, if any.
        webhook: Where tasks call back, with `--via webhook`.
        durable: The folder is a run, which the same command continues.
        dry_run: Print what the call would do, and send nothing.
        console: Where messages go.
        as_json: Print a JSON object for each outcome on stdout, instead of paths.
        quiet: No progress bar, and no summary unless something failed.
    """

    prompts: PromptFile | Sequence[str | dict[str, Any]]
    destination: Destination
    name: Callable[[Image], str]
    limits: Limits
    call: dict[str, Any] = field(default_factory=dict)
    service: ServiceOptions = field(default_factory=ServiceOptions)
    account: str | None = None
    accounts: AccountChoice = field(default_factory=AccountChoice)
    webhook: WebhookSettings | None = None
    durable: bool = True
    dry_run: bool = False
    console: Console = field(default_factory=stderr_console)
    as_json: bool = False
    quiet: bool = False

    @cached_property
    def total(self) -> int:
        """Number of images."""
        if isinstance(self.prompts, PromptFile):
            return self.prompts.images_of(self.call.get("shard"))
        return sum(entry["n"] if isinstance(entry, dict) else 1 for entry in self.prompts)

    @property
    def sizes(self) -> Iterable[str]:
        """Sizes that single prompts ask for."""
        return self.prompts.sizes if isinstance(self.prompts, PromptFile) else ()

    def print_file(self) -> None:
        """Say once what the file of prompts is, and what of it is used."""
        if isinstance(self.prompts, PromptFile) and not self.quiet:
            print_line(self.console, str(self.prompts))
            if shard := self.call.get("shard"):
                images = f"{self.total:,} of {plural(self.prompts.images, 'image')}"
                print_line(self.console, f"Part {shard}: {images}")


async def make_images(options: MakeOptions) -> int:
    """Make the images, show the progress and the summary, and return the exit code."""
    console, loop = options.console, asyncio.get_running_loop()
    counter = ProgressCounter(options.total, 0)

    # Called in the loop, after the thread that prints has found stdout closed (`nbp many | head`).
    def reader_left() -> None:
        if not stop_handler.stopped:
            stop_handler.stop(plan)

    lines = OutcomeLines(
        name=options.name,
        destination=options.destination,
        console=console,
        as_json=options.as_json,
    )
    printer = OutcomePrinter(lines.of, console, lambda: loop.call_soon_threadsafe(reader_left))
    async with open_client(options, [counter, printer]) as client:
        counter.max_in_flight = client.limits.most_in_flight
        longest = _longest_wait(client, options)
        plan = plan_images(client, options)
        if options.dry_run:
            return print_preview(plan, options)
        options.print_file()
        stop_handler = StopHandler(lambda text: print_line(console, text), counter, longest)
        warning = open_files_warning(min(options.total, client.limits.most_in_flight))
        if warning and not options.quiet:
            print_line(console, warning)
        watch_check(options.prompts, counter)
        async with TerminalLine(lambda: counter.progress, console, quiet=options.quiet):
            with printer:  # inside, so that its last lines go above the bar
                with stop_handler.watching(plan):
                    await plan
                printer.patience = 1.0 if stop_handler.dropped else None
        summary = OutcomeSummary(plan.partial, options.total)
    if not summary.all_made or not (options.quiet or options.total == 1):
        for line in summary.lines(durable=options.durable):
            print_line(console, line)
    return summary.exit_code(stopped=stop_handler.stopped, durable=options.durable)


def watch_check(prompts: object, counter: ProgressCounter) -> None:
    """Let the bar say how far the check of a long file is, which comes before the first request."""

    def show(rows: int) -> None:
        if not (counter.images or counter.failed or counter.in_flight):
            counter.note = f"{rows:,} rows checked"

    if isinstance(prompts, PromptFile):
        prompts.progress = show


def plan_images(client: Client, options: MakeOptions) -> Plan:
    """The call for these options; nothing is sent yet."""
    destination = options.destination
    journal = destination.journal if options.durable else False
    return client.many(options.prompts, out=destination.out, journal=journal, **options.call)


def print_preview(plan: Plan, options: MakeOptions) -> int:
    """Print what the file holds and what the call would do, and close it."""
    file = options.prompts if isinstance(options.prompts, PromptFile) else None
    what = "Checking" if file is None else f"Checking {file.name}"
    with closing(plan), rows_shown(options.console, what) as show:
        if file is not None:
            file.progress = show
        preview = plan.preview()
    if options.as_json:
        click.echo(preview_json(preview, file))
    else:
        for line in (*([] if file is None else [str(file)]), *preview.lines(as_flag)):
            click.echo(line)
    return exit_codes.ALL_MADE if preview.fits else exit_codes.SOME_FAILED


def open_client(options: MakeOptions, listeners: Sequence[Listener]) -> Client:
    """A client for the endpoint of these options; see `service_client`."""
    return service_client(
        options.service,
        accounts=options.accounts,
        sends=not options.dry_run,
        limits=options.limits,
        listeners=listeners,
        account=options.account,
        webhook=options.webhook,
    )


def _longest_wait(client: Client, options: MakeOptions) -> float:
    """Seconds after which the slowest of these images times out.

    Raises:
        ConfigError: The model does not draw the size or ratio of the command's options.
    """
    size, ratio = options.call.get("size"), options.call.get("aspect_ratio")
    # Checked here, before the plan checks prompts: the error then names the option, not a prompt.
    tiers = {canvas_for(client.model, size or "1K", ratio).tier}
    for size in options.sizes:
        with suppress(ConfigError):  # the plan raises it, with the place of the prompt
            tiers.add(canvas_for(client.model, size, None).tier)
    service = options.call.get("tier") or "standard"
    waits = (client.profile.read_timeout(tier, service) for tier in tiers)
    return client.timeouts.read or max(waits)
