"""`python -m bench durability`: what the journal costs, and what a run survives.

Transitions a second through the whole client, images a second with and without a journal in the
same run, and processes killed at random moments of one run of images. The fake bank is the
witness: no image may be lost, and no dollar paid twice unreported.
"""

import random
import statistics
import tempfile
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Literal

import msgspec

from bench.audit import audit
from bench.fresh_process import call_fresh
from bench.journal_workloads import (
    CountedTask,
    RecoveryDone,
    RunDone,
    RunTask,
    make_images,
    make_images_in_steps,
    make_simulated_run,
    make_transitions,
    recover_images,
    recover_images_in_steps,
)
from bench.killed_process import killed_after
from bench.suite import Session, Suite
from nbp_async import read_run
from nbp_async.fake import spawn

HELD = 1.0  # seconds of an image at 50 images a second with 50 in flight
PRICE = Decimal("0.134")  # of an image, by the list
STATES = 3  # planned, armed, stored
MIB = 2**20
ODD_ANSWERS = "gzip=0.2,foreign=0.08"  # those in the other API's form cannot be read
_MOST_ENDS = 20


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
    """one run, 4 in flight, killed (SIGKILL) at random moments, and then left to end

    Some answers come compressed, some in the form of another API: these are kept, and recovered
    now and then. Some processes keep links, and others fetch what was kept.
    """
    count = 200 if session.quick else 2_000
    kills = session.options.get("kills") or (20 if session.quick else 200)
    with _folder() as folder:
        speed = 1000.0 if session.quick else 250.0
        async with await spawn(latency="30-170", speed=speed, faults=ODD_ANSWERS) as server:
            task = RunTask(server.openai_url, server.key, folder, count, in_flight=4)
            killed = await _kill_and_start(task, kills)
            done, kept = await _finish(replace(task, in_flight=50))
            first = await audit(server, Path(folder))
            again = replace(task, in_flight=50, resend=str(count))
            resent, kept_again = await _finish(again, until=count)
            last = await audit(server, Path(folder))
    session.readings["survival"] = msgspec.to_builtins(
        {"kills": killed, "after": done, "resent": resent, "account": last}
    )
    recovered = killed.recovered + kept.images + kept_again.images
    session.readings["survival"]["recovered"] = recovered
    session.show(
        f"  {count} images, killed {killed.makers} times, and {killed.recoveries} times while it "
        f"recovered answers",
        f"  after the last start {done.images} are there, {done.unclear} may have been billed, and "
        f"each is named",
        f"  {killed.kept_links} processes kept links; {recovered} answers that could not be read "
        f"were kept and recovered",
        f"  the bank billed ${first.billed}; the journal says ${first.spent} and perhaps "
        f"${first.maybe} more",
        f"  sent again on request: {resent.images} images are there",
    )
    lost = count - done.images - done.unclear
    session.check("images lost", lost + count - resent.images, 0, "")
    session.check("kept answers that were not recovered", kept_again.left, 0, "")
    session.check("dollars paid twice and not named", float(max(first.twice, last.twice)), 0, "$")


@dataclass
class Kills:
    """Processes that were killed, and what they were doing."""

    makers: int = 0
    recoveries: int = 0
    kept_links: int = 0
    recovered: int = 0


async def _kill_and_start(task: RunTask, kills: int) -> Kills:
    """Start processes of the run and kill them, until so many were killed."""
    done, rng = Kills(), random.Random(7)
    while done.makers + done.recoveries < kills:
        links: Literal["fetch", "keep"] = "keep" if rng.random() < 0.4 else "fetch"
        done.kept_links += links == "keep"
        some = replace(task, links=links)
        done.makers += await killed_after(
            make_images_in_steps, some, rng.randrange(10), rng.uniform(0.0, 0.5)
        )
        if rng.random() < 0.2:
            done.recoveries += await killed_after(
                recover_images_in_steps, task, rng.randrange(3), rng.uniform(0.0, 0.05)
            )
        if rng.random() < 0.1:
            done.recovered += (await call_fresh(recover_images, task)).images
    return done


async def _finish(task: RunTask, *, until: int = 0) -> tuple[RunDone, RecoveryDone]:
    """Let the run end, and recover what it kept; again while it was stopped, or until all is there.

    Three answers in a row that cannot be read stop a call: what it had not sent is left.
    """
    total = 0
    for _ in range(_MOST_ENDS):
        done = await call_fresh(make_images, task)
        recovered = await call_fresh(recover_images, task)
        total += recovered.images
        images, unclear = done.images + recovered.images, done.unclear - recovered.images
        done = replace(done, images=images, unclear=unclear)
        if not done.stopped and images >= until:
            break
    return done, replace(recovered, images=total)


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
