"""Images in memory, up to a bound; above it, in temporary files.

What counts against the bound is what somebody still holds: when the last reference to an image
goes, so does its share. The temporary files live as long as an image that is in them.
"""

import hashlib
import shutil
import tempfile
import weakref

from nbp_async._errors import StorageError
from nbp_async._models import Held, Stored
from nbp_async._sinks.base import Writer
from nbp_async._sinks.directory import DirectorySink
from nbp_async._sinks.threads import FileThreads


class SpillFolder:
    """A folder of temporary files that goes when nobody holds it any more."""

    __slots__ = ("__weakref__", "path")

    def __init__(self) -> None:
        self.path = tempfile.mkdtemp(prefix="nbp-")
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


class MemorySink:
    """Keep up to `bound` bytes of images in memory, and the rest in temporary files."""

    def __init__(self, bound: int, threads: FileThreads) -> None:
        self.bound = bound
        self.held = 0
        self._threads = threads
        self._spill: DirectorySink | None = None
        self.trouble: StorageError | None = None

    async def open(self) -> Writer:
        return MemoryWriter(self)

    async def spill(self) -> Writer:
        """A writer into temporary files."""
        if self._spill is None:
            folder = await self._threads.run(SpillFolder)
            self._spill = DirectorySink(folder.path, self._threads, keep=folder)
        return await self._spill.open()

    def release(self, size: int) -> None:
        """See `_models.Store`."""
        self.held -= size

    async def aclose(self) -> None:
        self._spill = None


class MemoryWriter:
    """One image on its way; changes to a temporary file when memory is full."""

    __slots__ = ("_chunks", "_file", "_sink", "_size")

    def __init__(self, sink: MemorySink) -> None:
        self._sink = sink
        self._chunks: list[bytes] = []
        self._size = 0
        self._file: Writer | None = None

    async def write(self, data: bytes) -> None:
        if self._file is None:
            if self._sink.held + len(data) <= self._sink.bound:
                self._chunks.append(data)
                self._size += len(data)
                self._sink.held += len(data)
                return
            self._file = await self._sink.spill()
            chunks = self._chunks
            self._forget()
            for chunk in chunks:
                await self._file.write(chunk)
        await self._file.write(data)

    async def commit(self, stem: str, suffix: str) -> Stored:
        if self._file is not None:
            return await self._file.commit(stem, suffix)
        hasher = hashlib.sha256()
        for chunk in self._chunks:
            hasher.update(chunk)
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks, self._size = [], 0
        return Stored(len(data), hasher.digest(), "", Held(data, self._sink))

    def discard(self) -> None:
        self._forget()
        if self._file is not None:
            self._file.discard()

    def _forget(self) -> None:
        self._sink.held -= self._size
        self._chunks, self._size = [], 0
