"""A reply while it arrives: whole if it is kept, and nothing of another one in it."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from nbp_async._sinks import spool_files
from nbp_async._sinks.file_threads import FileThreads
from nbp_async._sinks.reply_spool import ReplySpool
from nbp_async._sinks.unread import Chunks, UnreadFolder

MIB = 1024 * 1024


@pytest.fixture
def threads() -> Iterator[FileThreads]:
    threads = FileThreads()
    yield threads
    threads.close()


def clean(chunks: Iterable[bytes]) -> Iterator[bytes]:
    return iter(chunks)


def as_it_is(chunks: Chunks) -> Chunks:
    return chunks


async def kept(threads: FileThreads, folder: Path, body: bytes, step: int) -> bytes:
    """The body as it is kept, if it comes in pieces of this size."""
    spool = ReplySpool(UnreadFolder(str(folder), threads))
    for at in range(0, len(body), step):
        await spool.write(body[at : at + step])
    place = await spool.keep(b"head", "000000-1", as_it_is, clean)
    spool.discard()
    head, _, data = Path(place).read_bytes().partition(b"\n")
    assert head == b"head"
    return data


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("step", [700, 64 * 1024, 3 * MIB])
async def test_what_follows_a_longer_one_has_nothing_of_it(
    step: int, threads: FileThreads, tmp_path: Path
) -> None:
    before = open_files()
    for size in (3 * MIB + 11, 5, MIB, 2 * MIB - 1, 9 * MIB):
        body = os.urandom(size)
        assert await kept(threads, tmp_path, body, step) == body
    assert open_files() == before + 1, "one file was enough for all of them"
    threads.close()
    assert open_files() == before


async def test_replies_that_arrive_together_have_files_of_their_own(
    threads: FileThreads, tmp_path: Path
) -> None:
    before = open_files()
    folders = [tmp_path / str(number % 3) for number in range(20)]
    for folder in folders[:3]:
        folder.mkdir()
    spools = [ReplySpool(UnreadFolder(str(folder), threads)) for folder in folders]
    for number, spool in enumerate(spools):
        for _ in range(2):
            await spool.write(bytes([number]) * (MIB + number))
    for number, spool in enumerate(spools):
        place = await spool.keep(b"", str(number), as_it_is, clean)
        assert Path(place).parent == folders[number] / "unread"
        assert Path(place).read_bytes()[1:] == bytes([number]) * 2 * (MIB + number)
        spool.discard()
    assert open_files() == before + 8, "the others were closed"


async def test_a_file_that_has_grown_large_is_not_kept_open(
    threads: FileThreads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_files, "_LARGEST_IDLE", MIB)
    before = open_files()
    await kept(threads, tmp_path, bytes(MIB), MIB)
    assert open_files() == before + 1
    await kept(threads, tmp_path, bytes(MIB + 1), MIB + 1)
    assert open_files() == before


async def test_a_file_is_on_the_disk_of_its_folder(threads: FileThreads, tmp_path: Path) -> None:
    spool = ReplySpool(UnreadFolder(str(tmp_path / "missing"), threads))
    await spool.write(bytes(MIB))
    assert not await spool.keep(b"", "x", as_it_is, clean), "there is no such folder"
    spool.discard()
    assert await kept(threads, tmp_path, b"later", 5) == b"later"
