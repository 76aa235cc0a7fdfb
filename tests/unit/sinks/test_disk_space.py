"""The minimum of free space: nothing is bought that could not be stored."""

import asyncio
from pathlib import Path

import pytest

from nbp_async._base.errors import StorageError
from nbp_async._sinks.disk_space import DiskSpace
from nbp_async._sinks.file_threads import FileThreads


async def test_a_disk_with_enough_space_lets_everybody_pass_however_many_ask_at_once(
    tmp_path: Path,
) -> None:
    threads = FileThreads()
    space = DiskSpace(tmp_path, threads, min_free=1)
    await asyncio.gather(*(space.check(1, "1K") for _ in range(100)))
    threads.close()


async def test_a_full_disk_is_refused_with_what_it_has_and_what_is_reserved(tmp_path: Path) -> None:
    threads = FileThreads()
    space = DiskSpace(tmp_path, threads, min_free=1 << 60)
    with pytest.raises(StorageError, match=r"Not sent: .* MB left.*Free space there"):
        await space.check(3, "4K")
    threads.close()
