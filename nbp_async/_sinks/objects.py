"""Images in an object store: kept here until the store has them, whole and confirmed.

A name ends in the image's hash, so it is known only when the last byte has come, and no service
renames: a store could not take the bytes under their name while they arrive. And as long as it has
not confirmed them they must be kept here in any case, for they are paid for. So they gather in
memory, up to the client's bound, and in temporary files above it; at commit they go up in a single
request, of which either everything or nothing is there afterwards.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from nbp_async._errors import StorageError
from nbp_async._models import Stored
from nbp_async._sinks.base import Writer
from nbp_async._sinks.memory import MemorySink
from nbp_async._sinks.threads import FileThreads
from nbp_async._stores.address import StoreAddress, is_store, refuse_cut_address, store_address
from nbp_async._stores.bucket import Bucket
from nbp_async._stores.buckets import Buckets
from nbp_async._stores.sums import Sums, sums_of

AT_ONCE = 8  # images that are sent up at once; each is in memory twice meanwhile
TRIAL = ".nbp-write-test"
MIME = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp"}


class ObjectSink:
    """Keep each image as an object under `address`.

    When there is trouble the images that are still to come are sent up once, for it may be over;
    if one of these fails, too, the rest stays in memory at once.
    """

    def __init__(
        self,
        address: StoreAddress,
        buckets: Buckets,
        memory: MemorySink,
        threads: FileThreads,
    ) -> None:
        self.address = address
        self.memory = memory
        self.threads = threads
        self._places = asyncio.Semaphore(AT_ONCE)
        self.buckets = buckets
        self._trial = asyncio.Lock()
        self._tried_out = False
        self._gone = False
        self._trouble: StorageError | None = None

    @property
    def trouble(self) -> StorageError | None:
        return self._trouble or self.memory.trouble

    async def open(self) -> "ObjectWriter":
        bucket = await self.buckets.of(self.address)
        if not self._tried_out:
            async with self._trial:  # a hundred may open at once: one of them tries
                if not self._tried_out:
                    await bucket.try_out(self.address.below(TRIAL).path)
                    self._tried_out = True
        return ObjectWriter(self, bucket, await self.memory.open())

    def troubled(self, exc: StorageError) -> None:
        """The store has not got an image. The first reason is remembered."""
        self._trouble = self._trouble or exc

    async def put(self, bucket: Bucket, key: str, here: Stored, mime: str) -> None:
        """Store these bytes, some at once and the others after them.

        Raises:
            StorageError: The store has not got them.
        """
        async with self._places:
            if self._gone and self._trouble is not None:
                raise self._trouble
            once = self._trouble is not None
            data, sums = await self.threads.run(_reader(here))
            try:
                await bucket.put(key, data, mime, sums, once=once)
            except StorageError:
                self._gone = once
                raise

    async def aclose(self) -> None:
        """Nothing is held open between two images."""


class ObjectWriter:
    """One image on its way into the store."""

    __slots__ = ("_bucket", "_here", "_sink", "stored")

    def __init__(self, sink: ObjectSink, bucket: Bucket, here: Writer) -> None:
        self._sink = sink
        self._bucket = bucket
        self._here: Writer | None = here
        self.stored: Stored | None = None

    async def write(self, data: bytes) -> None:
        assert self._here is not None, "nothing is written after the commit"
        await self._here.write(data)

    async def commit(self, stem: str, suffix: str) -> Stored:
        work = asyncio.ensure_future(self._commit(stem, suffix))
        cancelled: asyncio.CancelledError | None = None
        while not work.done():
            try:
                await asyncio.wait([work])
            except asyncio.CancelledError as exc:
                cancelled = exc
        if cancelled is not None:
            work.exception()  # looked at, so that nobody is warned about it
            raise cancelled
        return work.result()

    def discard(self) -> None:
        if self._here is not None:
            self._here.discard()

    async def _commit(self, stem: str, suffix: str) -> Stored:
        assert self._here is not None, "it is committed once"
        here = await self._here.commit(stem, suffix)
        self._here = None  # whose bytes go when the store has them
        try:
            self.stored = await self._send(here, stem, suffix)
        except StorageError as exc:
            self._sink.troubled(exc)
            self.stored = here
        return self.stored

    async def _send(self, here: Stored, stem: str, suffix: str) -> Stored:
        """Send up what is here, and let go of it.

        Raises:
            StorageError: The store has not got it.
        """
        sink = self._sink
        name = f"{stem}-{here.digest.hex()[:12]}{suffix}"
        address = sink.address.below(name)
        await sink.put(self._bucket, address.path, here, MIME[suffix])
        if here.path:
            await sink.threads.finish(lambda: Path(here.path).unlink(missing_ok=True))
        return Stored(here.size, here.digest, str(address))


def _reader(here: Stored) -> Callable[[], tuple[bytes, Sums]]:
    def read() -> tuple[bytes, Sums]:
        data = here.held.data if here.held is not None else Path(here.path).read_bytes()
        return data, sums_of(data, here.digest)

    return read


def store_of(out: object) -> StoreAddress | None:
    """The place in a store that images go to, if it is one.

    Raises:
        ConfigError: It is no address, or of no store that is known. Nothing was sent.
    """
    if isinstance(out, ObjectSink):
        return out.address
    if isinstance(out, Path):
        refuse_cut_address(out)
    return store_address(out) if isinstance(out, str) and is_store(out) else None
