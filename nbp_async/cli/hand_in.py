"""`nbp batch submit`: prompts become batch jobs, and the command ends."""

import asyncio
import json
from pathlib import Path
from typing import Any

import click

from nbp_async import BatchStatus, Failure, Limits, Outcome, TaskOpenError
from nbp_async._batch_runs import jobs_of
from nbp_async._journal.base import JOURNAL
from nbp_async._models import ZERO
from nbp_async._words import money, plural
from nbp_async.cli.brake import Brake
from nbp_async.cli.jobs import waiting_in
from nbp_async.cli.lists import prompts_of
from nbp_async.cli.making import Order, connect, dry_run, plan_of
from nbp_async.cli.output import say
from nbp_async.cli.place import Place
from nbp_async.cli.tally import Tally
from nbp_async.display.counts import Counts

HELP = """\
Hand in the prompts of FILE (- for stdin) as batch jobs, and end when all are created.

They cost half, and take up to a day. DIR is the run; a line for each job goes to stdout: its name,
its images and the US dollars they may cost, or with --json an object. FILE is as for nbp many.

The same command goes on where the last one ended: what is handed in, or here, is not bought again.
Ctrl-C creates no more jobs; those that are created go on.

Exit code 3: something could not be handed in.
"""


async def hand_in(file: str, place: Place, *, prompt_column: str | None, **options: Any) -> int:
    """Create the jobs, and say which they are. `options` are of an `Order`."""
    order = Order(
        prompts=prompts_of(file, prompt_column),
        place=place.made(),
        name=lambda image: image.path or Path(),
        limits=Limits(),
        via="batch",
        wait=False,
        **options,
    )
    console, counts = order.console, Counts(order.total, order.limits.max_in_flight)
    async with connect(order, [counts]) as client:
        plan = plan_of(client, order)
        if order.dry_run:
            return dry_run(plan)
        brake = Brake(lambda text: say(console, text), counts, 0.0)
        say(console, f"Handing in {plural(order.total, 'image')} ...")
        with brake.on(plan):
            await plan
        outcomes = list(plan.partial)
    there = [outcome for outcome in outcomes if not is_out(outcome)]
    tally = Tally(order.total - (len(outcomes) - len(there)))
    tally.add_all(there)
    await asyncio.to_thread(_say_jobs, order)
    if tally.total:
        for line in (*tally.lines(), *tally.advice(durable=True)):
            say(console, line)
    return tally.code(stopped=brake.stopped, durable=True)


def _say_jobs(order: Order) -> None:
    where = order.place.journal or order.place.folder / JOURNAL
    jobs = waiting_in(jobs_of(where))
    for job in jobs:
        click.echo(_object(job) if order.as_json else f"{job.name}\t{job.waiting}\t{job.most}")
    if not jobs:
        say(order.console, "No job is at the vendor.")
        return
    images, most = sum(job.waiting for job in jobs), sum((job.most for job in jobs), ZERO)
    at = f"{plural(len(jobs), 'job')} of {plural(images, 'image')}"
    run = order.place.journal or order.place.folder
    say(order.console, f"At the vendor: {at}, for at most {money(most)}.")
    say(order.console, f"nbp batch status {run} says how they stand, nbp batch fetch {run} brings "
        "what is done.")  # fmt: skip


def _object(job: BatchStatus) -> str:
    facts = {
        "job": job.name, "id": job.id, "images": job.waiting, "most_usd": float(job.most),
        "model": job.model,
    }  # fmt: skip
    return json.dumps(facts)


def is_out(outcome: Outcome) -> bool:
    """It stays in a job at the vendor."""
    return isinstance(outcome, Failure) and isinstance(outcome.error, TaskOpenError)
