"""One strategy, once, in a fresh process.

It reports "imported", "ready" and at last what it did, and continues after each when the parent
lets it: the parent measures the process between these lines.
"""

import gc
import inspect
import os
import time
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path

import msgspec

from bench.child import report
from bench.fast_loop import run_fast
from bench.strategies import STRATEGIES, load
from bench.strategies.base import CallRecord, Job, LoadedStrategy, Work, existing_image

_WARM_JOBS = 40  # at most


class TrialTask(msgspec.Struct, frozen=True):
    """A strategy, its work, and (url, root, key) of a server to warm up with, which is quick."""

    strategy: str
    work: Work
    warm: tuple[str, str, str]


class TrialReport(msgspec.Struct, frozen=True):
    """What it says. `began` on the clock of its records; `cpu` in seconds, children included."""

    began: float
    cpu: float
    records: list[CallRecord]


def play(task: TrialTask) -> None:
    """The whole trial."""
    strategy, work = load(task.strategy), task.work
    report("imported")
    strategy.warm(work)
    _warm_up(strategy, work, task.warm)
    gc.collect()
    report("ready")
    children, cpu, began = _children_cpu(), time.process_time(), time.monotonic()
    records = _run_missing(strategy, work, journal=STRATEGIES[task.strategy].journal)
    cpu = time.process_time() - cpu + _children_cpu() - children
    report(msgspec.json.encode(TrialReport(began, cpu, records)).decode())
    strategy.close()


def _run_missing(strategy: LoadedStrategy, work: Work, *, journal: bool) -> list[CallRecord]:
    """Make what is missing; a strategy without a journal checks the folder."""
    if not work.durable or journal:
        return run_strategy(strategy, work)
    known = [
        existing_image(job.number, work.path(job)) for job in work.jobs if work.path(job).exists()
    ]
    made = {one.job for one in known}
    missing = [job for job in work.jobs if job.number not in made]
    return known + run_strategy(strategy, replace(work, jobs=missing))


def run_strategy(strategy: LoadedStrategy, work: Work) -> list[CallRecord]:
    """Run a strategy, whichever kind it is."""
    found = strategy.run(work)
    if inspect.isawaitable(found):
        records = run_fast(_awaited(found), work.scale)
        for one in records:
            if not one.resumed:
                one.began /= work.scale
                one.ended /= work.scale
        return records
    return found


async def _awaited(work: Awaitable[list[CallRecord]]) -> list[CallRecord]:
    return await work


def _warm_up(strategy: LoadedStrategy, work: Work, server: tuple[str, str, str]) -> None:
    """A few calls to another server: what a program does for the first time is done then."""
    url, root, key = server
    count = min(2 * work.at_once, _WARM_JOBS)
    jobs = [Job(number, f"warm up {number}") for number in range(count)]
    run_strategy(strategy, replace(work, url=url, root=root, key=key, jobs=jobs, folder=None))


def _children_cpu() -> float:
    """Seconds of CPU that the threads of living children had so far, exact to the microsecond."""
    nanoseconds = 0
    for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        for task in Path(f"/proc/{child}/task").glob("*/schedstat"):
            nanoseconds += int(task.read_text().split()[0])
    return nanoseconds / 1e9
