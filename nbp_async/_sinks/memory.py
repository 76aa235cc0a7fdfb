"""Images in memory, up to a bound; above it, in temporary files.

An image counts against the bound as long as anything refers to it (`MemoryBytes` says when that
ends). The folder of temporary files lives as long as any image in it.

    write ──► held + chunk <= bound ──► chunks in memory ──► commit: MemoryBytes
                 │
                 └─ above it ──► the chunks so far, and all later ones, go to a temporary file
                                   │
                                   └─ that fails ──► memory, above the bound; `error` is set
                                                     until enough images are freed
"""

import shutil
import tempfile
import weakref

import msgspec

from nbp_async._base.errors import StorageError
from nbp_async._models.outcomes import MemoryBytes, Stored
from nbp_async._sinks.base import ImageWriter
from nbp_async._sinks.chunks import join_in_memory
from nbp_async._sinks.directory import DirectorySink
from nbp_async._sinks.file_threads import FileThreads

_SMALL = 256 * 1024  # bytes; they are hashed in 0.2 ms, which is not worth a visit to a thread


class SpillFolder:
    """A folder of temporary files, deleted when nothing refers to it any more."""

    __slots__ = ("__weakref__", "path")

    def __init__(self) -> None:
        self.path = tempfile.mkdtemp(prefix="nbp-")
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


class MemorySink:
    """Keeps up to `bound` bytes of images in memory, and the rest in temporary files.

    If those cannot be written, memory takes more than its bound. `error` is set for as long as that
    lasts, and not longer: other calls of the client use the same memory.
    """

    def __init__(self, bound: int, threads: FileThreads) -> None:
        self.bound = bound
        self.held = 0
        self.threads = threads
        self._spill: DirectorySink | None = None
        self._error: StorageError | None = None

    @property
    def error(self) -> StorageError | None:
        if self.held <= self.bound:
            self._error = None
        return self._error

    async def open(self) -> ImageWriter:
        return MemoryWriter(self)

    async def open_spill(self) -> ImageWriter | None:
        """A writer into temporary files; None if they cannot be made."""
        try:
            if self._spill is None or self._spill.error is not None:
                folder = await self.threads.run(SpillFolder)
                self._spill = DirectorySink(folder.path, self.threads, keep=folder)
            return await self._spill.open()
        except StorageError as exc:
            self._error = self._error or exc
            return None

    def count_spilled(self, stored: Stored) -> Stored:
        """Count an image that was to be a temporary file, but had to stay in memory."""
        if stored.held is None:
            return stored
        if self._spill is not None:
            self._error = self._error or self._spill.error
        self.held += stored.size
        return msgspec.structs.replace(stored, where=MemoryBytes(stored.held.data, self))

    def release(self, size: int) -> None:
        """See `MemoryCounter`."""
        self.held -= size

    async def aclose(self) -> None:
        self._spill = None


class MemoryWriter:
    """One image that is being written; it moves to a temporary file when memory is full."""

    __slots__ = ("_chunks", "_file", "_must_stay", "_sink", "_size", "stored")

    def __init__(self, sink: MemorySink) -> None:
        self._sink = sink
        self._chunks: list[bytes] = []
        self._size = 0
        self._file: ImageWriter | None = None
        self._must_stay = False  # in memory, since temporary files cannot be made
        self.stored: Stored | None = None

    async def write(self, data: bytes) -> None:
        is_full = self._sink.held + len(data) > self._sink.bound
        if is_full and self._file is None and not self._must_stay:
            await self._move_to_file()
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
                    self.stored = self._sink.count_spilled(self._file.stored)
        elif self._size <= _SMALL:
            self._join()
        else:
            await self._sink.threads.finish(self._join)
        assert self.stored is not None, "a lost image has raised"
        return self.stored

    def discard(self) -> None:
        self._drop_chunks()
        if self._file is not None:
            self._file.discard()

    async def _move_to_file(self) -> None:
        self._file = await self._sink.open_spill()
        if self._file is None:
            self._must_stay = True
            return
        chunks = self._chunks
        self._drop_chunks()
        for chunk in chunks:
            await self._file.write(chunk)

    def _join(self) -> None:
        self.stored = join_in_memory(self._chunks, self._sink)
        self._chunks, self._size = [], 0

    def _drop_chunks(self) -> None:
        self._sink.held -= self._size
        self._chunks, self._size = [], 0
