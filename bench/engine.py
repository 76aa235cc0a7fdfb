"""Runs the trials of a comparison: a fresh process each, in shuffled order, one after another.

On the scaled clock client and server are processes of their own, and simulated time goes `scale`
times faster than real time. On the virtual clock they share one loop, whose clock jumps: exact, at
true latency, and only for what is async.
"""

import asyncio
import random
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import psutil

from bench.jobs import bound_of, held, hold_of, jobs_of
from bench.measures import Found, requests_of, trial_of
from bench.outside import Watcher, cpu_of
from bench.records import Clock, Request, Row, Scenario, Trial, Usage
from bench.rows import row_id, row_of
from bench.server import spawn_fast
from bench.strategies import STRATEGIES
from bench.strategies.base import Told, Work, since
from bench.trial import Done, Task, fields_of
from bench.virtual import VirtualTask, Witnessed
from nbp_async.fake import SpawnedServer, spawn

_LINE = 1 << 28  # bytes of the longest line that a trial may say
_WARM = 0.05  # seconds of an image to warm up with: long enough that every process gets one
_SETTLED = 0.1  # real seconds between looks at a server that still works
Say = Callable[[str], None]


@dataclass(frozen=True)
class Entry:
    """One row to be: a strategy, so many at once, in a scenario, on a clock."""

    scenario: Scenario
    strategy: str
    at_once: int
    clock: Clock

    @property
    def id(self) -> str:
        return row_id(self.scenario.name, self.strategy, self.at_once, self.clock)


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
class Compared:
    """What came of it."""

    rows: list[Row]
    trials: list[Trial]
    requests: list[Request]
    failed: list[str]


async def compare(entries: list[Entry], settings: Settings, say: Say) -> Compared:
    """Run all trials. A trial that breaks is named in `failed`; the others go on."""
    plan = [(entry, rep) for entry in entries for rep in range(reps_of(entry, settings))]
    random.Random(settings.seed).shuffle(plan)
    found: list[tuple[Entry, Found]] = []
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


def reps_of(entry: Entry, settings: Settings) -> int:
    """How often: the virtual clock gives the same again, and what takes long is done less often."""
    if entry.clock == "virtual":
        return 1
    return min(settings.reps, entry.scenario.reps or settings.reps)


def _compared(
    entries: list[Entry], settings: Settings, found: list[tuple[Entry, Found]], failed: list[str]
) -> Compared:
    rows, all_trials, requests = [], [], []
    for entry in entries:
        mine = sorted((f for e, f in found if e == entry), key=lambda f: f.rep)
        trials = [trial_of(one, entry.scenario) for one in mine]
        if not trials:
            continue
        jobs = jobs_of(entry.scenario, entry.at_once)
        bound = bound_of(entry.scenario, settings.seed, jobs, entry.at_once)
        rows.append(
            row_of(entry.scenario, entry.strategy, entry.at_once, entry.clock, bound, len(jobs),
                   trials)
        )  # fmt: skip
        all_trials += trials
        requests += [line for one in mine for line in requests_of(one)]
    return Compared(rows, all_trials, requests, failed)


async def _trial(entry: Entry, rep: int, settings: Settings, warm: SpawnedServer) -> Found:
    if entry.clock == "virtual":
        return await _virtual(entry, settings)
    scenario = entry.scenario
    with tempfile.TemporaryDirectory(prefix="nbp-bench-") as folder:
        async with await spawn_fast(scenario, settings.seed) as server:
            work = Work(
                url=server.openai_url, root=server.base_url, key=server.key, jobs=(),
                at_once=entry.at_once, folder=Path(folder), size=scenario.size,
                link=scenario.delivery == "url", durable=scenario.kill is not None,
                scale=scenario.scale,
            )  # fmt: skip
            task = Task(
                entry.strategy, fields_of(work), _prompts(entry),
                (warm.openai_url, warm.base_url, warm.key),
            )  # fmt: skip
            first = None if scenario.kill is None else await _killed(scenario, task)
            return await _scaled(entry, rep, settings, server, task, first)


async def _scaled(
    entry: Entry, rep: int, settings: Settings, server: SpawnedServer, task: Task,
    first: float | None,
) -> Found:  # fmt: skip
    """Start the client, let it get ready, watch it work, and ask the server what it saw.

    `first` is when a client began that was killed meanwhile, or None.
    """
    async with started("bench.trial", task) as talk:
        await talk.said()  # "imported"
        watcher = Watcher(talk.pid, server.stats)
        fresh = watcher.memory()
        talk.go_on()
        await talk.said()  # "ready"
        server_cpu, began = cpu_of(server.pid), asyncio.get_running_loop().time()
        watching = asyncio.create_task(watcher.watch())
        try:
            talk.go_on()
            done = msgspec.json.decode(await talk.said(), type=Done)
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
        watcher.look()
        share = (cpu_of(server.pid) - server_cpu) / (asyncio.get_running_loop().time() - began)
        talk.go_on()
    witness = await _settled(server, watcher)
    if first is not None:
        _join(done.told, entry, settings, first, done.began)
    since(done.told, done.began, entry.scenario.scale, server.base_url)
    return _found(entry, rep, settings, witness, done, share, watcher, fresh)


async def _killed(scenario: Scenario, task: Task) -> float:
    """Start the client, and kill it at work; gives when it began, on the clock of all processes."""
    assert scenario.kill is not None
    async with started("bench.trial", task) as talk:
        await talk.said()
        talk.go_on()
        await talk.said()
        began = asyncio.get_running_loop().time()
        talk.go_on()
        await asyncio.sleep(scenario.kill / scenario.scale)
        talk.kill()
    return began


def _join(told: list[Told], entry: Entry, settings: Settings, first: float, began: float) -> None:
    """Put what two processes did on one clock, which stands still while the second one starts."""
    scenario = entry.scenario
    assert scenario.kill is not None
    kill = scenario.kill / scenario.scale
    for one in told:
        if one.earlier:
            job = jobs_of(scenario, entry.at_once)[one.job]
            one.ended = began + min(one.ended - first, kill)
            hold = hold_of(scenario, settings.seed, job) / scenario.scale
            one.began = max(began, one.ended - hold)
        else:
            one.began += kill
            one.ended += kill


async def _settled(server: SpawnedServer, watcher: Watcher) -> Witnessed:
    """What the server says once it works on nothing any more: what was abandoned is billed too."""
    while True:
        watcher.seen.looks += 1
        witness = await server.witness(prompts=True)
        if not witness.stats.in_flight:
            return Witnessed(witness.stats, witness.images_by_prompt, [], [])
        await asyncio.sleep(_SETTLED)


def _found(
    entry: Entry, rep: int, settings: Settings, witness: Witnessed, done: Done, share: float,
    watcher: Watcher, fresh: int,
) -> Found:  # fmt: skip
    scenario, stats, seen = entry.scenario, witness.stats, watcher.seen
    images = sum(bool(one.size) for one in done.told)
    memory = max(0, seen.memory - fresh)
    holds = STRATEGIES[entry.strategy].holds
    jobs = jobs_of(scenario, entry.at_once)
    # A task that is open at the vendor is a call in flight as well.
    at_most = stats.peak_in_flight if holds else min(entry.at_once, len(jobs))
    usage = Usage(
        # Nobody knows what a client that was killed had used.
        cpu_ms_per_image=done.cpu * 1000 / images if images and scenario.kill is None else None,
        memory_bytes=memory,
        memory_per_call=memory / max(1, at_most),
        threads=seen.threads, processes=seen.processes, descriptors=seen.descriptors,
        connections=stats.connections - seen.looks,
        peak_connections=max(0, stats.peak_connections - 1),
    )  # fmt: skip
    return Found(
        row=entry.id, rep=rep, jobs=jobs, told=done.told, stats=stats, made=witness.made,
        expected=held(scenario, settings.seed, jobs, witness.made),
        carried=stats.connection_seconds,
        witness=[(second * scenario.scale, count) for second, count in seen.witness],
        usage=usage, server_cpu=share,
        holds=holds and scenario.kill is None,
    )  # fmt: skip


async def _virtual(entry: Entry, settings: Settings) -> Found:
    """The same with server and client in one loop of a fresh process."""
    scenario = entry.scenario
    task = VirtualTask(entry.strategy, scenario, entry.at_once, settings.seed, _prompts(entry))
    async with started("bench.virtual", task) as talk:
        seen = msgspec.json.decode(await talk.said(), type=Witnessed)
        talk.go_on()
    return found_virtually(entry, settings, seen)


def found_virtually(entry: Entry, settings: Settings, seen: Witnessed) -> Found:
    """What a virtual trial tells: all but what the machine had to do for it."""
    stats, jobs = seen.stats, jobs_of(entry.scenario, entry.at_once)
    usage = Usage(
        cpu_ms_per_image=None, memory_bytes=None, memory_per_call=None, threads=None,
        processes=None, descriptors=None, connections=stats.connections,
        peak_connections=stats.peak_connections,
    )  # fmt: skip
    return Found(
        row=entry.id, rep=0, jobs=jobs, told=seen.told, stats=stats, made=seen.made,
        expected=held(entry.scenario, settings.seed, jobs, seen.made),
        carried=stats.connection_seconds, witness=seen.witness, usage=usage, server_cpu=None,
        holds=STRATEGIES[entry.strategy].holds,
    )  # fmt: skip


def _prompts(entry: Entry) -> list[str]:
    return [job.prompt for job in jobs_of(entry.scenario, entry.at_once)]


class Talk:
    """A process that says lines and waits for ours."""

    def __init__(self, process: asyncio.subprocess.Process, errors: Any) -> None:
        self._process = process
        self._errors = errors
        self.pid = process.pid

    async def said(self) -> bytes:
        """Its next line.

        Raises:
            RuntimeError: It ended instead; its last words are in the message.
        """
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if line.endswith(b"\n"):
            return line
        await self._process.wait()
        self._errors.seek(0)
        raise RuntimeError(self._errors.read().decode("utf-8", "replace").strip()[-2000:])

    def kill(self) -> None:
        """End it and its children at once, as the power would."""
        process = psutil.Process(self.pid)
        for one in [*process.children(recursive=True), process]:
            with suppress(psutil.NoSuchProcess):
                one.kill()

    def go_on(self, line: bytes = b"") -> None:
        """Let it go on."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")


@asynccontextmanager
async def started(module: str, task: Task | VirtualTask) -> AsyncIterator[Talk]:
    """A fresh interpreter that was given its task; it has ended when this is left."""
    with tempfile.TemporaryFile() as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, limit=_LINE,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors,
        )  # fmt: skip
        talk = Talk(process, errors)
        try:
            talk.go_on(msgspec.json.encode(task))
            yield talk
            await process.wait()
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
