"""Images in memory, up to a bound; above it, in temporary files.

What counts against the bound is what somebody still holds: when the last reference to an image
goes, so does its share. The temporary files live as long as an image that is in them.
"""

import shutil
import tempfile
import weakref

import msgspec

from nbp_async._errors import StorageError
from nbp_async._models import Held, Stored
from nbp_async._sinks.base import Writer
from nbp_async._sinks.directory import DirectorySink
from nbp_async._sinks.pieces import in_memory
from nbp_async._sinks.threads import FileThreads

_SMALL = 256 * 1024  # bytes that take 0.2 ms to hash: less than a visit to a thread is worth


class SpillFolder:
    """A folder of temporary files that goes when nobody holds it any more."""

    __slots__ = ("__weakref__", "path")

    def __init__(self) -> None:
        self.path = tempfile.mkdtemp(prefix="nbp-")
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


class MemorySink:
    """Keep up to `bound` bytes of images in memory, and the rest in temporary files.

    Where those cannot be written, memory takes more than its bound, and `trouble` says so for as
    long as it does: other calls of the client use the same memory.
    """

    def __init__(self, bound: int, threads: FileThreads) -> None:
        self.bound = bound
        self.held = 0
        self.threads = threads
        self._spill: DirectorySink | None = None
        self._trouble: StorageError | None = None

    @property
    def trouble(self) -> StorageError | None:
        if self.held <= self.bound:
            self._trouble = None
        return self._trouble

    async def open(self) -> Writer:
        return MemoryWriter(self)

    async def spill(self) -> Writer | None:
        """A writer into temporary files; None if there can't be one."""
        try:
            if self._spill is None or self._spill.trouble is not None:
                folder = await self.threads.run(SpillFolder)
                self._spill = DirectorySink(folder.path, self.threads, keep=folder)
            return await self._spill.open()
        except StorageError as exc:
            self._trouble = self._trouble or exc
            return None

    def take_back(self, stored: Stored) -> Stored:
        """An image that no temporary file could take counts as held."""
        if stored.held is None:
            return stored
        if self._spill is not None:
            self._trouble = self._trouble or self._spill.trouble
        self.held += stored.size
        return msgspec.structs.replace(stored, held=Held(stored.held.data, self))

    def release(self, size: int) -> None:
        """See `_models.Store`."""
        self.held -= size

    async def aclose(self) -> None:
        self._spill = None


class MemoryWriter:
    """One image on its way; changes to a temporary file when memory is full."""

    __slots__ = ("_chunks", "_file", "_sink", "_size", "_stays", "stored")

    def __init__(self, sink: MemorySink) -> None:
        self._sink = sink
        self._chunks: list[bytes] = []
        self._size = 0
        self._file: Writer | None = None
        self._stays = False  # in memory, as there is no temporary file to be had
        self.stored: Stored | None = None

    async def write(self, data: bytes) -> None:
        over = self._sink.held + len(data) > self._sink.bound
        if over and self._file is None and not self._stays:
            await self._change_to_file()
        if self._file is not None:
            await self._file.write(data)
            return
        self._chunks.append(data)
        self._size += len(data)
        self._sink.held += len(data)

    async def commit(self, stem: str, suffix: str) -> Stored:
        if self._file is not None:
            try:
                await self._file.commit(stem, suffix)
            finally:
                if self._file.stored is not None:
                    self.stored = self._sink.take_back(self._file.stored)
        elif self._size <= _SMALL:
            self._settle()
        else:
            await self._sink.threads.finish(self._settle)
        assert self.stored is not None, "what is lost was raised"
        return self.stored

    def discard(self) -> None:
        self._forget()
        if self._file is not None:
            self._file.discard()

    async def _change_to_file(self) -> None:
        self._file = await self._sink.spill()
        if self._file is None:
            self._stays = True
            return
        chunks = self._chunks
        self._forget()
        for chunk in chunks:
            await self._file.write(chunk)

    def _settle(self) -> None:
        self.stored = in_memory(self._chunks, self._sink)
        self._chunks, self._size = [], 0

    def _forget(self) -> None:
        self._sink.held -= self._size
        self._chunks, self._size = [], 0
