"""From options to images: what `gen` and `many` have in common."""

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import click
from rich.console import Console

from nbp_async import Client, ConfigError, Image, Limits, Listener, Outcome, Plan
from nbp_async._flow.run import Again
from nbp_async._models import FailedLines, Via
from nbp_async._pixels import resolve
from nbp_async._stores.address import is_store
from nbp_async.cli import codes
from nbp_async.cli.brake import Brake
from nbp_async.cli.checks import too_few_files
from nbp_async.cli.hooks import Hook
from nbp_async.cli.keyfile import chosen_key, chosen_profile
from nbp_async.cli.lists import Entry
from nbp_async.cli.output import Data, people, record, say
from nbp_async.cli.place import Place
from nbp_async.cli.rescue import rescue
from nbp_async.cli.spelling import as_typed
from nbp_async.cli.tally import Tally
from nbp_async.display.counts import Counts
from nbp_async.display.progress import Progress


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a command was asked to make.

    Attributes:
        prompts: What to draw.
        place: Where images go; its folder exists.
        name: Gives an image in a file its last name, and says what that is. Called in a thread.
        size: For prompts that name none; None for the model's default.
        via: How answers come; None for the endpoint's own way.
        hook: Where tasks call back, with `via="webhook"`.
        max_cost: US dollars, as text; None for no cap.
        durable: The folder is a run, which can go on later.
        again: What may be bought again of what earlier calls left.
        wait: Wait for the results of batch jobs; else end when they are created.
        failed_lines: What becomes of lines of batch jobs that cost nothing and brought nothing.
        dry_run: Say what would be done, and do nothing.
        console: Where people look.
        as_json: One JSON object for each outcome on stdout, and not the paths.
        quiet: No progress, and no summary unless something failed.
    """

    prompts: Sequence[Entry]
    place: Place
    name: Callable[[Image], Path]
    limits: Limits
    endpoint: str | None
    model: str | None
    size: str | None
    via: Via | None = None
    hook: Hook | None = None
    aspect_ratio: str | None = None
    max_cost: str | None = None
    durable: bool = True
    again: Again = field(default_factory=Again)
    account: str | None = None
    dry_run: bool = False
    wait: bool = True
    failed_lines: FailedLines = "batch"
    console: Console = field(default_factory=people)
    as_json: bool = False
    quiet: bool = False

    @property
    def total(self) -> int:
        """Images in all."""
        counts = (entry.get("n", 1) if isinstance(entry, dict) else 1 for entry in self.prompts)
        return sum(count if isinstance(count, int) else 1 for count in counts)

    def lines(self, outcome: Outcome) -> Iterator[str]:
        """What goes to stdout about one outcome."""
        place = self._named(outcome) if isinstance(outcome, Image) else None
        if self.as_json:
            yield record(outcome, place)
        elif isinstance(outcome, Image):
            places = (place, *map(self._place_of, outcome.extras))
            yield from (place for place in places if place is not None)

    def _named(self, image: Image) -> str | None:
        if self.place.store or image.path is None:
            return self._place_of(image)
        return str(self.name(image))

    def _place_of(self, image: Image) -> str | None:
        """Where it is; or where it was rescued to, if that would not outlive the command."""
        lasting = is_store(image.location) if self.place.store else bool(image.location)
        if lasting:
            return image.location
        rescued = self._rescued(image)
        return None if rescued is None else str(rescued)

    def _rescued(self, image: Image) -> Path | None:
        return rescue(image, (self.place.folder, Path(tempfile.gettempdir())), self.console)


async def make(order: Order) -> int:
    """Make the images, show how it goes, and return the exit code."""
    console, loop = order.console, asyncio.get_running_loop()
    counts, tally = Counts(order.total, order.limits.max_in_flight), Tally(order.total)

    def reader_left() -> None:
        if not brake.stopped:
            brake.press(plan)

    data = Data(order.lines, console, lambda: loop.call_soon_threadsafe(reader_left))
    async with connect(order, [counts, data]) as client:
        patience = _patience(client, order)
        plan = plan_of(client, order)
        if order.dry_run:
            return dry_run(plan)
        brake = Brake(lambda text: say(console, text), counts, patience)
        short = too_few_files(min(order.total, order.limits.max_in_flight))
        if short and not order.quiet:
            say(console, short)
        async with Progress(counts, console, quiet=order.quiet):
            with data:  # inside: its last lines go above the bar, not into its end
                with brake.on(plan):
                    await plan
                data.patience = 1.0 if brake.dropped else None
        tally.add_all(plan.partial)
    if tally.code(stopped=False) != codes.ALL_MADE or not (order.quiet or order.total == 1):
        for line in tally.lines():
            say(console, line)
        for line in tally.advice(durable=order.durable):
            say(console, line)
    return tally.code(stopped=brake.stopped, durable=order.durable)


def plan_of(client: Client, order: Order) -> Plan:
    """What the order asks of the client; nothing is sent yet."""
    return client.many(
        list(order.prompts),
        size=order.size,
        via=order.via,
        aspect_ratio=order.aspect_ratio,
        out=order.place.out,
        max_cost=order.max_cost,
        journal=order.place.journal if order.durable else False,
        resend_ambiguous=order.again.resend_ambiguous,
        retry_failed=order.again.retry_failed,
        verify=order.again.verify,
        wait=order.wait,
        failed_lines=order.failed_lines,
    )


def dry_run(plan: Plan) -> int:
    """Say what it would do; it is then forgotten."""
    with closing(plan):
        found = plan.preview()
    for line in found.lines():
        click.echo(as_typed(line))
    return codes.ALL_MADE if found.fits else codes.SOME_FAILED


def connect(order: Order, listeners: Sequence[Listener]) -> Client:
    """A client for the endpoint, with the key that the environment holds, or else the key file.

    Raises:
        ConfigError: The endpoint is none, or cannot call back so.
        NoKey: There is no key for it, or none that a header can carry.
    """
    profile = chosen_profile(order.endpoint, os.environ)
    webhook = None if order.hook is None else order.hook.webhook(profile)
    try:
        return Client.from_env(
            endpoint=profile,
            api_key=chosen_key(profile, os.environ),
            model=order.model,
            limits=order.limits,
            listeners=listeners,
            account=order.account,
            webhook=webhook,
        )
    except ConfigError as exc:
        raise codes.NoKey(codes.words_of(exc)) from exc


def _patience(client: Client, order: Order) -> float:
    """Seconds that the slowest of these images may take before it is given up."""
    tiers = {resolve(client.model, order.size or "1K", order.aspect_ratio).tier}
    for size in {entry.get("size") for entry in order.prompts if isinstance(entry, dict)}:
        with suppress(ConfigError):  # the plan will say which prompt it is
            tiers.add(resolve(client.model, str(size or "1K"), None).tier)
    return client.timeouts.read or max(map(client.profile.read_timeout, tiers))
