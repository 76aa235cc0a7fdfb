"""Check free disk space, so that no more is bought than can be stored."""

import asyncio
import shutil
from pathlib import Path

from nbp_async._base.errors import StorageError
from nbp_async._sinks.file_threads import FileThreads

MIB = 1024 * 1024
MIN_FREE = 200 * MIB  # bytes that stay free whatever is in flight
_IMAGE_MIB = {"512": 1, "1K": 2, "2K": 5}  # MiB of an image, rounded up generously
_LARGEST_MIB = 12  # for 4K and unknown sizes
_MAX_AGE = 1.0  # seconds for which a measurement is used


def expected_bytes(tier: str) -> int:
    """Bytes of an image of this size, rounded up generously."""
    return _IMAGE_MIB.get(tier, _LARGEST_MIB) * MIB


class DiskSpace:
    """Measures the free space of a folder's disk, at most once a second.

    Args:
        folder: The folder.
        threads: Measure it.
        min_free: Bytes that stay free.
        for_images: Images come into it, and not only what is known of them.
    """

    def __init__(
        self,
        folder: str | Path,
        threads: FileThreads,
        *,
        min_free: int = MIN_FREE,
        for_images: bool = True,
    ) -> None:
        self._folder = Path(folder)
        self._threads = threads
        self._min_free = min_free
        self._for_images = for_images
        self._free = 0
        self._measured_at: float | None = None
        self._measuring = asyncio.Lock()

    async def check(self, in_flight: int, tier: str) -> None:
        """Check that this many images of this size fit, and leave the minimum free.

        Raises:
            StorageError: They do not fit. Nothing was sent.
        """
        if not self._is_recent():
            async with self._measuring:  # a thousand may call at once: one of them measures
                if not self._is_recent():
                    self._free = await self._threads.run(self._measure)
                    self._measured_at = asyncio.get_running_loop().time()
        needed = self._min_free + expected_bytes(tier) * in_flight * self._for_images
        if self._free < needed:
            raise StorageError(
                f"Not sent: the disk of {self._folder} has {self._free / 1e6:.0f} MB left, and "
                f"{needed / 1e6:.0f} MB are reserved for images in flight.",
                hint="Free space there, then run again: what is stored is not bought twice.",
            )

    def _is_recent(self) -> bool:
        now = asyncio.get_running_loop().time()
        return self._measured_at is not None and now - self._measured_at < _MAX_AGE

    def _measure(self) -> int:
        return shutil.disk_usage(self._folder).free
