"""Google Cloud Storage as an emulator has it that others wrote."""

import hashlib
import socket
from collections.abc import Iterator

import pytest

from nbp_async._base.errors import StorageError
from nbp_async._sinks.file_threads import FileThreads
from nbp_async._sinks.memory import MemorySink
from nbp_async._sinks.object_sink import ObjectSink
from nbp_async._stores.bucket import Bucket, open_bucket
from nbp_async._stores.open_buckets import Buckets
from nbp_async._stores.store_address import StoreAddress, store_address
from nbp_async._stores.store_credentials import StoreOptions, store_options

server = pytest.importorskip(
    "gcp_storage_emulator.server", reason="needs gcp-storage-emulator (pip install)"
)


@pytest.fixture
def endpoint() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    emulator = server.create_server("127.0.0.1", port, in_memory=True, default_bucket="images")
    emulator.start()
    yield f"http://127.0.0.1:{port}"
    emulator.stop()


def opener(address: StoreAddress) -> Bucket:
    """As a client opens it, with a token from elsewhere than Google."""
    opening = store_options(address, {})
    return open_bucket(address, StoreOptions(opening.values | {"token": "a-token"}, ()), (0.01,))


async def test_an_image_goes_in_is_found_and_comes_back(endpoint: str) -> None:
    threads, address = FileThreads(), store_address(f"gs://images/run?endpoint={endpoint}")
    sink = ObjectSink(address, Buckets({}, opener), MemorySink(1 << 26, threads), threads)
    writer = await sink.open()
    data = bytes(range(256)) * 4_000
    await writer.write(data)
    stored = await writer.commit("000007", ".png")
    assert sink.error is None
    name = f"run/000007-{hashlib.sha256(data).hexdigest()[:12]}.png"
    assert stored.path == f"gs://images/{name}?endpoint={endpoint}"
    bucket = await sink.buckets.open(address)
    assert await bucket.read(name) == data
    found = await bucket.stat(name)
    assert found is not None
    assert found.size == len(data)
    assert await bucket.stat("run/nothing.png") is None
    assert [one.key for one in await bucket.list_objects("run/000007-")] == [name]
    threads.close()


async def test_a_bucket_that_does_not_exist_is_told(endpoint: str) -> None:
    bucket = opener(store_address(f"gs://elsewhere/run?endpoint={endpoint}"))
    with pytest.raises(StorageError, match="404") as caught:
        await bucket.check_writable("run/.nbp-write-test")
    assert "gs://elsewhere" in str(caught.value)
    assert "Is there such a bucket" in caught.value.hint
