"""Images into a real S3-compatible server, and what goes wrong on the way there."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from anyio.to_thread import run_sync

from nbp_async._base.errors import StorageError
from nbp_async._models.outcomes import Stored
from nbp_async._sinks.file_threads import FileThreads
from nbp_async._sinks.memory import MemorySink
from nbp_async._sinks.object_sink import MAX_UPLOADS, TEST_OBJECT, ObjectSink
from nbp_async._stores import bucket
from nbp_async._stores.open_buckets import Buckets, read_bytes
from nbp_async._stores.store_address import StoreAddress, store_address
from tests.object_server import (
    CREDENTIALS,
    Gateway,
    ObjectServer,
    gateway,
    object_server,
    quick_sink,
)

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    with object_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
async def door(shared: ObjectServer) -> AsyncIterator[Gateway]:
    async with gateway(shared) as rules:
        yield rules


class Place:
    """A sink that forgives soon, under a prefix of its own."""

    def __init__(self, address: StoreAddress, *, bound: int = 64 * MIB) -> None:
        self.threads = FileThreads()
        self.address = address
        self.sink = quick_sink(address, self.threads, bound=bound)
        self.memory = self.sink.memory

    async def keep(self, data: bytes, stem: str = "000000") -> Stored:
        writer = await self.sink.open()
        try:
            for at in range(0, len(data), 64 * 1024):
                await writer.write(data[at : at + 64 * 1024])
            return await writer.commit(stem, ".png")
        finally:
            writer.discard()


@pytest.fixture
def place(
    shared: ObjectServer, door: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    place = Place(shared.address(tmp_path.name, endpoint=door.url))
    yield place
    place.threads.close()


def names(server: ObjectServer, place: Place) -> list[str]:
    prefix = place.address.path + "/"
    return [name.removeprefix(prefix) for name in server.objects() if name.startswith(prefix)]


async def test_an_image_is_one_object_and_nothing_is_there_before(
    shared: ObjectServer, place: Place, door: Gateway
) -> None:
    writer = await place.sink.open()
    await writer.write(b"x" * 3_000_000)
    assert names(shared, place) == []
    stored = await writer.commit("000007", ".png")
    assert names(shared, place) == [f"000007-{stored.digest.hex()[:12]}.png"]
    assert stored.path == str(place.address.below(names(shared, place)[0]))
    assert await run_sync(read_bytes, stored.path) == b"x" * 3_000_000
    assert place.memory.held == 0
    assert door.multipart == []


async def test_what_the_server_refuses_for_a_moment_is_sent_again(
    shared: ObjectServer, place: Place, door: Gateway
) -> None:
    await place.keep(b"first")
    door.refusals = [500, 503, 429]
    await place.keep(b"second", "000001")
    assert place.sink.error is None
    assert len(names(shared, place)) == 2


async def test_a_server_that_is_gone_leaves_the_images_in_memory_and_says_so_once(
    tmp_path: Path,
) -> None:
    with object_server(tmp_path) as server:
        place = Place(server.address())
        writers = [await place.sink.open() for _ in range(3)]
        for writer in writers:
            await writer.write(b"paid for")
        server.stop()
        kept = [await writer.commit(f"{n:06d}", ".png") for n, writer in enumerate(writers)]
        assert [one.path for one in kept] == ["", "", ""]
        assert [one.held.data for one in kept if one.held] == [b"paid for"] * 3
        trouble = place.sink.error
        assert trouble is not None
        assert "Connection refused" in str(trouble)
        assert trouble.__context__ is None
        server.start()
        assert (await place.keep(b"later", "000003")).held is not None, "it is not asked any more"
        place.threads.close()


async def test_what_comes_after_the_trouble_is_sent_up_once_for_it_may_be_over(
    shared: ObjectServer, place: Place, door: Gateway
) -> None:
    writers = [await place.sink.open() for _ in range(3)]
    for number, writer in enumerate(writers):
        await writer.write(bytes([number]) * 1000)
    door.refusals = [500, 500, 500, 500]
    assert (await writers[0].commit("000000", ".png")).path == ""
    assert place.sink.error is not None
    assert (await writers[1].commit("000001", ".png")).path
    assert (await writers[2].commit("000002", ".png")).path
    assert len(names(shared, place)) == 2


async def test_a_store_that_stalls_is_given_up_and_takes_images_again_when_it_is_back(
    shared: ObjectServer, place: Place, door: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "STAT_TIMEOUT", 0.2)
    monkeypatch.setattr(bucket, "TRANSFER_TIMEOUT", 0.2)
    writers = [await place.sink.open() for _ in range(2)]
    for number, writer in enumerate(writers):
        await writer.write(bytes([number]) * 1000)
    door.hold.clear()
    kept = await writers[0].commit("000000", ".png")
    assert kept.held is not None, "it is not lost"
    assert kept.held.data == bytes(1000)
    assert "could not store" in str(place.sink.error)
    assert "timeout" in str(place.sink.error).lower()
    door.hold.set()
    assert (await writers[1].commit("000001", ".png")).path
    assert len(names(shared, place)) >= 1


async def test_a_commit_that_is_cancelled_is_carried_out_and_leaves_no_parts(
    shared: ObjectServer, place: Place, door: Gateway
) -> None:
    writer = await place.sink.open()
    await writer.write(bytes(6_000_000))
    door.hold.clear()
    door.arrived.clear()
    task = asyncio.create_task(writer.commit("000000", ".png"))
    await door.arrived.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.01)
    assert names(shared, place) == []
    door.hold.set()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    writer.discard()
    assert writer.stored is not None
    assert await run_sync(read_bytes, writer.stored.path) == bytes(6_000_000)
    assert door.multipart == []


async def test_discarding_leaves_nothing_in_the_store(
    shared: ObjectServer, place: Place, door: Gateway
) -> None:
    writer = await place.sink.open()
    await writer.write(bytes(6_000_000))
    writer.discard()
    assert names(shared, place) == []
    assert place.memory.held == 0
    put = [path for method, path in door.seen if method == "PUT"]
    assert [path for path in put if TEST_OBJECT not in path] == []


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "hushhush"}, "signature"),
        ({"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "hushhush"}, "AWS_ACCESS_KEY_ID"),
    ],
)
async def test_wrong_credentials_are_refused_at_the_door(
    shared: ObjectServer, environ: dict[str, str], says: str
) -> None:
    threads = FileThreads()
    sink = ObjectSink(shared.address(), Buckets(environ), MemorySink(MIB, threads), threads)
    with pytest.raises(StorageError, match=says) as caught:
        await sink.open()
    assert "hushhush" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None
    threads.close()


async def test_a_bucket_that_is_not_there_is_refused_at_the_door(shared: ObjectServer) -> None:
    threads = FileThreads()
    address = store_address(f"s3://nowhere/run?endpoint={shared.url}")
    sink = ObjectSink(address, Buckets(CREDENTIALS), MemorySink(MIB, threads), threads)
    with pytest.raises(StorageError, match="NoSuchBucket"):
        await sink.open()
    threads.close()


async def test_what_the_service_has_no_sum_of_is_read_back(place: Place, door: Gateway) -> None:
    await place.keep(b"known")
    door.spoil = True
    assert (await place.keep(bytes(1000), "000001")).path  # whose bytes it gives out
    assert (await place.keep(b"other" * 200, "000002")).held is not None
    assert "other bytes than were sent" in str(place.sink.error)


@pytest.mark.parametrize("bound", [4 * MIB, 64 * MIB])
async def test_two_hundred_images_at_once_stay_within_their_bounds(
    shared: ObjectServer, door: Gateway, tmp_path: Path, bound: int
) -> None:
    """Memory up to the bound, temporary files above it, and eight images on the wire."""
    place = Place(shared.address(tmp_path.name, endpoint=door.url), bound=bound)
    held = 0

    async def one(number: int) -> Stored:
        nonlocal held
        writer = await place.sink.open()
        for _ in range(7):
            await writer.write(bytes([number]) * 64 * 1024)
            held = max(held, place.memory.held)
            await asyncio.sleep(0)
        return await writer.commit(f"{number:06d}", ".png")

    kept = await asyncio.gather(*map(one, range(200)))
    assert all(one.path.startswith("s3://") for one in kept)
    assert len(names(shared, place)) == 200
    assert held <= bound
    assert place.memory.held == 0
    assert 1 < door.most <= MAX_UPLOADS
    spill = place.memory._spill
    if spill is not None:
        assert list(Path(spill.folder).iterdir()) == []
    place.threads.close()
