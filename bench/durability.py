"""`python -m bench durability`: what the journal costs, and what a run survives.

Transitions a second through the whole client, images a second with and without a journal in the
same run, and processes killed at random moments of one run of images. The fake bank is the
witness: no image may be lost, and no dollar paid twice unreported.
"""

import asyncio
import random
import statistics
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import msgspec

from bench.fresh_process import call_fresh, started
from bench.journal_workloads import (
    CountedTask,
    RunTask,
    make_images,
    make_simulated_run,
    make_transitions,
)
from bench.suite import Session, Suite
from nbp_async import read_run
from nbp_async.fake import spawn
from nbp_async.fake.bank import prompt_digest
from nbp_async.fake.process import SpawnedServer

HELD = 1.0  # seconds of an image at 50 images a second with 50 in flight
PRICE = Decimal("0.134")  # of an image, by the list
STATES = 3  # planned, armed, stored
MIB = 2**20


def _folder() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="nbp-bench-")


async def transitions(session: Session) -> None:
    """images as fast as possible, 200 at once, without sockets"""
    count = 2_000 if session.quick else 20_000
    with _folder() as folder:
        done = await call_fresh(make_transitions, CountedTask(folder, count))
        totals = read_run(Path(folder) / "run.sqlite3").totals
    pace = STATES * done.images / done.wall
    session.readings["transitions"] = msgspec.to_builtins(done) | {"pace": pace}
    session.show(
        f"  {pace:,.0f} a second, each durable before the next; {done.cpu / done.images * 1e6:.0f} "
        f"us of CPU an image for all; {totals.images} of {count} in the journal"
    )
    session.check("2,000 over the transitions a second", 2000 / pace, 1.0)
    session.check("images that the journal does not know", count - totals.images, 0, "")


async def overhead(session: Session) -> None:
    """images to a folder with a journal and without, 50 in flight, held 1 s"""
    count = 100 if session.quick else 500
    walls: dict[bool, list[float]] = {True: [], False: []}
    cpus: dict[bool, list[float]] = {True: [], False: []}
    order = [True, False] * session.reps
    random.Random(7).shuffle(order)
    async with await spawn(latency=HELD) as server:
        for journal in order:
            with _folder() as folder:
                task = RunTask(
                    server.openai_url, server.key, folder, count, 50, journal=journal, warm=True
                )
                done = await call_fresh(make_images, task)
            walls[journal].append(done.wall)
            cpus[journal].append(done.cpu / count)
    session.readings["overhead"] = {"wall": walls, "cpu": cpus}
    wall = {journal: statistics.median(values) for journal, values in walls.items()}
    for journal, name in ((True, "with a journal"), (False, "without")):
        cpu = statistics.median(cpus[journal]) * 1e6
        pace = count / wall[journal]
        session.show(f"  {name:18} {pace:6.1f} images a second, {cpu:.0f} us of CPU an image")
    session.check("time with a journal over time without", wall[True] / wall[False], 1.05)


async def simulated(session: Session) -> None:
    """a long run in virtual time, 200 in flight, one request in twenty goes wrong"""
    count = 5_000 if session.quick else 100_000
    with _folder() as folder:
        done = await call_fresh(make_simulated_run, CountedTask(folder, count))
        totals = read_run(Path(folder) / "run.sqlite3").totals
    session.readings["simulated"] = msgspec.to_builtins(done)
    session.show(
        f"  {count} prompts, {done.simulated_s / 3600:.1f} h of virtual time in {done.wall:.0f} s; "
        f"{done.images} images, {done.failures} failures",
        f"  ${done.spent} spent and perhaps ${done.maybe} more; the journal says ${totals.spent} "
        f"and ${totals.maybe}; memory grew by {done.growth / MIB:.1f} MiB",
    )
    wrong = abs(done.spent - totals.spent) + abs(done.maybe - totals.maybe)
    session.check("dollars by which outcomes and journal differ", float(wrong), 0, "$")
    unnamed = done.billed - round((done.spent + done.maybe) / PRICE)
    session.check("billed requests that are not named", max(0, unnamed), 0, "")
    session.check("growth from a tenth to the end", done.growth / MIB, 8, "MiB")


async def survival(session: Session) -> None:
    """one run, 4 in flight, killed (SIGKILL) at random moments, and then left to end"""
    count, rng = (200 if session.quick else 2_000), random.Random(7)
    kills = session.options.get("kills") or (20 if session.quick else 200)
    with _folder() as folder:
        async with await spawn(
            latency="30-170", speed=1000.0 if session.quick else 250.0
        ) as server:
            task = RunTask(server.openai_url, server.key, folder, count, in_flight=4)
            killed = 0
            while killed < kills:
                async with started(make_images, task) as child:
                    killed += await child.kill_after(rng.uniform(0.3, 0.7))
            task = replace(task, in_flight=50)
            done = await call_fresh(make_images, task)
            first = await _audit(server, Path(folder))
            resent = await call_fresh(make_images, replace(task, resend=str(count)))
            last = await _audit(server, Path(folder))
    session.readings["survival"] = msgspec.to_builtins(
        {"kills": killed, "after": done, "resent": resent}
    )
    session.show(
        f"  {count} images, killed {killed} times; after the last start {done.images} are there, "
        f"{done.unclear} may have been billed, each named",
        f"  the bank billed ${first.billed}; the journal says ${first.spent} and perhaps "
        f"${first.maybe} more",
        f"  sent again on request: {resent.images} images are there",
    )
    lost = count - done.images - done.unclear
    session.check("images lost", lost + count - resent.images, 0, "")
    session.check("dollars paid twice and not named", float(max(first.twice, last.twice)), 0, "$")


DURABILITY = Suite(
    name="durability",
    help="what the journal costs, and survives",
    quick="20 kills, half a minute in all",
    measurements={
        "transitions": transitions,
        "overhead": overhead,
        "simulated": simulated,
        "survival": survival,
    },
    options={"kills": "processes to kill (default 200)"},
)


@dataclass(frozen=True)
class Audit:
    """Dollars by the bank, by the journal, and those paid twice that the journal does not know."""

    billed: Decimal
    spent: Decimal
    maybe: Decimal
    twice: Decimal


async def _audit(server: SpawnedServer, folder: Path) -> Audit:
    """Compare the bank with the journal."""
    while (await server.stats()).in_flight:  # noqa: ASYNC110  it is another process
        await asyncio.sleep(0.05)
    witness = await server.witness(prompts=True)
    paid = Counter(witness.images_by_prompt)
    report = read_run(folder)
    twice = sum(max(0, paid[prompt_digest(row.prompt)] - row.attempts) for row in report.rows())
    price = witness.stats.dollars / max(1, witness.stats.images)
    totals = report.totals
    return Audit(witness.stats.dollars, totals.spent, totals.maybe, twice * Decimal(price))
