"""What a process used: wall, CPU, memory, and how long its loop was stalled."""

import asyncio
import resource
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


def resident() -> int:
    """Bytes of this process that are in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def peak_resident() -> int:
    """The most bytes of this process that were in memory at once."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@dataclass
class Reading:
    """One run. Times in seconds, memory in bytes."""

    answered: int
    wall: float
    cpu: float
    peak_over_idle: int
    worst_stall: float = 0.0


def median_reading(readings: Sequence[Reading]) -> Reading:
    """The median of each figure of several runs; the fewest answers of any."""

    def middle(name: str) -> float:
        return float(statistics.median(getattr(reading, name) for reading in readings))

    return Reading(
        answered=min(reading.answered for reading in readings),
        wall=middle("wall"),
        cpu=middle("cpu"),
        peak_over_idle=int(middle("peak_over_idle")),
        worst_stall=middle("worst_stall"),
    )


class Meter:
    """Read before and after; `idle` is what the process held when it was ready to begin."""

    def __init__(self) -> None:
        self._idle = resident()
        self._wall = time.perf_counter()
        self._cpu = time.process_time()

    def read(self, answered: int, worst_stall: float = 0.0) -> Reading:
        return Reading(
            answered,
            time.perf_counter() - self._wall,
            time.process_time() - self._cpu,
            peak_resident() - self._idle,
            worst_stall,
        )


class StallSampler:
    """How late the loop's timers come, every 2 ms: the longest time nothing else could run."""

    def __init__(self) -> None:
        self.worst = 0.0
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + 0.002
        self._handle = self._loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        now = self._loop.time()
        self.worst = max(self.worst, now - self._due)
        self._due = now + 0.002
        self._handle = self._loop.call_at(self._due, self._tick)

    def stop(self) -> None:
        self._handle.cancel()
