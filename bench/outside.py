"""What can be seen of a trial from outside: its processes, and what the server says meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from nbp_async.fake.counters import Stats

_EVERY = 0.25  # real seconds between two looks


@dataclass
class Seen:
    """The most of each at once; memory in bytes.

    Attributes:
        witness: [(real second, calls at the server), ...].
        looks: How many connections were made to the server only to ask it.
    """

    memory: int = 0
    threads: int = 0
    processes: int = 0
    descriptors: int = 0
    witness: list[tuple[float, int]] = field(default_factory=list)
    looks: int = 0


class Watcher:
    """Looks at a process and its children, and asks the server, four times a second.

    Args:
        pid: The client's process.
        ask: Asks the server.
    """

    def __init__(self, pid: int, ask: Callable[[], Awaitable[Stats]]) -> None:
        self._process = psutil.Process(pid)
        self._ask = ask
        self.seen = Seen()

    def memory(self) -> int:
        """PSS of the process and its children now."""
        return sum(pss(process.pid) for process in self._tree())

    async def watch(self) -> None:
        """Look until cancelled."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            self.look()
            self.seen.looks += 1
            stats = await self._ask()
            self.seen.witness.append((loop.time() - began, stats.in_flight))
            await asyncio.sleep(_EVERY)

    def look(self) -> None:
        """Look once at the processes."""
        tree, seen = self._tree(), self.seen
        seen.processes = max(seen.processes, len(tree))
        seen.memory = max(seen.memory, sum(pss(process.pid) for process in tree))
        seen.threads = max(seen.threads, sum(_count(process.pid, "task") for process in tree))
        seen.descriptors = max(seen.descriptors, sum(_count(process.pid, "fd") for process in tree))

    def _tree(self) -> list[psutil.Process]:
        try:
            return [self._process, *self._process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def pss(pid: int) -> int:
    """Bytes of a process in memory, what it shares counted in part; 0 if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _count(pid: int, folder: str) -> int:
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/{folder}").iterdir())
    except OSError:
        return 0
