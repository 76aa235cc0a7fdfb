"""`python -m bench core`: what holding, sending and receiving cost, compared with bare aiohttp.

Each figure is the median of paired runs in fresh processes, in shuffled order, against a light
server in a process of its own. Ratios are to bare aiohttp in the same runs; machines are noisy,
and absolute figures are only for orientation.
"""

import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench.bodies import answer_with, png
from bench.clients import Calls, measure_calls
from bench.fresh_process import call_fresh
from bench.light_server import light_server, self_signed
from bench.lists import measure_lists
from bench.meter import Reading, median_reading
from bench.suite import Session, Suite
from bench.transports import transports

KIB, MIB = 1024, 1024 * 1024
_COUNT = "import sys; before = len(sys.modules); import nbp_async; print(len(sys.modules) - before)"


async def imports(session: Session) -> None:
    """importing the package, over a bare interpreter's start"""
    milliseconds, modules = import_cost()
    session.show(f"  import nbp_async: {milliseconds:.1f} ms, {modules} modules")
    session.check("import over a bare start", milliseconds, 60, "ms")


def import_cost() -> tuple[float, int]:
    """Median milliseconds over a bare start, of paired runs; and how many modules it loads."""
    differences = [_start("import nbp_async") - _start("pass") for _ in range(9)]
    counted = subprocess.run(
        [sys.executable, "-c", _COUNT], check=True, capture_output=True, text=True
    )
    return statistics.median(differences) * 1e3, int(counted.stdout)


def _start(code: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - began


async def calls(session: Session) -> None:
    """CPU of a call with no hold, 100 in flight"""
    count = size_of(session, 2_000, 5_000, 20_000)
    async with light_server(answer_with(png(200))) as url:
        for policy in ("a connection a call", "reused connections"):
            base = Calls("", url, count, 100, reuse=policy.startswith("reused"))
            pair = await paired(session, f"no hold, {policy}", base, reps=session.reps, limit=300)
            _show(session, f"no hold, {policy}", pair, count)
            session.check(f"CPU a call, {policy}", pair["nbp"].cpu / pair["bare"].cpu, 1.25)


async def large(session: Session) -> None:
    """answers of 8 MB base64, 100 in flight, to disk"""
    count = size_of(session, 100, 100, 200)
    body = answer_with(png(6 * MIB))
    async with light_server(body) as url:
        base = Calls("", url, count, 100, disk=True)
        pair = await paired(session, "8 MB base64", base, reps=session.reps, limit=300)
        session.note("8 MB base64: stalls of the loop")
        stalls = await call_fresh(measure_calls, replace(base, client="nbp", stall=True), limit=300)
    nbp, bare = pair["nbp"], pair["bare"]
    _show(session, f"{len(body) / 1e6:.1f} MB base64", pair, count)
    session.check("memory over idle", nbp.peak_over_idle / MIB, 60, "MiB")
    session.check("CPU an image, to bare aiohttp + json + base64", nbp.cpu / bare.cpu, 0.3)
    session.check("longest stall of the loop", stalls.worst_stall * 1e3, 20, "ms")


async def held(session: Session) -> None:
    """calls held at once on one thread, all started together"""
    with tempfile.TemporaryDirectory() as folder:
        certificate = self_signed(Path(folder))
        for shape in shapes_of(session):
            await _held(session, shape, certificate if shape.tls else ("", ""))


@dataclass(frozen=True)
class Shape:
    """Calls that are held at once: how many, for how many seconds, on which loop, how often."""

    count: int
    hold: float
    loop: str = "asyncio"
    tls: bool = False
    reps: int = 1

    def __str__(self) -> str:
        return f"{self.count} held {self.hold:g} s, {'TLS' if self.tls else 'plain'}, {self.loop}"


def shapes_of(session: Session) -> list[Shape]:
    """What is held in this run."""
    loops = ("asyncio", "uvloop")
    if session.quick:
        return [Shape(1_000, 2.0, loop, tls) for tls in (False, True) for loop in loops]
    reps = session.reps
    if not session.full:
        return [
            Shape(5_000, 10.0, reps=reps),
            Shape(5_000, 10.0, "uvloop"),
            Shape(10_000, 10.0),
            Shape(2_000, 10.0, tls=True),
        ]
    plain = [
        Shape(count, hold, loop, reps=1 if hold > 10 else reps)
        for loop in loops
        for count, hold in ((10_000, 10.0), (5_000, 10.0), (5_000, 60.0))
    ]
    # 10,000 handshakes would measure the server, not the client.
    return plain + [Shape(5_000, 10.0, loop, tls=True, reps=reps) for loop in loops]


async def _held(session: Session, shape: Shape, tls: tuple[str, str]) -> None:
    ca, certificate = tls
    count, hold, name = shape.count, shape.hold, str(shape)
    async with light_server(answer_with(png(200)), hold=hold, certificate=certificate) as url:
        base = Calls("", url, count, count, ca=ca, loop=shape.loop)
        pair = await paired(session, name, base, reps=shape.reps, limit=hold + 240)
    nbp, bare = pair["nbp"], pair["bare"]
    _show(session, name, pair, count)
    session.check(f"lost of {name}", count - nbp.answered, 0, "calls")
    session.check(f"memory a call, {name}", nbp.peak_over_idle / bare.peak_over_idle, 1.4)
    session.check(f"makespan to bare, {name}", nbp.wall / bare.wall, 1.0)
    if hold >= 60:
        session.check(f"makespan to the bound, {name}", nbp.wall / hold, 1.05)


async def lists(session: Session) -> None:
    """long lists of prompts in virtual time, without sockets"""
    count = size_of(session, 20_000, 50_000, 1_000_000)
    session.note(f"{count:,} prompts in virtual time")
    found = await call_fresh(measure_lists, count)
    session.show(
        f"  stream of {count:,}: memory grew {found.stream_growth / MIB:.1f} MiB from the first "
        f"tenth to the end, {found.stream_us:.0f} us an outcome; many of {found.many_count:,}: "
        f"{found.many_bytes:.0f} B an outcome"
    )
    session.check("stream's growth", found.stream_growth / MIB, 2, "MiB")
    session.check("many, an outcome", found.many_bytes, 1024, "B")


CORE = Suite(
    name="core",
    help="what the library costs beside bare aiohttp",
    quick="smaller sizes, a minute or two in all",
    full="also 10,000 held and minutes of holding on either loop, and a million prompts",
    measurements={
        "import": imports,
        "calls": calls,
        "transports": transports,
        "large": large,
        "held": held,
        "lists": lists,
    },
)


def size_of(session: Session, quick: int, usual: int, full: int) -> int:
    """How much is measured in this run."""
    return quick if session.quick else full if session.full else usual


async def paired(
    session: Session, name: str, base: Calls, *, reps: int, limit: float
) -> dict[str, Reading]:
    """Both clients, `reps` times each in shuffled order; the median of each figure."""
    readings: dict[str, list[Reading]] = {"bare": [], "nbp": []}
    order = list(readings) * reps
    random.Random(7).shuffle(order)
    for place, client in enumerate(order, 1):
        session.note(f"{name}: {client}, {place} of {len(order)}")
        reading = await call_fresh(measure_calls, replace(base, client=client), limit=limit)
        readings[client].append(reading)
    return {client: median_reading(found) for client, found in readings.items()}


def _show(session: Session, name: str, pair: dict[str, Reading], count: int) -> None:
    session.readings[name] = {client: asdict(reading) for client, reading in pair.items()}
    for client, r in pair.items():
        session.show(
            f"  {name:42} {client:5} {r.answered:6} answered  {r.wall:7.2f} s  "
            f"{r.cpu / count * 1e6:8.0f} us CPU a call  "
            f"{r.peak_over_idle / KIB / count:7.1f} KiB a call"
        )
