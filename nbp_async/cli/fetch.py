"""`nbp fetch`: what a run paid for and has only as links becomes images here, before they end."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console

from nbp_async import Failure, Image, Outcome, fetch_run
from nbp_async._keys import endpoint_from, is_loopback
from nbp_async._models import ZERO
from nbp_async._profiles import find_profile
from nbp_async._words import money, plural, printable, span
from nbp_async.cli import codes
from nbp_async.cli.output import Data, people, say
from nbp_async.cli.place import Out, Place
from nbp_async.cli.rescue import lasting
from nbp_async.cli.runs import Reading
from nbp_async.display.links import Links

_HELP = """\
Bring the images of a run that were paid for and are only links yet.

DIR is the folder of an `nbp many --out DIR`, or its journal. No key is needed, and nothing is
bought; the link that ends soonest comes first. Paths go to stdout as images come.

What cannot be fetched stays a link: call again. A link that no longer answers is given up, and
what was paid for it is told. Links usually live for seven days.

Exit code 3: something is still a link, or was lost.
"""


@click.command(help=_HELP)
@click.argument("where", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "target",
    type=Out(),
    help="Where they go, a folder or a store. Default: where the run's others are.",
)
def fetch(where: Path, target: Path | str | None) -> None:
    """Fetch them, and say what became of each."""
    reading = Reading(where)
    console = people()
    states, waiting = reading.report.states, []
    if states.get("answered"):
        waiting = [row.url_expires for row in reading.rows() if row.state == "answered"]
    vendor = states.get("submitted", 0)
    if vendor:
        say(console, f"{plural(vendor, 'image')} at the vendor: the same nbp many asks for them.")
    if not waiting:
        say(console, "Nothing to fetch: no image of this run is only a link.")
        raise SystemExit(reading.end())
    links = Links(waiting, time.time())
    say(console, f"{plural(links.count, 'link')}: {links}.")
    if isinstance(target, Path):
        Place(folder=target).made()
    codes.run(lambda: _fetch(where, target, reading.report.folder, console))


async def _fetch(where: Path, target: Path | str | None, folder: Path, console: Console) -> int:
    def lines(outcome: Outcome) -> Iterator[str]:
        return lasting(outcome, folder, console)

    with Data(lines, console, lambda: None) as data:
        batch = await fetch_run(
            where,
            out=target,
            allow_private=is_loopback(find_profile(endpoint_from(os.environ)).host),
            on_outcome=data.on_outcome,
        )
    for line in told(batch.images, batch.failures, time.time()):
        say(console, line)
    return codes.SOME_FAILED if batch.failures else codes.ALL_MADE


def told(images: list[Image], failures: list[Failure], now: float) -> Iterator[str]:
    """What became of the links; `now` is in seconds since 1970."""
    spent = sum((image.spent_earlier for image in images), ZERO)
    yield f"{plural(len(images), 'image')} fetched, for which {money(spent)} was paid"
    lost = [failure for failure in failures if not failure.links]
    if lost:
        paid = sum((failure.spent_earlier for failure in lost), ZERO)
        yield f"{len(lost)} lost, for which {money(paid)} was paid:"
        yield from (f"  {_named(one)}: {printable(str(one.error))}" for one in lost)
    still = [failure for failure in failures if failure.links]
    if still:
        links = Links([failure.link_expires for failure in still], now)
        yield f"{len(still)} still a link; {links.warning() or links}:"
        for one in still:
            left = "" if one.link_expires is None else f", {_lives(one.link_expires - now)}"
            yield f"  {_named(one)}{left}: {printable(str(one.error))}"


def _named(failure: Failure) -> str:
    text = printable(failure.prompt.text, 40)
    return f"#{failure.index + 1} {text} ({money(failure.spent_earlier)})"


def _lives(left: float) -> str:
    return f"lives for {span(left)}" if left > 0 else f"should have ended {span(-left)} ago"
