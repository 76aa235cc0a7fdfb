"""HTTP and HTTPS: what a TLS handshake costs, and how much memory a held call takes."""

import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.bodies import answer_with, png
from bench.clients import Calls, measure_calls
from bench.fresh_process import call_fresh
from bench.light_server import light_server, self_signed
from bench.suite import Session

HOLD = 120.0  # seconds of an image that a handshake is compared with
ROUND_TRIP = 0.2  # seconds across an ocean


@dataclass(frozen=True)
class Handshakes:
    """Each figure is one run of thousands of calls; a median would add little.

    Attributes:
        plain_cpu: CPU seconds of the client for a call with a connection of its own.
        tls_cpu: The same over TLS.
        memory: Bytes of a held call, by loop, and plain or TLS.
    """

    plain_cpu: float
    tls_cpu: float
    memory: dict[str, float] = field(default_factory=dict)


async def measure_handshakes(*, quick: bool) -> Handshakes:
    """Calls without a hold for the CPU, and held ones for the memory."""
    count, held = (500, 200) if quick else (5_000, 1_000)
    body = answer_with(png(200))
    with tempfile.TemporaryDirectory() as folder:
        cpu, memory = {}, {}
        for name, (ca, certificate) in (("plain", ("", "")), ("TLS", self_signed(Path(folder)))):
            async with light_server(body, certificate=certificate) as url:
                task = Calls("nbp", url, count, 50, ca=ca)
                cpu[name] = (await call_fresh(measure_calls, task, limit=300)).cpu / count
            for loop in ("asyncio", "uvloop"):
                async with light_server(body, hold=4.0, certificate=certificate) as url:
                    task = Calls("nbp", url, held, held, ca=ca, loop=loop)
                    reading = await call_fresh(measure_calls, task, limit=300)
                    memory[f"{name}, {loop}"] = reading.peak_over_idle / held
    return Handshakes(cpu["plain"], cpu["TLS"], memory)


async def handshakes(session: Session) -> None:
    """HTTP and HTTPS, a connection of its own for each call"""
    found = await measure_handshakes(quick=session.quick)
    session.readings["handshakes"] = asdict(found)
    each = found.tls_cpu - found.plain_cpu
    memory = ", ".join(f"{size / 1024:.0f} KiB {name}" for name, size in found.memory.items())
    session.show(
        f"  CPU of a call                 {found.plain_cpu * 1e3:.2f} ms plain, "
        f"{found.tls_cpu * 1e3:.2f} ms TLS: {each * 1e3:.2f} ms a handshake, "
        f"{each * 1000:.1f} s of CPU for a thousand images",
        f"  time of a held image          two more round trips: {2 * ROUND_TRIP:.1f} s at "
        f"{ROUND_TRIP * 1e3:.0f} ms each, {2 * ROUND_TRIP / HOLD:.2%} of {HOLD:.0f} s",
        f"  memory of a held call         {memory}",
        "  The article's plain HTTP saves that, and lets everybody on the network read the key and",
        "  the prompts.",
    )
