"""Runs the trials of a comparison: a fresh process each, in shuffled order, one after another.

On the scaled clock client and server are processes of their own, and simulated time goes `scale`
times faster than real time. On the virtual clock they share one loop, whose clock jumps: exact, at
true latency, and only for what is async.
"""

import asyncio
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from bench.fresh_process import call_fresh, started
from bench.jobs import bound_of, hold_of, jobs_of, total_hold
from bench.records import Clock, Request, Row, Scenario, Trial, Usage
from bench.resource_monitor import ResourceMonitor, ResourcePeaks, cpu_of
from bench.row_summary import row_id, row_of
from bench.server import spawn_fast
from bench.strategies import STRATEGIES
from bench.strategies.base import CallRecord, Job, Work, to_trial_time
from bench.trial import TrialReport, TrialTask, play
from bench.trial_metrics import TrialFacts, requests_of, trial_of
from bench.virtual_trial import ServerView, VirtualTask, run_virtual_trial
from nbp_async.fake import SpawnedServer, spawn
from nbp_async.fake.counters import Stats

_WARM = 0.05  # seconds of an image to warm up with: long enough that every process gets one
_SETTLED = 0.1  # real seconds between polls of a server that is still busy
Say = Callable[[str], None]


@dataclass(frozen=True)
class RowPlan:
    """One row to be: a strategy, so many at once, in a scenario, on a clock."""

    scenario: Scenario
    strategy: str
    at_once: int
    clock: Clock

    @property
    def id(self) -> str:
        return row_id(self.scenario.name, self.strategy, self.at_once, self.clock)

    @property
    def jobs(self) -> list[Job]:
        return jobs_of(self.scenario, self.at_once)


@dataclass(frozen=True)
class Settings:
    """How to compare.

    Attributes:
        seed: Of latencies, faults, the order of trials.
        reps: Trials of each row on the scaled clock; the virtual one needs one.
        limit: Real seconds that one trial may take.
    """

    seed: int = 7
    reps: int = 5
    limit: float = 600.0


@dataclass
class Comparison:
    """What came of it."""

    rows: list[Row]
    trials: list[Trial]
    requests: list[Request]
    failed: list[str]


async def compare(entries: list[RowPlan], settings: Settings, say: Say) -> Comparison:
    """Run all trials. A trial that breaks is named in `failed`; the others go on."""
    plan = [(entry, rep) for entry in entries for rep in range(reps_of(entry, settings))]
    random.Random(settings.seed).shuffle(plan)
    found: list[tuple[RowPlan, TrialFacts]] = []
    failed = []
    async with await spawn(latency=_WARM) as warm:
        for number, (entry, rep) in enumerate(plan, 1):
            say(f"{number}/{len(plan)} {entry.id} {rep + 1}")
            try:
                async with asyncio.timeout(settings.limit):
                    found.append((entry, await _trial(entry, rep, settings, warm)))
            except (RuntimeError, TimeoutError) as exc:
                failed.append(f"{entry.id}, repetition {rep + 1}: {str(exc) or type(exc).__name__}")
                say(f"  it broke: {failed[-1]}")
    return _compared(entries, settings, found, failed)


def reps_of(entry: RowPlan, settings: Settings) -> int:
    """How often: the virtual clock gives the same again, and what takes long is done less often."""
    if entry.clock == "virtual":
        return 1
    return min(settings.reps, entry.scenario.reps or settings.reps)


def _compared(
    entries: list[RowPlan],
    settings: Settings,
    found: list[tuple[RowPlan, TrialFacts]],
    failed: list[str],
) -> Comparison:
    rows, all_trials, requests = [], [], []
    for entry in entries:
        mine = sorted((f for e, f in found if e == entry), key=lambda f: f.rep)
        trials = [trial_of(one, entry.scenario) for one in mine]
        if not trials:
            continue
        jobs = entry.jobs
        bound = bound_of(entry.scenario, settings.seed, jobs, entry.at_once)
        rows.append(
            row_of(
                entry.scenario, entry.strategy, entry.at_once, entry.clock, bound, len(jobs), trials
            )
        )
        all_trials += trials
        requests += [line for one in mine for line in requests_of(one)]
    return Comparison(rows, all_trials, requests, failed)


async def _trial(entry: RowPlan, rep: int, settings: Settings, warm: SpawnedServer) -> TrialFacts:
    scenario = entry.scenario
    if entry.clock == "virtual":
        virtual = VirtualTask(entry.strategy, scenario, entry.at_once, settings.seed)
        return virtual_facts(entry, settings, await call_fresh(run_virtual_trial, virtual))
    with tempfile.TemporaryDirectory(prefix="nbp-bench-") as folder:
        async with await spawn_fast(scenario, settings.seed) as server:
            work = Work(
                url=server.openai_url,
                root=server.base_url,
                key=server.key,
                jobs=entry.jobs,
                at_once=entry.at_once,
                folder=folder,
                size=scenario.size,
                link=scenario.delivery == "url",
                durable=scenario.kill is not None,
                scale=scenario.scale,
            )
            task = TrialTask(entry.strategy, work, (warm.openai_url, warm.base_url, warm.key))
            first = None if scenario.kill is None else await _killed(scenario, task)
            return await _scaled(entry, rep, settings, server, task, first)


async def _scaled(
    entry: RowPlan,
    rep: int,
    settings: Settings,
    server: SpawnedServer,
    task: TrialTask,
    first: float | None,
) -> TrialFacts:
    """Start the client, let it get ready, watch it work, and ask the server what it counted.

    `first` is when an earlier client began that was killed at work, or None.
    """
    scale = entry.scenario.scale
    async with started(play, task) as child:
        await child.line()  # "imported"
        monitor = ResourceMonitor(child.pid, server.stats)
        child.go_on()
        await child.line()  # "ready"
        server_cpu, began = cpu_of(server.pid), asyncio.get_running_loop().time()
        async with monitor:
            child.go_on()
            done = msgspec.json.decode(await child.line(), type=TrialReport)
        share = (cpu_of(server.pid) - server_cpu) / (asyncio.get_running_loop().time() - began)
        child.go_on()
    peaks, view = monitor.peaks, await _settled(server, monitor)
    if first is not None:
        _join_clocks(done.records, entry, settings, first, done.began)
    to_trial_time(done.records, done.began, scale, server.base_url)
    counted = [(second * scale, count) for second, count in peaks.server_counts]
    usage = _usage(entry, view.stats, done, peaks)
    view = ServerView(view.stats, view.made, done.records, counted)
    return _facts(entry, rep, settings, view, usage, share)


async def _killed(scenario: Scenario, task: TrialTask) -> float:
    """Start the client, and kill it at work; gives when it began, on the clock of all processes."""
    assert scenario.kill is not None
    async with started(play, task) as child:
        await child.line()
        child.go_on()
        await child.line()
        began = asyncio.get_running_loop().time()
        child.go_on()
        await asyncio.sleep(scenario.kill / scenario.scale)
        child.kill()
    return began


def _join_clocks(
    records: list[CallRecord], entry: RowPlan, settings: Settings, first: float, began: float
) -> None:
    """Put what two processes did on one clock, which stands still while the second one starts."""
    scenario = entry.scenario
    assert scenario.kill is not None
    kill = scenario.kill / scenario.scale
    for one in records:
        if one.resumed:
            job = entry.jobs[one.job]
            one.ended = began + min(one.ended - first, kill)
            hold = hold_of(scenario, settings.seed, job) / scenario.scale
            one.began = max(began, one.ended - hold)
        else:
            one.began += kill
            one.ended += kill


async def _settled(server: SpawnedServer, monitor: ResourceMonitor) -> ServerView:
    """What the server counted, once nothing is in flight: what was abandoned is billed too."""
    while True:
        monitor.peaks.server_connections += 1
        witness = await server.witness(prompts=True)
        if not witness.stats.in_flight:
            return ServerView(witness.stats, witness.images_by_prompt, [], [])
        await asyncio.sleep(_SETTLED)


def _usage(entry: RowPlan, stats: Stats, done: TrialReport, peaks: ResourcePeaks) -> Usage:
    """What the client's processes used."""
    images = sum(bool(record.size) for record in done.records)
    killed = entry.scenario.kill is not None
    # A task that is open at the vendor is a call in flight as well.
    holds = STRATEGIES[entry.strategy].holds
    in_flight = stats.peak_in_flight if holds else min(entry.at_once, len(entry.jobs))
    return Usage(
        # What the killed client had used died with it.
        cpu_ms_per_image=done.cpu * 1000 / images if images and not killed else None,
        memory_bytes=peaks.memory,
        memory_per_call=peaks.memory / max(1, in_flight),
        threads=peaks.threads,
        processes=peaks.processes,
        descriptors=peaks.descriptors,
        connections=stats.connections - peaks.server_connections,
        peak_connections=max(0, stats.peak_connections - 1),
    )


def virtual_facts(entry: RowPlan, settings: Settings, view: ServerView) -> TrialFacts:
    """The facts of a virtual trial: all but what the machine had to do for it."""
    stats = view.stats
    usage = Usage(
        cpu_ms_per_image=None,
        memory_bytes=None,
        memory_per_call=None,
        threads=None,
        processes=None,
        descriptors=None,
        connections=stats.connections,
        peak_connections=stats.peak_connections,
    )
    return _facts(entry, 0, settings, view, usage, None)


def _facts(
    entry: RowPlan,
    rep: int,
    settings: Settings,
    view: ServerView,
    usage: Usage,
    server_cpu: float | None,
) -> TrialFacts:
    killed = entry.clock == "scaled" and entry.scenario.kill is not None
    return TrialFacts(
        row=entry.id,
        rep=rep,
        jobs=entry.jobs,
        records=view.records,
        stats=view.stats,
        made=view.made,
        expected=total_hold(entry.scenario, settings.seed, entry.jobs, view.made),
        connection_seconds=view.stats.connection_seconds,
        witness=view.witness,
        usage=usage,
        server_cpu=server_cpu,
        holds=STRATEGIES[entry.strategy].holds and not killed,
    )
