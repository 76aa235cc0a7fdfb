"""From options to images: what `nbp gen`, `nbp many` and `nbp batch submit` have in common."""

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import click
from rich.console import Console

from nbp_async import (
    Client,
    ConfigError,
    Image,
    Limits,
    Listener,
    Outcome,
    Plan,
    PromptFile,
    canvas_for,
    check_key,
)
from nbp_async.cli import exit_codes
from nbp_async.cli.account_options import AccountChoice, accounts_in
from nbp_async.cli.destination import Destination
from nbp_async.cli.error_text import as_flag
from nbp_async.cli.fallback_storage import is_lasting, save_elsewhere
from nbp_async.cli.key_file import chosen_key, chosen_profile
from nbp_async.cli.machine_checks import open_files_warning
from nbp_async.cli.outcome_summary import OutcomeSummary
from nbp_async.cli.output import (
    OutcomePrinter,
    outcome_json,
    preview_json,
    print_line,
    stderr_console,
)
from nbp_async.cli.prompt_files import rows_shown
from nbp_async.cli.shared_options import ServiceOptions
from nbp_async.cli.stop_handler import StopHandler
from nbp_async.cli.table_approval import key_to_send
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

    def lines(self, outcome: Outcome) -> Iterator[str]:
        """The lines on stdout about one outcome."""
        location = self._named(outcome) if isinstance(outcome, Image) else None
        if self.as_json:
            yield outcome_json(outcome, location)
        elif isinstance(outcome, Image):
            locations = (location, *map(self._location_of, outcome.extras))
            yield from (location for location in locations if location is not None)

    def _named(self, image: Image) -> str | None:
        if image.links or (image.path is not None and not self.destination.store):
            return self.name(image)
        return self._location_of(image)

    def _location_of(self, image: Image) -> str | None:
        """Where the image is; if only in memory or a temporary file, where it is saved now."""
        if is_lasting(image):
            return image.location
        folders = (self.destination.folder, Path(tempfile.gettempdir()))
        path = save_elsewhere(image, folders, self.console)
        return None if path is None else str(path)


async def make_images(options: MakeOptions) -> int:
    """Make the images, show the progress and the summary, and return the exit code."""
    console, loop = options.console, asyncio.get_running_loop()
    counter = ProgressCounter(options.total, 0)

    # Called in the loop, after the thread that prints has found stdout closed (`nbp many | head`).
    def reader_left() -> None:
        if not stop_handler.stopped:
            stop_handler.stop(plan)

    printer = OutcomePrinter(options.lines, console, lambda: loop.call_soon_threadsafe(reader_left))
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
    """A client for the endpoint, with the key of the environment, or else of the key file.

    Raises:
        ConfigError: The endpoint is unknown, or the options cannot work with it.
        ApiKeyError: The key is missing, or cannot be sent in a header.
    """
    if options.accounts.file is not None:
        return _open_accounts(options.accounts.file, options, listeners)
    if options.accounts.route is not None:
        raise exit_codes.InvalidUseError("--route chooses between the accounts of --accounts FILE.")
    profile = chosen_profile(options.service.endpoint, os.environ)
    webhook = None if options.webhook is None else options.webhook.for_profile(profile)
    choose_key = chosen_key if options.dry_run else key_to_send
    with exit_codes.errors_as(exit_codes.ApiKeyError):
        key = check_key(choose_key(profile, os.environ), profile)
    return Client.from_env(
        endpoint=profile,
        api_key=key,
        model=options.service.model,
        price=options.service.price,
        allow_http=options.service.allow_http,
        **options.service.network,
        limits=options.limits,
        listeners=listeners,
        account=options.account,
        webhook=webhook,
    )


def _open_accounts(path: Path, options: MakeOptions, listeners: Sequence[Listener]) -> Client:
    """A client for the accounts of a file."""
    service = options.service
    given = {
        "--endpoint": service.endpoint,
        "--price": service.price,
        "--header": service.network.get("headers"),
    }
    if alone := [name for name, value in given.items() if value is not None]:
        raise exit_codes.InvalidUseError(
            f"{alone[0]} is for one endpoint: {path} says it for each account."
        )
    return Client(
        accounts_in(path, sends=not options.dry_run),
        route=cast("Any", options.accounts.route),
        model=service.model,
        allow_http=service.allow_http,
        **service.network,
        limits=options.limits,
        listeners=listeners,
        account=options.account,
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
