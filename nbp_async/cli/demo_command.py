"""`nbp demo`: the library at work, against a fake server in a process of its own.

The server's bank counts what it rendered, whether or not the response arrived. At the end its bill
and the client's are compared.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from nbp_async import Batch, Client, Limits, Retry, Timeouts, read_prompts, row_of
from nbp_async.cli import exit_codes
from nbp_async.cli.destination import Destination
from nbp_async.cli.outcome_summary import OutcomeSummary
from nbp_async.cli.output import print_line, stderr_console
from nbp_async.cli.stop_handler import StopHandler
from nbp_async.display.formats import format_bytes, format_dollars, format_seconds, plural
from nbp_async.display.progress_counter import ProgressCounter
from nbp_async.display.run_summary import Fact, facts_table
from nbp_async.display.sheet import write_sheet
from nbp_async.display.terminal_line import TerminalLine
from nbp_async.fake import spawn
from nbp_async.testing.profile import fake_profile

_PROMPTS = Path(__file__).with_name("demo_prompts.txt")
_SHORTEST, _LONGEST = 30, 170  # seconds an image really takes
_FAULTS = "reset=0.015,500=0.01,blocked=0.01,truncated=0.005,html=0.005,hang=0.005"
_BILLS_DIFFER = 1


@dataclass(frozen=True, kw_only=True)
class DemoSettings:
    """How the demo runs; `speed` is how many times faster than a real vendor."""

    out: Path
    count: int
    max_in_flight: int
    speed: float
    faults: bool

    @property
    def server(self) -> dict[str, Any]:
        """Options of the fake server."""
        latency = f"{_SHORTEST}-{_LONGEST}"
        faults = {"faults": _FAULTS} if self.faults else {}
        return {"latency": latency, "speed": self.speed, "seed": 7, **faults}

    @property
    def client(self) -> dict[str, Any]:
        """Options of the client, whose timeouts and backoffs are scaled by `speed` as well."""
        return {
            "limits": Limits(max_in_flight=self.max_in_flight),
            "timeouts": Timeouts(read=max(5.0, 300 / self.speed)),
            "retry": Retry(base=1 / self.speed, cap=60 / self.speed),
        }


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="out/demo",
    show_default=True,
    help="The folder for the images and their page.",
)
@click.option(
    "--count",
    type=click.IntRange(1, 200),
    default=200,
    show_default=True,
    metavar="N",
    help="Images to make.",
)
@click.option(
    "--max-in-flight",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    metavar="N",
    help="Requests in flight at once. Try 1, and 200.",
)
@click.option(
    "--speed",
    type=click.FloatRange(min=1),
    default=30.0,
    show_default=True,
    metavar="N",
    help="How many times faster than a real vendor.",
)
@click.option("--faults", is_flag=True, help="Let one call in twenty go wrong.")
def demo(out: Path, count: int, max_in_flight: int, speed: float, faults: bool) -> None:
    """See it work: 200 images over real HTTP from a fake server. No key, no cost."""
    settings = DemoSettings(
        out=out, count=count, max_in_flight=max_in_flight, speed=speed, faults=faults
    )
    exit_codes.run(lambda: run_demo(settings))


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the client and the server counted, once the last image is there."""

    settings: DemoSettings
    batch: Batch
    counter: ProgressCounter
    summary: OutcomeSummary
    server_stats: Any

    @property
    def agrees(self) -> bool:
        """The bank billed what the client counts as spent, plus at most what is unclear."""
        bill = self.batch.billing
        return bool(bill.spent <= self.server_stats.dollars <= bill.spent + bill.maybe)

    def facts(self) -> list[Fact]:
        """The lines of the summary."""
        settings, images = self.settings, self.batch.images
        in_turn = sum(a.timings.service for outcome in self.batch for a in outcome.attempts)
        total_bytes = sum(image.stored.size for image in images)
        times = in_turn / self.batch.elapsed if self.batch.elapsed else 1.0
        return [
            ("images", f"{len(images)} of {settings.count}, {format_bytes(total_bytes)} in all"),
            ("failed", str(len(self.summary.failures))),
            ("took", _both(self.batch.elapsed, settings.speed)),
            ("one after another", f"{_both(in_turn, settings.speed)}: {times:.0f} times as long"),
            ("most in flight", self._peaks()),
            ("billed", self._bills()),
        ]

    def _peaks(self) -> str:
        client, server = self.counter.peak, self.server_stats.peak_in_flight
        return f"{client} counted by the client, {server} by the server"

    def _bills(self) -> str:
        bill, bank = self.batch.billing, self.server_stats.dollars
        if bill.spent == bank:
            verdict = "equal"
        elif self.agrees:
            verdict = f"within the {format_dollars(bill.maybe)} that the client counts as unclear"
        else:
            verdict = "they differ, and must not"
        spent, billed = format_dollars(bill.spent), format_dollars(bank)
        return f"{spent} counted by the client, {billed} by the bank: {verdict}"


def _both(seconds: float, speed: float) -> str:
    return f"{format_seconds(seconds)}, really {format_seconds(seconds * speed)}"


async def run_demo(settings: DemoSettings) -> int:
    """Start the server, make the images, compare the bills; return the exit code."""
    console, folder = stderr_console(), Destination(folder=settings.out).created().folder
    prompts = read_prompts(_PROMPTS)[: settings.count]
    counter = ProgressCounter(settings.count, settings.max_in_flight)
    longest = _LONGEST / settings.speed
    stop_handler = StopHandler(lambda text: print_line(console, text), counter, longest)
    # In a process of its own, so that the terminal's Ctrl-C reaches only the client.
    server = await spawn(**settings.server)
    try:
        profile = fake_profile(server.openai_url, "openai_images")
        print_line(
            console,
            f"Fake server on {profile.host}: an image takes {_SHORTEST}-{_LONGEST} s, shown "
            f"{settings.speed:g} times faster.",
        )
        async with Client(profile, server.key, listeners=[counter], **settings.client) as client:
            plan = client.many(prompts, size="1K", out=folder, journal=False)
            async with TerminalLine(lambda: counter.progress, console):
                with stop_handler.watching(plan):
                    await plan
            batch = plan.partial
        server_stats = await server.stats()
    finally:
        await server.aclose()
    result = DemoResult(
        settings=settings,
        batch=batch,
        counter=counter,
        summary=OutcomeSummary(batch, settings.count),
        server_stats=server_stats,
    )
    return _conclude(result, console, stopped=stop_handler.stopped)


def _conclude(result: DemoResult, console: Console, *, stopped: bool) -> int:
    """Show the summary, and write the page of the images."""
    facts, settings, summary = result.facts(), result.settings, result.summary
    title = f"{plural(settings.count, 'prompt')}, {settings.max_in_flight} in flight"
    Console(highlight=False).print(facts_table(title, facts))
    for line in summary.lines(durable=False) if stopped else summary.failure_lines():
        print_line(console, line)
    page = write_sheet(
        [row_of(outcome) for outcome in result.batch],
        settings.out / "index.html",
        folder=settings.out,
        title=f"nbp demo: {title}",
        facts=facts,
        speed=settings.speed,
    )
    more = "--max-in-flight 200" if settings.faults else "--faults"
    print_line(console, f"\nLook at   {page}")
    print_line(console, f"Then try  nbp demo {more}")
    print_line(console, '     or   NBP_API_KEY=… nbp gen "a red bicycle" -o bike.png')
    return summary.exit_code(stopped=stopped) if result.agrees else _BILLS_DIFFER
