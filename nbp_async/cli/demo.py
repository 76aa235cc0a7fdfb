"""`nbp demo`: the whole of it at work, against the fake server in a process of its own.

The server keeps books that the client never sees: what it rendered, whether or not anybody heard
of it. At the end the two bills are laid side by side.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from nbp_async import Batch, Client, Limits, Retry, Timeouts
from nbp_async._profiles import fake_profile
from nbp_async._rows import row_of
from nbp_async._words import money, plural, span, weight
from nbp_async.cli import codes
from nbp_async.cli.brake import Brake
from nbp_async.cli.lists import read_prompts
from nbp_async.cli.output import people, say
from nbp_async.cli.place import Place
from nbp_async.cli.tally import Tally
from nbp_async.display.counts import Counts
from nbp_async.display.progress import Progress
from nbp_async.display.sheet import write_sheet
from nbp_async.display.summary import Fact, summary
from nbp_async.fake import spawn

_PROMPTS = Path(__file__).with_name("demo_prompts.txt")
_SHORTEST, _LONGEST = 30, 170  # seconds an image really takes
_FAULTS = "reset=0.015,500=0.01,blocked=0.01,truncated=0.005,html=0.005,hang=0.005"
_BILLS_DIFFER = 1


@dataclass(frozen=True, kw_only=True)
class Scene:
    """How the demo is to be played; `speed` is how many times faster than real."""

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
        """Options of the client: its time runs faster as well, so that waiting looks as it is."""
        return {
            "limits": Limits(max_in_flight=self.max_in_flight),
            "timeouts": Timeouts(read=max(5.0, 300 / self.speed)),
            "retry": Retry(base=1 / self.speed, cap=60 / self.speed),
        }


@click.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default="out/demo",
              show_default=True, help="The folder for the images and their sheet.")  # fmt: skip
@click.option("--count", type=click.IntRange(1, 200), default=200, show_default=True,
              metavar="N", help="Images to make.")  # fmt: skip
@click.option("--max-in-flight", type=click.IntRange(min=1), default=50, show_default=True,
              metavar="N", help="Requests in flight at once. Try 1, and 200.")  # fmt: skip
@click.option("--speed", type=click.FloatRange(min=1), default=30.0, show_default=True,
              metavar="N", help="How many times faster than real the vendor works.")  # fmt: skip
@click.option("--faults", is_flag=True, help="Let one call in twenty go wrong.")
def demo(out: Path, count: int, max_in_flight: int, speed: float, faults: bool) -> None:
    """See it work: 200 images over real HTTP from a fake server. No key, no cost."""
    scene = Scene(out=out, count=count, max_in_flight=max_in_flight, speed=speed, faults=faults)
    codes.run(lambda: play(scene))


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What is known when the last image is there: the client's books and the server's."""

    scene: Scene
    batch: Batch
    counts: Counts
    tally: Tally
    witness: Any

    @property
    def agrees(self) -> bool:
        """The bank billed what the client says was spent, give or take what it calls unclear."""
        bill = self.batch.billing
        return bool(bill.spent <= self.witness.dollars <= bill.spent + bill.maybe)

    def facts(self) -> list[Fact]:
        """What to tell people."""
        scene, images = self.scene, self.batch.images
        in_turn = sum(a.timings.service for outcome in self.batch for a in outcome.attempts)
        bytes_in_all = sum(image.stored.size for image in images)
        times = in_turn / self.batch.elapsed if self.batch.elapsed else 1.0
        return [
            ("images", f"{len(images)} of {scene.count}, {weight(bytes_in_all)} in all"),
            ("failed", str(self.tally.failed)),
            ("took", _both(self.batch.elapsed, scene.speed)),
            ("one after another", f"{_both(in_turn, scene.speed)}: {times:.0f} times as long"),
            ("most in flight", self._peaks()),
            ("billed", self._bills()),
        ]

    def _peaks(self) -> str:
        client, server = self.counts.peak, self.witness.peak_in_flight
        return f"{client} by the client's count, {server} by the server's"

    def _bills(self) -> str:
        bill, bank = self.batch.billing, self.witness.dollars
        if bill.spent == bank:
            verdict = "equal"
        elif self.agrees:
            verdict = f"within the {money(bill.maybe)} that the client calls unclear"
        else:
            verdict = "they differ, and must not"
        return f"{money(bill.spent)} by the client's books, {money(bank)} by the bank's: {verdict}"


def _both(seconds: float, speed: float) -> str:
    return f"{span(seconds)}, really {span(seconds * speed)}"


async def play(scene: Scene) -> int:
    """Start the server, make the images, lay the books side by side; returns the exit code."""
    console, target = people(), Place(folder=scene.out).made().folder
    prompts = read_prompts(_PROMPTS.name, _PROMPTS.read_text("utf-8"))[: scene.count]
    counts = Counts(scene.count, scene.max_in_flight)
    server = await spawn(**scene.server)
    try:
        profile = fake_profile(server.openai_url, "openai_images")
        say(
            console,
            f"Fake server on {profile.host}: an image takes {_SHORTEST}-{_LONGEST} s, shown "
            f"{scene.speed:g} times faster.",
        )
        client = Client(profile, server.key, listeners=[counts], **scene.client)
        async with client:
            plan = client.many(prompts, size="1K", out=target, journal=False)
            brake = Brake(lambda text: say(console, text), counts, _LONGEST / scene.speed)
            async with Progress(counts, console):
                with brake.on(plan):
                    await plan
            batch = plan.partial
        witness = await server.stats()
    finally:
        await server.aclose()
    tally = Tally(scene.count)
    tally.add_all(batch)
    ending = Ending(scene=scene, batch=batch, counts=counts, tally=tally, witness=witness)
    return _conclude(ending, console, stopped=brake.stopped)


def _conclude(ending: Ending, console: Console, *, stopped: bool) -> int:
    """Show the summary and the sheet."""
    facts, scene = ending.facts(), ending.scene
    title = f"{plural(scene.count, 'prompt')}, {scene.max_in_flight} in flight"
    Console(highlight=False).print(summary(title, facts))
    for line in ending.tally.problems():
        say(console, line)
    if stopped:
        for line in ending.tally.lines():
            say(console, line)
    sheet = write_sheet(
        [row_of(outcome) for outcome in ending.batch],
        scene.out / "index.html",
        folder=scene.out,
        title=f"nbp demo: {title}",
        facts=facts,
        speed=scene.speed,
    )
    more = "--max-in-flight 200" if scene.faults else "--faults"
    say(console, f"\nLook at   {sheet}")
    say(console, f"Then try  nbp demo {more}")
    say(console, '     or   NBP_API_KEY=… nbp gen "a red bicycle" -o bike.png')
    if not ending.agrees:
        return _BILLS_DIFFER
    return ending.tally.code(stopped=stopped)
