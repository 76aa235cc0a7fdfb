"""Alibaba OSS, Google Cloud Storage and Azure Blob: each in its own words."""

import base64
import hashlib

import pytest

from nbp_async._base.errors import StorageError
from nbp_async._sinks.file_threads import FileThreads
from nbp_async._sinks.memory import MemorySink
from nbp_async._sinks.object_sink import ObjectSink
from nbp_async._stores.bucket import Bucket, open_bucket
from nbp_async._stores.open_buckets import Buckets
from nbp_async._stores.store_address import StoreAddress, store_address
from nbp_async._stores.store_credentials import WHAT_TO_SET, StoreOptions, store_options
from tests.other_stores import KEY, KEY_ID, OtherStore, other_store

ENVIRON = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": KEY_ID,
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": KEY,
    "AZURE_STORAGE_ACCOUNT": "account",
    "AZURE_STORAGE_KEY": base64.b64encode(KEY.encode()).decode(),
}


def address_of(scheme: str, store: OtherStore) -> StoreAddress:
    place = "/account" if scheme == "az" else ""
    return store_address(f"{scheme}://images/run?endpoint={store.url}{place}")


def opener(address: StoreAddress) -> Bucket:
    opening = store_options(address, ENVIRON)
    if address.scheme == "gs":  # which has its token from Google otherwise
        opening = StoreOptions(opening.values | {"token": "a-token"}, ())
    return open_bucket(address, opening, pauses=(0.01,))


@pytest.mark.parametrize("scheme", ["oss", "gs", "az"])
async def test_an_image_goes_up_in_one_request_and_is_confirmed(scheme: str) -> None:
    threads = FileThreads()
    async with other_store(scheme) as store:
        address = address_of(scheme, store)
        sink = ObjectSink(address, Buckets({}, opener), MemorySink(1 << 26, threads), threads)
        writer = await sink.open()
        assert store.objects == {}, "what tried it out is gone again"
        data = bytes(range(256)) * 40_000
        await writer.write(data)
        store.requests.clear()
        stored = await writer.commit("000007", ".png")
        assert sink.error is None
        name = f"000007-{hashlib.sha256(data).hexdigest()[:12]}.png"
        assert store.objects == {f"run/{name}": data}
        assert stored.path == str(address.below(name))
        assert [method for method, _ in store.requests if method in ("PUT", "POST")] != []
        assert len(store.requests) == 2, "one to store it, one to compare its sum"

        bucket = await sink.buckets.open(address)
        found = await bucket.stat(f"run/{name}")
        assert found is not None
        assert found.size == len(data)
        assert await bucket.stat("run/nothing.png") is None
        assert await bucket.read(f"run/{name}") == data
        (listed,) = await bucket.list_objects("run/000007-")
        assert (listed.key, listed.size) == (f"run/{name}", len(data))
        assert listed.modified is not None
        assert await bucket.list_objects("run/000008-") == []
        assert store.refused == 0
    threads.close()


async def test_a_wrong_secret_is_refused_in_the_services_words_and_not_repeated() -> None:
    wrong = {**ENVIRON, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "another-secret"}
    async with other_store("oss") as store:
        bucket = await Buckets(wrong).open(address_of("oss", store))
        with pytest.raises(StorageError, match="SignatureDoesNotMatch") as caught:
            await bucket.check_writable("run/.nbp-write-test")
        assert "ALIBABA_CLOUD_ACCESS_KEY_SECRET" in str(caught.value)
        assert "another-secret" not in str(caught.value)
        assert store.objects == {}


@pytest.mark.parametrize(("scheme", "code"), [("oss", "NoSuchBucket"), ("az", "ContainerNotFound")])
async def test_a_bucket_that_is_not_there_is_told(scheme: str, code: str) -> None:
    async with other_store(scheme) as store:
        there = str(address_of(scheme, store))
        bucket = opener(store_address(there.replace("://images", "://elsewhere")))
        with pytest.raises(StorageError, match=code) as caught:
            await bucket.check_writable("run/.nbp-write-test")
        assert f"{scheme}://elsewhere" in str(caught.value)
        assert "Is there such a bucket" in caught.value.hint
        assert store.objects == {}


@pytest.mark.parametrize("scheme", ["az", "gs"])
async def test_a_wrong_key_is_refused_with_what_to_check(scheme: str) -> None:
    """These services answer 401, where others answer 403."""
    async with other_store(scheme) as store:
        address = address_of(scheme, store)
        wrong = {"account_name": "somebody"} if scheme == "az" else {"token": "another-token"}
        options = store_options(address, ENVIRON)
        opening = StoreOptions(options.values | wrong, (ENVIRON["AZURE_STORAGE_KEY"],))
        bucket = open_bucket(address, opening, pauses=(0.01,))
        with pytest.raises(StorageError) as caught:
            await bucket.check_writable("run/.nbp-write-test")
        assert f"Check {WHAT_TO_SET[scheme]}" in str(caught.value)
        assert ENVIRON["AZURE_STORAGE_KEY"] not in str(caught.value)
        assert "another-token" not in str(caught.value)
        assert (store.objects, store.refused > 0) == ({}, True)
