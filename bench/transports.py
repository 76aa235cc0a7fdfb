"""What each transport costs beside bare aiohttp, plain and over TLS, and against which target.

The targets are those of the transport made for held calls; whether they are met is printed, and
does not decide whether the suite passes: that is for the bounds of what the library does today.
"""

import random
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench.bodies import answer_with, png
from bench.clients import Calls, measure_calls
from bench.fresh_process import call_fresh
from bench.light_server import light_server, self_signed
from bench.meter import Reading, median_reading
from bench.suite import Session

KIB, MIB = 1024, 1024 * 1024
_LIMIT = 300.0  # seconds
_CLIENTS: dict[str, dict[str, str]] = {
    "bare": {"client": "bare"},
    "aiohttp": {"client": "nbp", "transport": "aiohttp"},
    "direct": {"client": "nbp", "transport": "direct"},
}


@dataclass(frozen=True)
class Kind:
    """One kind of calls to compare; the targets are ratios to bare aiohttp, or bytes.

    Attributes:
        name: What is printed.
        calls: The calls, whose client and address are still to be filled in.
        hold: Seconds that the server holds each.
        image: Bytes of an image.
        cpu: Most CPU of a call, to bare aiohttp.
        memory: Most bytes over idle, of a call.
    """

    name: str
    calls: Calls
    hold: float = 0.0
    image: int = 200
    cpu: float | None = None
    memory: float | None = None


def kinds(*, quick: bool, tls: bool, full: bool = False) -> list[Kind]:
    """What is measured, plain or over TLS."""
    held, count, large = (200, 500, 30) if quick else (1_000, 1_500, 50)
    if full:
        held, count, large = 1_000, 4_000, 100
    hold = 1.0 if quick else 2.0
    found = [
        Kind(
            f"{held} held {hold:g} s",
            Calls("", "", held, held),
            hold,
            cpu=0.9 if tls else 0.8,
            memory=60 * KIB if tls else 9 * KIB,
        ),
        Kind(
            "no hold, a connection a call",
            Calls("", "", count // 2 if tls else count, 100),
            cpu=0.5 if tls else None,
        ),
        Kind("no hold, reused", Calls("", "", count, 100, reuse=True), cpu=None if tls else 0.6),
    ]
    if not tls:
        calls = Calls("", "", large, large, disk=True)
        found.append(Kind("8 MB to disk", calls, image=6 * MIB, cpu=0.2, memory=25 * MIB / large))
    return found


async def transports(session: Session) -> None:
    """each transport beside bare aiohttp, plain and over TLS"""
    with tempfile.TemporaryDirectory() as folder:
        certificate = self_signed(Path(folder))
        for tls in (False, True):
            for kind in kinds(quick=session.quick, tls=tls, full=session.full):
                scheme = "TLS" if tls else "plain"
                session.note(f"{scheme}, {kind.name}: {len(_CLIENTS)} clients, {session.reps} x")
                found = await compared(kind, certificate if tls else ("", ""), session.reps)
                show(session, kind, scheme, found)


async def compared(kind: Kind, tls: tuple[str, str], reps: int) -> dict[str, Reading]:
    """All clients, `reps` times each in shuffled order; the median of each figure."""
    ca, certificate = tls
    readings: dict[str, list[Reading]] = {name: [] for name in _CLIENTS}
    order = list(readings) * reps
    random.Random(7).shuffle(order)
    body = answer_with(png(kind.image))
    async with light_server(body, hold=kind.hold, certificate=certificate) as url:
        for name in order:
            client = _CLIENTS[name]
            calls = replace(kind.calls, url=url, ca=ca, **client)  # type: ignore[arg-type]
            readings[name].append(await call_fresh(measure_calls, calls, limit=_LIMIT))
    return {name: median_reading(found) for name, found in readings.items()}


def show(session: Session, kind: Kind, scheme: str, found: Mapping[str, Reading]) -> None:
    """Print a row for each client, and what became of the targets."""
    name, count = f"{scheme}, {kind.name}", kind.calls.calls
    session.readings[f"transports, {name}"] = {who: asdict(one) for who, one in found.items()}
    bare, direct = found["bare"], found["direct"]
    for who, one in found.items():
        session.show(
            f"  {name:36} {who:8} {one.cpu / count * 1e6:8.0f} us CPU a call "
            f"({one.cpu / bare.cpu:4.2f} x)  {one.peak_over_idle / KIB / count:7.1f} KiB a call"
        )
    session.check(f"lost, {name}", count - min(one.answered for one in found.values()), 0, "calls")
    if kind.cpu is not None:
        session.target(f"CPU to bare, direct, {name}", direct.cpu / bare.cpu, kind.cpu)
    if kind.memory is not None:
        each = direct.peak_over_idle / count
        session.target(f"memory a call, direct, {name}", each / KIB, kind.memory / KIB, "KiB")
