"""What a trial uses, watched from outside: its processes, and what the server counts meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from nbp_async.fake.counters import Stats

_INTERVAL = 0.25  # real seconds between two samples


@dataclass
class ResourcePeaks:
    """The most of each at once.

    Attributes:
        memory: Bytes over what the process had when it was first looked at.
        server_counts: [(real second, calls at the server), ...].
        server_connections: Connections that were made to the server only to ask it.
    """

    memory: int = 0
    threads: int = 0
    processes: int = 0
    descriptors: int = 0
    server_counts: list[tuple[float, int]] = field(default_factory=list)
    server_connections: int = 0


class ResourceMonitor:
    """Samples a process and its children, and asks the server, four times a second in its context.

    Args:
        pid: The client's process.
        ask: Asks the server.
    """

    def __init__(self, pid: int, ask: Callable[[], Awaitable[Stats]]) -> None:
        self._process = psutil.Process(pid)
        self._ask = ask
        self._idle = self._memory()
        self.peaks = ResourcePeaks()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        if exc is None:
            self._sample()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            self._sample()
            self.peaks.server_connections += 1
            stats = await self._ask()
            self.peaks.server_counts.append((loop.time() - began, stats.in_flight))
            await asyncio.sleep(_INTERVAL)

    def _sample(self) -> None:
        tree, peaks = [process.pid for process in self._tree()], self.peaks
        peaks.processes = max(peaks.processes, len(tree))
        peaks.memory = max(peaks.memory, self._memory() - self._idle)
        peaks.threads = max(peaks.threads, sum(_entries(pid, "task") for pid in tree))
        peaks.descriptors = max(peaks.descriptors, sum(_entries(pid, "fd") for pid in tree))

    def _memory(self) -> int:
        return sum(pss(process.pid) for process in self._tree())

    def _tree(self) -> list[psutil.Process]:
        try:
            return [self._process, *self._process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def pss(pid: int) -> int:
    """Bytes of a process in memory, shared pages counted in part; 0 if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _entries(pid: int, folder: str) -> int:
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/{folder}").iterdir())
    except OSError:
        return 0
