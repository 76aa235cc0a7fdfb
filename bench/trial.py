"""One strategy, once, in a fresh process: `python -m bench.trial TASK`, spoken to by lines.

It says "imported", "ready" and at last what it did, and goes on after each when it is told to: what
is measured from outside is measured between these lines.
"""

import gc
import inspect
import os
import sys
import time
from collections.abc import Awaitable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import msgspec

from bench.fast_loop import run_fast
from bench.meter import raise_file_limit
from bench.strategies import STRATEGIES, load
from bench.strategies.base import Job, Told, Way, Work, there

_WARM_JOBS = 40  # at most


class Task(msgspec.Struct, frozen=True):
    """What a trial is told.

    Attributes:
        strategy: Its name.
        work: Fields of `Work`, jobs as prompts.
        warm: (url, root, key) of a server that answers soon.
    """

    strategy: str
    work: dict[str, Any]
    prompts: list[str]
    warm: tuple[str, str, str]


class Done(msgspec.Struct, frozen=True):
    """What it says. `began` on the clock of its records; `cpu` in seconds, children included."""

    began: float
    cpu: float
    told: list[Told]


def work_of(task: Task) -> Work:
    """The work that a task describes."""
    jobs = [Job(number, prompt) for number, prompt in enumerate(task.prompts)]
    fields = dict(task.work)
    folder = fields.pop("folder", None)
    return Work(jobs=jobs, folder=Path(folder) if folder else None, **fields)


def fields_of(work: Work) -> dict[str, Any]:
    """The fields of a work that fit into a task; the jobs go apart."""
    fields = asdict(work.alone)
    del fields["jobs"]
    fields["folder"] = None if work.folder is None else str(work.folder)
    return fields


def play(task: Task) -> None:
    """The whole trial."""
    raise_file_limit()
    way, work = load(task.strategy), work_of(task)
    _say("imported")
    way.warm(work)
    _warm_up(way, work, task.warm)
    gc.collect()
    _say("ready")
    children, cpu, began = _children_cpu(), time.process_time(), time.monotonic()
    told = _missing(way, work, journal=STRATEGIES[task.strategy].journal)
    cpu = time.process_time() - cpu + _children_cpu() - children
    _say(msgspec.json.encode(Done(began, cpu, told)).decode())
    way.close()


def _missing(way: Way, work: Work, *, journal: bool) -> list[Told]:
    """Make what is not there; who has no journal looks at the folder."""
    if not work.durable or journal:
        return perform(way, work)
    known = [there(job.number, work.path(job)) for job in work.jobs if work.path(job).exists()]
    made = {one.job for one in known}
    missing = [job for job in work.jobs if job.number not in made]
    return known + perform(way, replace(work, jobs=missing))


def perform(way: Way, work: Work) -> list[Told]:
    """Run a strategy, whichever kind it is."""
    found = way.run(work)
    if inspect.isawaitable(found):
        told = run_fast(_awaited(found), work.scale)
        for one in told:
            if not one.earlier:
                one.began /= work.scale
                one.ended /= work.scale
        return told
    return found


async def _awaited(work: Awaitable[list[Told]]) -> list[Told]:
    return await work


def _warm_up(way: Way, work: Work, server: tuple[str, str, str]) -> None:
    """A few calls to another server: what a program does for the first time is done then."""
    url, root, key = server
    count = min(2 * work.at_once, _WARM_JOBS)
    jobs = [Job(number, f"warm up {number}") for number in range(count)]
    perform(way, replace(work, url=url, root=root, key=key, jobs=jobs, folder=None))


def _children_cpu() -> float:
    """Seconds of CPU that the threads of living children had so far, exact to the microsecond."""
    nanoseconds = 0
    for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        for task in Path(f"/proc/{child}/task").glob("*/schedstat"):
            nanoseconds += int(task.read_text().split()[0])
    return nanoseconds / 1e9


def _say(line: str) -> None:
    """Say a line, and wait until told to go on."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
    if not sys.stdin.readline():
        raise SystemExit(1)


if __name__ == "__main__":
    play(msgspec.json.decode(sys.stdin.readline(), type=Task))
