"""One suite for every place that images go to."""

import asyncio
import contextlib
import gc
import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from opendal import AsyncOperator

from nbp_async._base.errors import StorageError
from nbp_async._models.outcomes import Stored
from nbp_async._sinks.base import Sink
from nbp_async._sinks.directory import DirectorySink
from nbp_async._sinks.file_threads import MAX_THREADS, FileThreads
from nbp_async._sinks.memory import MemorySink
from nbp_async._sinks.object_sink import ObjectSink
from nbp_async._stores.bucket import Bucket
from nbp_async._stores.open_buckets import Buckets, read_bytes
from nbp_async._stores.store_address import StoreAddress, is_store, store_address
from tests.object_server import CREDENTIALS, ObjectServer, object_server

MakeSink = Callable[[], Sink]


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    with object_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(params=["directory", "memory", "spill", "objects", "objects-in-files", "s3"])
def make_sink(request: pytest.FixtureRequest, tmp_path: Path) -> MakeSink:
    threads = FileThreads()
    request.addfinalizer(threads.close)

    def objects(buckets: Buckets, address: StoreAddress) -> Sink:
        return ObjectSink(address, buckets, MemorySink(1 << 20, threads), threads)

    if request.param == "s3":
        address = request.getfixturevalue("s3").address(tmp_path.name)
        return lambda: objects(Buckets(CREDENTIALS), address)
    place = store_address("s3://bucket/run")
    kinds: dict[str, MakeSink] = {
        "directory": lambda: DirectorySink(tmp_path / "out", threads),
        "memory": lambda: MemorySink(1 << 20, threads),
        "spill": lambda: MemorySink(0, threads),
        "objects": lambda: objects(in_this_process("memory"), place),
        "objects-in-files": lambda: objects(in_this_process("fs", root=str(tmp_path)), place),
    }
    return kinds[request.param]


def in_this_process(service: str, **options: str) -> Buckets:
    """Buckets of a service that needs no server."""
    operator = AsyncOperator(service, **options)
    return Buckets({}, lambda address: KEPT.setdefault(address, Bucket(operator, address)))


KEPT: dict[StoreAddress, Bucket] = {}
"""The buckets that are no server's, to read back from."""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    KEPT.clear()
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


def read(stored: Stored) -> bytes:
    if stored.held is not None:
        return stored.held.data
    if is_store(stored.path) and KEPT:
        address = store_address(stored.path)
        return KEPT[address.root].read_blocking(address.path)
    return read_bytes(stored.path)


async def test_what_is_written_is_what_is_kept(make_sink: MakeSink) -> None:
    writer = await make_sink().open()
    for piece in (b"a" * 300_000, b"b" * 10, b"c" * 300_000):
        await writer.write(piece)
    stored = await writer.commit("000007", ".png")
    content = b"a" * 300_000 + b"b" * 10 + b"c" * 300_000
    assert read(stored) == content
    assert stored.size == len(content)
    assert stored.digest == hashlib.sha256(content).digest()


async def test_discard_may_be_called_at_any_time_and_again(make_sink: MakeSink) -> None:
    sink = make_sink()
    for size in (0, 10, 600_000):
        writer = await sink.open()
        await writer.write(bytes(size))
        writer.discard()
        writer.discard()


async def test_discard_after_commit_leaves_the_image(make_sink: MakeSink) -> None:
    writer = await make_sink().open()
    await writer.write(b"image")
    stored = await writer.commit("000000", ".png")
    writer.discard()
    assert read(stored) == b"image"


@pytest.mark.parametrize("size", [10, 600_000, 5_000_000])
async def test_a_commit_that_was_begun_is_carried_out_though_we_are_cancelled(
    make_sink: MakeSink, size: int
) -> None:
    writer = await make_sink().open()
    await writer.write(bytes(size))
    assert writer.stored is None
    task = asyncio.create_task(writer.commit("000000", ".png"))
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    writer.discard()
    assert writer.stored is not None
    assert read(writer.stored) == bytes(size)


async def test_a_commit_that_waits_for_a_thread_is_carried_out_too(tmp_path: Path) -> None:
    threads = FileThreads()
    writer = await DirectorySink(tmp_path, threads).open()
    await writer.write(b"image")
    gate = threading.Event()
    busy = [asyncio.create_task(threads.run(gate.wait)) for _ in range(MAX_THREADS)]
    task = asyncio.create_task(writer.commit("000000", ".png"))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.gather(*busy)
    assert writer.stored is not None
    assert Path(writer.stored.path).read_bytes() == b"image"
    threads.close()


async def test_two_images_of_equal_bytes_are_both_kept(make_sink: MakeSink) -> None:
    sink = make_sink()
    places = []
    for stem in ("000000", "000001"):
        writer = await sink.open()
        await writer.write(b"same")
        places.append(await writer.commit(stem, ".png"))
    assert [read(place) for place in places] == [b"same", b"same"]


async def test_a_file_is_named_by_place_and_hash_and_no_temporary_one_is_left(
    tmp_path: Path,
) -> None:
    threads = FileThreads()
    writer = await DirectorySink(tmp_path / "deep" / "er", threads).open()
    await writer.write(b"image")
    stored = await writer.commit("000003", ".jpg")
    digest = hashlib.sha256(b"image").hexdigest()[:12]
    assert os.listdir(tmp_path / "deep" / "er") == [f"000003-{digest}.jpg"]
    assert stat.S_ISREG(os.lstat(stored.path).st_mode)
    threads.close()


async def test_nothing_is_visible_before_commit(tmp_path: Path) -> None:
    threads = FileThreads()
    writer = await DirectorySink(tmp_path, threads).open()
    await writer.write(bytes(600_000))
    assert [name for name in os.listdir(tmp_path) if not name.startswith(".")] == []
    writer.discard()
    assert os.listdir(tmp_path) == []
    threads.close()


async def test_a_planted_link_in_the_folder_is_replaced_not_followed(tmp_path: Path) -> None:
    """A name that somebody guessed and linked elsewhere must not make us write there."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    out = tmp_path / "out"
    out.mkdir()
    digest = hashlib.sha256(b"image").hexdigest()[:12]
    (out / f"000000-{digest}.png").symlink_to(victim)
    threads = FileThreads()
    writer = await DirectorySink(out, threads).open()
    await writer.write(b"image")
    stored = await writer.commit("000000", ".png")
    assert victim.read_bytes() == b"mine"
    assert not Path(stored.path).is_symlink()
    threads.close()


async def test_a_folder_that_is_a_file_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    threads = FileThreads()
    with pytest.raises(StorageError, match="out"):
        await DirectorySink(tmp_path / "out", threads).open()
    threads.close()


async def test_cancelling_a_write_waits_for_the_thread_and_leaves_nothing(tmp_path: Path) -> None:
    threads = FileThreads()
    writer = await DirectorySink(tmp_path, threads).open()

    async def write() -> None:
        try:
            await writer.write(bytes(8_000_000))
        finally:
            writer.discard()

    task = asyncio.create_task(write())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert os.listdir(tmp_path) == []
    threads.close()


async def test_memory_above_the_bound_goes_to_files_and_comes_back_when_images_are_dropped() -> (
    None
):
    threads = FileThreads()
    sink = MemorySink(1000, threads)

    async def keep(data: bytes) -> Stored:
        writer = await sink.open()
        await writer.write(data)
        return await writer.commit("000000", ".png")

    first = await keep(bytes(800))
    second = await keep(bytes(800))
    assert first.held is not None
    assert second.held is None
    assert sink.held == 800
    del first
    gc.collect()
    assert sink.held == 0
    third = await keep(bytes(800))
    assert third.held is not None
    threads.close()


async def test_temporary_files_live_as_long_as_an_image_in_them() -> None:
    threads = FileThreads()
    sink = MemorySink(0, threads)
    writer = await sink.open()
    await writer.write(b"image")
    stored = await writer.commit("000000", ".png")
    await sink.aclose()
    path = Path(stored.path)
    del sink, writer
    await asyncio.sleep(0)  # the loop holds the last result until this task's next step
    gc.collect()
    assert path.read_bytes() == b"image"
    threads.close()
    del stored
    async with asyncio.timeout(10):
        while path.parent.exists():  # a thread holds the last thing that it did for a moment
            await asyncio.sleep(0.001)
            gc.collect()
