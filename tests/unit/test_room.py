"""The floor of free space: nothing is bought that could not be stored."""

import asyncio
from pathlib import Path

import pytest

from nbp_async._errors import StorageError
from nbp_async._sinks.room import Room
from nbp_async._sinks.threads import FileThreads


async def test_a_disk_with_room_lets_everybody_pass_however_many_ask_at_once(
    tmp_path: Path,
) -> None:
    threads = FileThreads()
    room = Room(tmp_path, threads, floor=1)
    await asyncio.gather(*(room.check(1, "1K") for _ in range(100)))
    threads.close()


async def test_a_full_disk_is_refused_with_what_it_has_and_what_is_kept(tmp_path: Path) -> None:
    threads = FileThreads()
    room = Room(tmp_path, threads, floor=1 << 60)
    with pytest.raises(StorageError, match=r"Not sent: .* MB left.*Free space there"):
        await room.check(3, "4K")
    threads.close()
