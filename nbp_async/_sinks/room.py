"""Room on the disk: nothing more is bought than can still be stored."""

import asyncio
import shutil
from pathlib import Path

from nbp_async._errors import StorageError
from nbp_async._sinks.threads import FileThreads

MIB = 1024 * 1024
FLOOR = 200 * MIB  # bytes that stay free whatever is in flight
EACH = {"512": 1, "1K": 2, "2K": 5}  # MiB of an image, with room to spare
LARGEST = 12  # MiB, for 4K and what has no name
_FRESH = 1.0  # seconds for which an answer of the disk is good


def weight_of(tier: str) -> int:
    """Bytes of an image of this size, with room to spare."""
    return EACH.get(tier, LARGEST) * MIB


class Room:
    """Looks at the free space of a folder's disk, at most once a second."""

    def __init__(self, folder: str | Path, threads: FileThreads, *, floor: int = FLOOR) -> None:
        self._folder = Path(folder)
        self._threads = threads
        self._floor = floor
        self._free = 0
        self._looked_at: float | None = None
        self._looking = asyncio.Lock()

    async def check(self, in_flight: int, tier: str) -> None:
        """Make sure that so many images of this size fit, and the floor besides.

        Raises:
            StorageError: It does not. Nothing was sent.
        """
        if not self._fresh():
            async with self._looking:  # a thousand may ask at once: one of them looks
                if not self._fresh():
                    self._free = await self._threads.run(self._look)
                    self._looked_at = asyncio.get_running_loop().time()
        needed = self._floor + weight_of(tier) * in_flight
        if self._free < needed:
            raise StorageError(
                f"Not sent: the disk of {self._folder} has {self._free / 1e6:.0f} MB left, and "
                f"{needed / 1e6:.0f} MB are kept for what is in flight.",
                hint="Free space there, then run again: what is stored is not bought twice.",
            )

    def _fresh(self) -> bool:
        now = asyncio.get_running_loop().time()
        return self._looked_at is not None and now - self._looked_at < _FRESH

    def _look(self) -> int:
        return shutil.disk_usage(self._folder).free
