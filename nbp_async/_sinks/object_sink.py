"""Images in an object store: kept here until the store has confirmed that it has them whole.

    write ──► MemorySink (memory, or a temporary file) ──► commit ──► put ──► confirmed ──► freed
                                                                       │
                                                        StorageError ──┘ the image stays here, in a
                                                                         file if there is a journal

They cannot be uploaded while they arrive: a name ends in the image's hash, which is known after the
last byte, and object stores cannot rename. And until the store has confirmed them, the paid bytes
must be kept here in any case. `put` is a single request, which a service carries out whole or not
at all.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from nbp_async._base.errors import StorageError
from nbp_async._models.outcomes import Stored
from nbp_async._sinks.base import ImageWriter
from nbp_async._sinks.directory import DirectorySink
from nbp_async._sinks.file_threads import FileThreads, wait_until_done
from nbp_async._sinks.memory import MemorySink
from nbp_async._stores.bucket import Bucket
from nbp_async._stores.checksums import Checksums, compute_checksums
from nbp_async._stores.open_buckets import Buckets
from nbp_async._stores.store_address import (
    StoreAddress,
    is_store,
    refuse_cut_address,
    store_address,
)

MAX_UPLOADS = 8  # at once; each of their images is in memory twice meanwhile
TEST_OBJECT = ".nbp-write-test"
_MIME_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".heic": "image/heic",
    ".gif": "image/gif",
    ".svg": "image/svg+xml",
}


class ObjectSink:
    """Keeps each image as an object under `address`.

    After a first error, which may be over soon, each further image is tried once, without retries.
    If that fails, too, the store counts as unreachable, and the rest stays here at once.

    Args:
        address: The place in the store.
        buckets: Opens stores.
        memory: Keeps images on their way.
        threads: Do the work on files.
        beside: Folder of images that the store does not take, for the next call of the run to
            upload; None to hand them out in memory.
    """

    def __init__(
        self,
        address: StoreAddress,
        buckets: Buckets,
        memory: MemorySink,
        threads: FileThreads,
        *,
        beside: Path | None = None,
    ) -> None:
        self.address = address
        self.memory = memory
        self.threads = threads
        self.buckets = buckets
        self._beside = None if beside is None else DirectorySink(beside, threads)
        self._uploads = asyncio.Semaphore(MAX_UPLOADS)
        self._checking = asyncio.Lock()
        self._is_checked = False
        self._is_unreachable = False
        self._error: StorageError | None = None

    @property
    def error(self) -> StorageError | None:
        return self._error or self.memory.error

    async def open(self) -> "ObjectWriter":
        bucket = await self.buckets.open(self.address)
        if not self._is_checked:
            async with self._checking:  # a hundred may open at once: one of them checks
                if not self._is_checked:
                    await bucket.check_writable(self.address.below(TEST_OBJECT).path)
                    self._is_checked = True
        return ObjectWriter(self, bucket, await self.memory.open())

    def record_error(self, exc: StorageError) -> None:
        """Record that the store did not take an image. The first reason is kept."""
        self._error = self._error or exc

    async def put(self, bucket: Bucket, key: str, local: Stored, mime: str) -> None:
        """Upload these bytes; a few images at once, the others wait for their turn.

        Raises:
            StorageError: The store has not confirmed them.
        """
        async with self._uploads:
            if self._is_unreachable and self._error is not None:
                raise self._error
            is_only_try = self._error is not None
            data, checksums = await self.threads.run(_reader(local))
            try:
                await bucket.put(key, data, mime, checksums, once=is_only_try)
            except StorageError:
                self._is_unreachable = is_only_try
                raise

    async def keep_beside(self, local: Stored, stem: str, suffix: str) -> Stored:
        """Keep in a file of this machine what the store did not take; in memory if that fails."""
        if self._beside is None:
            return local
        try:
            writer = await self._beside.open()
            data, _ = await self.threads.run(_reader(local))
            await writer.write(data)
            stored = await writer.commit(stem, suffix)
        except StorageError:
            return local
        return stored if stored.path else local

    async def aclose(self) -> None:
        """Nothing is open between two images."""


class ObjectWriter:
    """One image that is gathered here, and uploaded by `commit`."""

    __slots__ = ("_bucket", "_local", "_sink", "stored")

    def __init__(self, sink: ObjectSink, bucket: Bucket, local: ImageWriter) -> None:
        self._sink = sink
        self._bucket = bucket
        self._local: ImageWriter | None = local
        self.stored: Stored | None = None

    async def write(self, data: bytes) -> None:
        assert self._local is not None, "nothing is written after the commit"
        await self._local.write(data)

    async def commit(self, stem: str, suffix: str) -> Stored:
        # In a task of its own, which a cancelled caller waits for: an upload that was cut off may
        # or may not be in the store, and `stored` must say where the image is.
        committing = asyncio.ensure_future(self._commit(stem, suffix))
        try:
            return await asyncio.shield(committing)
        except asyncio.CancelledError:
            await wait_until_done(committing)
            raise

    def discard(self) -> None:
        if self._local is not None:
            self._local.discard()

    async def _commit(self, stem: str, suffix: str) -> Stored:
        assert self._local is not None, "it is committed once"
        local = await self._local.commit(stem, suffix)
        self._local = None  # it refers to the bytes, which are to be freed once they are uploaded
        try:
            self.stored = await self._upload(local, stem, suffix)
        except StorageError as exc:
            self._sink.record_error(exc)
            self.stored = await self._sink.keep_beside(local, stem, suffix)
        return self.stored

    async def _upload(self, local: Stored, stem: str, suffix: str) -> Stored:
        """Upload the image, and free what is kept of it here.

        Raises:
            StorageError: The store has not confirmed it.
        """
        sink = self._sink
        name = f"{stem}-{local.digest.hex()[:12]}{suffix}"
        address = sink.address.below(name)
        await sink.put(self._bucket, address.path, local, _MIME_TYPES[suffix])
        if local.path:
            await sink.threads.finish(lambda: Path(local.path).unlink(missing_ok=True))
        return Stored(local.size, local.digest, str(address))


def _reader(local: Stored) -> Callable[[], tuple[bytes, Checksums]]:
    def read() -> tuple[bytes, Checksums]:
        data = local.held.data if local.held is not None else Path(local.path).read_bytes()
        return data, compute_checksums(data, local.digest)

    return read


def waiting_images(journal: Path) -> Path:
    """The folder of images that the store of a run did not take, beside its journal."""
    return journal.with_name(f"{journal.name}.images")


def as_store_address(out: object) -> StoreAddress | None:
    """The address in a store that `out` names or writes to; None for anything else.

    Raises:
        ConfigError: The address is not valid, or its store is not known. Nothing was sent.
    """
    if isinstance(out, ObjectSink):
        return out.address
    if isinstance(out, Path):
        refuse_cut_address(out)
    return store_address(out) if isinstance(out, str) and is_store(out) else None
