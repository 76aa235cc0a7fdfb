"""HTTP against HTTPS: what a TLS handshake costs a held image, and a held call its memory."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.bodies import answer_with, png
from bench.process import light_server, run_worker, self_signed
from bench.worker import Task

HOLD = 120.0  # seconds of an image, for the part that a handshake is of it
ROUND_TRIP = 0.2  # seconds across an ocean


@dataclass(frozen=True)
class Handshakes:
    """Medians would hide little here: each figure is one run of thousands of calls.

    Attributes:
        plain_cpu: CPU seconds of the client for a call with a connection of its own.
        tls_cpu: The same over TLS.
        memory: Bytes a held call, by loop, and plain or TLS.
    """

    plain_cpu: float
    tls_cpu: float
    memory: dict[str, float] = field(default_factory=dict)


async def measure_handshakes(*, quick: bool) -> Handshakes:
    """Calls without a hold for the CPU, and held ones for the memory."""
    count, held = (500, 200) if quick else (5_000, 1_000)
    body = answer_with(png(200))
    with tempfile.TemporaryDirectory() as folder:
        ca, certificate = self_signed(Path(folder))
        cpu, memory = {}, {}
        for name, its_ca, its_certificate in (("plain", "", ""), ("TLS", ca, certificate)):
            async with light_server(body, certificate=its_certificate) as url:
                reading = await run_worker(Task("nbp", url, count, 50, ca=its_ca), limit=300)
                cpu[name] = reading.cpu / count
            for loop in ("asyncio", "uvloop"):
                async with light_server(body, hold=4.0, certificate=its_certificate) as url:
                    task = Task("nbp", url, held, held, ca=its_ca, loop=loop)
                    reading = await run_worker(task, limit=300)
                    memory[f"{name}, {loop}"] = reading.peak_over_idle / held
    return Handshakes(cpu["plain"], cpu["TLS"], memory)


def handshakes_table(found: Handshakes) -> Iterator[str]:
    """What it comes to for one image, and for a thousand."""
    each = found.tls_cpu - found.plain_cpu
    yield "\nHTTP against HTTPS, a connection of its own for each call"
    yield (
        f"  CPU of a call                 {found.plain_cpu * 1e3:.2f} ms plain, "
        f"{found.tls_cpu * 1e3:.2f} ms TLS: {each * 1e3:.2f} ms a handshake, "
        f"{each * 1000:.1f} s of CPU for a thousand images"
    )
    yield (
        f"  time of a held image          two more round trips: {2 * ROUND_TRIP:.1f} s at "
        f"{ROUND_TRIP * 1e3:.0f} ms each, {2 * ROUND_TRIP / HOLD:.2%} of {HOLD:.0f} s"
    )
    yield "  memory of a held call         " + ", ".join(
        f"{size / 1024:.0f} KiB {name}" for name, size in found.memory.items()
    )
    yield (
        "  The article's plain HTTP saves that, and sends the key and the prompts where everybody\n"
        "  on the way can read them."
    )
