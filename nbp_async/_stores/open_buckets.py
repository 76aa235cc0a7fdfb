"""The buckets that one client has open."""

import asyncio
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import anyio.to_thread

from nbp_async._stores.bucket import Bucket, open_bucket
from nbp_async._stores.store_address import StoreAddress, is_store, store_address
from nbp_async._stores.store_credentials import store_options


class Buckets:
    """Opens each bucket once, with the environment's credentials. Belongs to one event loop."""

    def __init__(
        self,
        environ: Mapping[str, str] = os.environ,
        opener: Callable[[StoreAddress], Bucket] | None = None,
    ) -> None:
        self._opener = opener or partial(_open, environ)
        self._buckets: dict[StoreAddress, Bucket] = {}
        self._opening = asyncio.Lock()

    async def open(self, address: StoreAddress) -> Bucket:
        """The bucket of this address, opened when first asked for.

        Raises:
            ConfigError: It cannot be opened. Nothing was sent.
        """
        async with self._opening:
            bucket = self._buckets.get(address.root)
            if bucket is None:
                bucket = await anyio.to_thread.run_sync(self._opener, address.root)
                self._buckets[address.root] = bucket
            return bucket


def _open(environ: Mapping[str, str], address: StoreAddress) -> Bucket:
    return open_bucket(address, store_options(address, environ))


def read_bytes(place: str) -> bytes:
    """The bytes of a file, or of an object by its address. Blocks.

    Raises:
        ConfigError: The store cannot be opened.
        StorageError: The store does not return them.
        OSError: The file cannot be read.
    """
    if not is_store(place):
        return Path(place).read_bytes()
    address = store_address(place)
    return _open(os.environ, address).read_blocking(address.path)
