"""A disk that fails does not take an image with it: it is paid for, and goes on in memory."""

import asyncio
import errno
import gc
import hashlib
import os
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nbp_async._base.errors import StorageError
from nbp_async._models.outcomes import Stored
from nbp_async._sinks.base import Sink
from nbp_async._sinks.directory import DirectorySink
from nbp_async._sinks.file_threads import FileThreads
from nbp_async._sinks.memory import MemorySink
from tests.failing_disk import Disk

pytestmark = pytest.mark.looptime

IMAGE = bytes(range(256)) * 4000
PIECE = 50_000


@pytest.fixture
def threads() -> Iterator[FileThreads]:
    threads = FileThreads()
    yield threads
    threads.close()


async def keep(sink: Sink, *, then: Callable[[], object] | None = None) -> Stored:
    """Write IMAGE in pieces and commit it; `then` happens in the middle."""
    writer = await sink.open()
    for at in range(0, len(IMAGE), PIECE):
        if then is not None and at == 10 * PIECE:
            then()
        await writer.write(IMAGE[at : at + PIECE])
    try:
        return await writer.commit("000000", ".png")
    finally:
        writer.discard()


def assert_in_memory(stored: Stored) -> None:
    assert stored.path == ""
    assert stored.held is not None
    assert stored.held.data == IMAGE
    assert (stored.size, stored.digest) == (len(IMAGE), hashlib.sha256(IMAGE).digest())


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@contextmanager
def limited(kind: int, limit: int) -> Iterator[None]:
    """A limit of the process, while the body runs."""
    soft, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(kind, (soft, hard))


async def test_a_disk_that_fills_up_in_the_middle_of_a_write_loses_no_byte(
    tmp_path: Path, threads: FileThreads
) -> None:
    """The largest size of a file stands for a full disk: the last write is done in part."""
    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN
    sink = DirectorySink(tmp_path, threads)
    with limited(resource.RLIMIT_FSIZE, 333_333):
        stored = await keep(sink)
    assert_in_memory(stored)
    assert isinstance(sink.error, StorageError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
async def test_whatever_fails_the_image_is_handed_out_in_memory(
    call: str, number: int, tmp_path: Path, threads: FileThreads, disk: Disk
) -> None:
    sink = DirectorySink(tmp_path, threads)
    (await sink.open()).discard()
    disk.fail(call, number)
    assert_in_memory(await keep(sink))
    assert sink.error is not None
    assert os.strerror(number) in str(sink.error)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
async def test_a_disk_that_failed_once_gets_the_file_after_all(
    call: str, tmp_path: Path, threads: FileThreads, disk: Disk
) -> None:
    sink = DirectorySink(tmp_path, threads)
    disk.fail(call, errno.ENOSPC, times=1)
    stored = await keep(sink)
    assert Path(stored.path).read_bytes() == IMAGE
    assert stored.digest == hashlib.sha256(IMAGE).digest()
    assert [path.name for path in tmp_path.iterdir()] == [Path(stored.path).name]
    assert sink.error is not None, "the next one may be less lucky"


async def test_the_first_trouble_is_remembered_and_says_what_to_do(
    tmp_path: Path, threads: FileThreads, disk: Disk
) -> None:
    sink = DirectorySink(tmp_path, threads)
    disk.fail("fsync", errno.ENOSPC, times=1)
    await keep(sink)
    disk.fail("write", errno.EACCES)
    await keep(sink)
    assert "Free space" in str(sink.error)


async def test_a_folder_that_was_deleted_meanwhile_costs_no_image(
    tmp_path: Path, threads: FileThreads
) -> None:
    sink = DirectorySink(tmp_path / "out", threads)
    assert_in_memory(await keep(sink, then=lambda: shutil.rmtree(tmp_path / "out")))
    assert sink.error is not None


async def test_files_that_ran_out_for_a_moment_are_waited_for(
    tmp_path: Path, threads: FileThreads
) -> None:
    sink = DirectorySink(tmp_path, threads)
    (await sink.open()).discard()
    began = asyncio.get_running_loop().time()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    give_back = asyncio.get_running_loop().call_later(
        0.9, resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard)
    )
    try:
        stored = await keep(sink)
    finally:
        give_back.cancel()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert Path(stored.path).read_bytes() == IMAGE
    assert sink.error is None
    assert 0.9 <= asyncio.get_running_loop().time() - began <= 2.0


async def test_files_that_ran_out_for_good_are_given_two_seconds(
    tmp_path: Path, threads: FileThreads
) -> None:
    sink = DirectorySink(tmp_path, threads)
    (await sink.open()).discard()
    with limited(resource.RLIMIT_NOFILE, 3):
        stored = await keep(sink)
    assert_in_memory(stored)
    assert "ulimit" in str(sink.error)
    assert asyncio.get_running_loop().time() == pytest.approx(2.0)


async def test_who_is_cancelled_while_files_are_short_finds_the_image_in_memory(
    tmp_path: Path, threads: FileThreads
) -> None:
    sink = DirectorySink(tmp_path, threads)
    writer = await sink.open()
    with limited(resource.RLIMIT_NOFILE, 3):
        await writer.write(IMAGE)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.7):
                await writer.commit("000000", ".png")
    assert writer.stored is not None
    assert_in_memory(writer.stored)
    assert sink.error is not None


async def test_only_what_cannot_be_read_back_is_lost(
    tmp_path: Path, threads: FileThreads, disk: Disk
) -> None:
    sink = DirectorySink(tmp_path, threads)
    writer = await sink.open()
    await writer.write(IMAGE)
    disk.fail("fsync", errno.EIO)
    disk.fail("read", errno.EIO)
    with pytest.raises(StorageError):
        await writer.commit("000000", ".png")
    assert writer.stored is None
    assert sink.error is not None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", ["mkdir", "open", "write", "fsync"])
async def test_memory_takes_more_than_its_bound_where_temporary_files_fail(
    call: str, threads: FileThreads, disk: Disk
) -> None:
    """And says so for as long as it does."""
    sink = MemorySink(300_000, threads)
    disk.fail(call, errno.ENOSPC)
    stored = await keep(sink)
    assert_in_memory(stored)
    assert sink.held == len(IMAGE)
    assert "Free space" in str(sink.error)
    del stored
    await asyncio.sleep(0)
    assert threads._pool is not None
    threads._pool.shutdown(wait=True)  # a worker refers to its last operation until it ends
    gc.collect()
    assert sink.held == 0
    assert sink.error is None


async def test_temporary_files_are_used_again_when_they_work_again(
    threads: FileThreads, disk: Disk
) -> None:
    sink = MemorySink(300_000, threads)
    disk.fail("fsync", errno.ENOSPC, times=2)
    first = await keep(sink)
    second = await keep(sink)
    assert first.held is not None
    assert Path(second.path).read_bytes() == IMAGE
    await sink.aclose()
