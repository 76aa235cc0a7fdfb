"""`python -m bench core`: what holding, sending and receiving cost, beside bare aiohttp.

Each figure is the median of paired runs in fresh processes, in shuffled order, against a light
server in a process of its own. Ratios are to bare aiohttp in the same runs; machines are noisy,
and absolute figures are only for orientation.
"""

import asyncio
import random
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bench.bodies import answer_with, png
from bench.imports import import_cost
from bench.meter import Reading
from bench.process import light_server, run_lists, run_worker, self_signed
from bench.readings import save_readings
from bench.worker import Task

KIB, MIB = 1024, 1024 * 1024
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Check:
    """One figure that is held to a bound: `value` must not be above it."""

    name: str
    value: float
    bound: float
    unit: str = "x"

    @property
    def ok(self) -> bool:
        return self.value <= self.bound

    def __str__(self) -> str:
        mark = "ok  " if self.ok else "OVER"
        return f"  {mark} {self.name}: {self.value:.3g} {self.unit} (at most {self.bound:g})"


async def paired(base: Task, *, reps: int, limit: float) -> dict[str, Reading]:
    """Both clients, `reps` times each in shuffled order; the median of each figure."""
    runs: dict[str, list[Reading]] = {"bare": [], "nbp": []}
    order = list(runs) * reps
    random.Random(7).shuffle(order)
    for client in order:
        runs[client].append(await run_worker(replace(base, client=client), limit=limit))
    return {client: _median(readings) for client, readings in runs.items()}


def _median(readings: list[Reading]) -> Reading:
    def middle(name: str) -> float:
        return float(statistics.median(getattr(reading, name) for reading in readings))

    return Reading(
        answered=min(reading.answered for reading in readings),
        wall=middle("wall"),
        cpu=middle("cpu"),
        peak_over_idle=int(middle("peak_over_idle")),
        worst_stall=middle("worst_stall"),
    )


class Core:
    """The scenarios, what they found, and the checks on it."""

    def __init__(self, *, reps: int, quick: bool) -> None:
        self.reps = reps
        self.quick = quick
        self.checks: list[Check] = []
        self.readings: dict[str, dict[str, dict[str, float]]] = {}
        self._tls: tuple[str, str] | None = None

    async def run(self, only: frozenset[str]) -> None:
        scenarios: dict[str, Callable[[], object]] = {
            "import": self.imports,
            "calls": self.calls,
            "large": self.large,
            "held": self.held,
            "lists": self.lists,
        }
        with tempfile.TemporaryDirectory() as folder:
            self._tls = self_signed(Path(folder))
            for name, scenario in scenarios.items():
                if not only or name in only:
                    print(f"\n{name}: {scenario.__doc__}")
                    result = scenario()
                    if asyncio.iscoroutine(result):
                        await result

    def imports(self) -> None:
        """importing the package, over a bare interpreter's start"""
        milliseconds, modules = import_cost()
        print(f"  import nbp_async: {milliseconds:.1f} ms, {modules} modules")
        self._check(Check("import over a bare start", milliseconds, 60, "ms"))

    async def calls(self) -> None:
        """CPU of a call with no hold, 100 in flight"""
        count = 2_000 if self.quick else 20_000
        body = answer_with(png(200))
        async with light_server(body) as url:
            for policy in ("a connection a call", "reused connections"):
                base = Task("", url, count, 100, reuse=policy.startswith("reused"))
                pair = await paired(base, reps=self.reps, limit=300)
                self._show(f"no hold, {policy}", pair, count)
                ratio = pair["nbp"].cpu / pair["bare"].cpu
                self._check(Check(f"CPU a call, {policy}", ratio, 1.25))

    async def large(self) -> None:
        """answers of 8 MB base64, 100 in flight, to disk"""
        count = 100 if self.quick else 200
        body = answer_with(png(6 * 1024 * 1024))
        async with light_server(body) as url:
            base = Task("", url, count, 100, disk=True)
            pair = await paired(base, reps=self.reps, limit=300)
            stalls = await run_worker(replace(base, client="nbp", stall=True), limit=300)
        self._show(f"{len(body) / 1e6:.1f} MB base64", pair, count)
        self._check(Check("memory over idle", pair["nbp"].peak_over_idle / MIB, 60, "MiB"))
        ratio = pair["nbp"].cpu / pair["bare"].cpu
        self._check(Check("CPU an image, to bare aiohttp + json + base64", ratio, 0.3))
        self._check(Check("longest stall of the loop", stalls.worst_stall * 1e3, 20, "ms"))

    async def held(self) -> None:
        """calls held at once on one thread, all started together"""
        shapes = [(1_000, 2.0)] if self.quick else [(10_000, 10.0), (5_000, 10.0), (5_000, 60.0)]
        for tls in (False, True):
            for loop in ("asyncio", "uvloop"):
                for count, hold in shapes:
                    if tls and ((count > 1_000 and count != 5_000) or hold > 10):
                        continue  # 10,000 handshakes measure the server, not the client
                    await self._held(count, hold, tls=tls, loop=loop)

    async def _held(self, count: int, hold: float, *, tls: bool, loop: str) -> None:
        assert self._tls is not None
        ca, certificate = self._tls if tls else ("", "")
        name = f"{count} held {hold:g} s, {'TLS' if tls else 'plain'}, {loop}"
        async with light_server(answer_with(png(200)), hold=hold, certificate=certificate) as url:
            base = Task("", url, count, count, ca=ca, loop=loop)
            reps = 1 if hold > 10 else self.reps
            pair = await paired(base, reps=reps, limit=hold + 240)
        self._show(name, pair, count)
        nbp, bare = pair["nbp"], pair["bare"]
        self._check(Check(f"lost of {name}", count - nbp.answered, 0, "calls"))
        self._check(Check(f"memory a call, {name}", nbp.peak_over_idle / bare.peak_over_idle, 1.4))
        self._check(Check(f"makespan to bare, {name}", nbp.wall / bare.wall, 1.0))
        if hold >= 60:
            self._check(Check(f"makespan to the bound, {name}", nbp.wall / hold, 1.05))

    async def lists(self) -> None:
        """long lists of prompts in virtual time, without sockets"""
        count = 20_000 if self.quick else 1_000_000
        found = await run_lists(count)
        print(
            f"  stream of {count:,}: memory grew {found.stream_growth / MIB:.1f} MiB from the "
            f"first tenth to the end, {found.stream_us:.0f} us an outcome; "
            f"many of {found.many_count:,}: {found.many_bytes:.0f} B an outcome"
        )
        self._check(Check("stream's growth", found.stream_growth / MIB, 2, "MiB"))
        self._check(Check("many, an outcome", found.many_bytes, 1024, "B"))

    def _show(self, name: str, pair: dict[str, Reading], count: int) -> None:
        self.readings[name] = {client: reading.record() for client, reading in pair.items()}
        for client, r in pair.items():
            print(
                f"  {name:42} {client:5} {r.answered:6} answered  {r.wall:7.2f} s  "
                f"{r.cpu / count * 1e6:8.0f} us CPU a call  "
                f"{r.peak_over_idle / KIB / count:7.1f} KiB a call"
            )

    def _check(self, check: Check) -> None:
        self.checks.append(check)
        print(check, flush=True)

    def save(self, path: Path) -> None:
        save_readings(path, self.checks, self.readings)
