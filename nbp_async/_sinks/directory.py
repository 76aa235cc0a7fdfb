"""Images in a folder: a temporary file, fsync, then one rename (see `part_file.py`).

A name holds the image's place in the run and the start of its hash, nothing that a vendor or a
prompt can choose. If the disk fails, the image is kept in memory, for it is paid for:

    write:   chunks ──► part file                    (one visit to a thread for 768 KiB)
                           │ OSError
    failed:  chunks ◄── read back                    from now on the chunks in memory are the image
                │
    commit:     ├──► new part file, a copy ──► rename    tried once more: the disk may be free again
                └──► still failing: the image stays in memory, and the sink has an error
"""

import asyncio
import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

from nbp_async._base.errors import StorageError
from nbp_async._base.folders import make_folder
from nbp_async._models.outcomes import Stored
from nbp_async._sinks.chunks import join_in_memory
from nbp_async._sinks.file_threads import FileThreads, storage_error, unusable_folder
from nbp_async._sinks.part_file import PartFile, delete_stale_files
from nbp_async._stores.stored import SpilledFile

_FLUSH_BYTES = 768 * 1024  # of an image that are gathered for one visit to a thread (0.1 ms)
_FLUSH_BYTES_UNDER_LOAD = 128 * 1024  # the same while many images wait, to bound the memory
_LOAD_BYTES = 8 * 1024 * 1024  # of all images that wait, above which there is load
_TRANSIENT = frozenset({errno.EMFILE, errno.ENFILE})  # over as soon as other files are closed
_PAUSES = (0.1, 0.3, 0.6, 1.0)  # seconds between tries after a transient error


class DirectorySink:
    """Keeps each image as a file in `folder`, which is made if it is missing.

    Args:
        folder: The folder.
        threads: Do the work on files.
        keep: What must live as long as any of the images.
        shared: Other users may read what is made, as far as the umask lets them.
    """

    def __init__(
        self,
        folder: str | Path,
        threads: FileThreads,
        *,
        keep: object = None,
        shared: bool = False,
    ) -> None:
        self.folder = os.path.abspath(folder)  # noqa: PTH100  resolving links would change what the user named
        self.threads = threads
        self.keep = keep
        self.shared = shared
        self._is_ready = False
        self.error: StorageError | None = None
        self.waiting = 0  # bytes of all its images that were not given to a thread yet

    async def open(self) -> "DirectoryWriter":
        if not self._is_ready:
            await self.threads.run(self.make_ready)
            self._is_ready = True
        return DirectoryWriter(self)

    async def clean(self, wall_clock: Callable[[], float] = time.time) -> int:
        """Delete the temporary files of dead processes; returns how many. Never raises.

        Those of living processes are in use, by this client or another.
        """
        return await self.threads.run(lambda: delete_stale_files(self.folder, wall_clock()))

    def record_error(self, exc: OSError) -> None:
        """Record that an image could not be written. The first reason is kept."""
        if self.error is None:
            self.error = storage_error(exc)

    def new_part(self) -> PartFile:
        """A temporary file in the folder. Blocks."""
        return PartFile(self.folder, shared=self.shared)

    def publish(self, part: PartFile, stem: str, suffix: str) -> str:
        """Make it safe and visible; returns its path. Blocks."""
        name = f"{stem}-{part.digest().hex()[:12]}{suffix}"
        path = os.path.join(self.folder, name)  # noqa: PTH118
        part.publish(path)
        return path

    def make_ready(self) -> None:
        """Make the folder, and check that it can be written to."""
        try:
            make_folder(self.folder, shared=self.shared)
            self.new_part().remove()
        except OSError as exc:
            raise unusable_folder(self.folder, exc) from exc

    async def aclose(self) -> None:
        """Nothing is open between two images."""


class DirectoryWriter:
    """One image that is written into the folder. Small ones cost a single visit to a thread.

    Its bytes are in the part file and, after those, in `_chunks`. Once a write has failed they are
    all in `_chunks`, and part files that are written from then on are copies.
    """

    def __init__(self, sink: DirectorySink) -> None:
        self._sink = sink
        self._threads = sink.threads
        self._chunks: list[bytes] = []
        self._waiting = 0  # bytes that were not given to a thread yet
        self._part: PartFile | None = None
        self._failure: OSError | None = None  # the last one; from the first on, all is in memory
        self._is_lost = False
        self.stored: Stored | None = None

    async def write(self, data: bytes) -> None:
        self._chunks.append(data)
        self._waiting += len(data)
        self._sink.waiting += len(data)
        has_load = self._sink.waiting >= _LOAD_BYTES
        if self._waiting < (_FLUSH_BYTES_UNDER_LOAD if has_load else _FLUSH_BYTES):
            return
        self._stop_waiting()
        if self._failure is None:
            await self._threads.run(self._flush)

    async def commit(self, stem: str, suffix: str) -> Stored:
        self._stop_waiting()
        try:
            await self._publish(stem, suffix)
        finally:
            if self.stored is None and not self._is_lost:  # no file could be made, or cancelled
                await self._threads.finish(self._keep_in_memory)
        assert self.stored is not None, "a lost image has raised"
        return self.stored

    def discard(self) -> None:
        self._stop_waiting()
        self._chunks.clear()
        if self._part is not None:
            self._part.remove()
            self._part = None

    async def _publish(self, stem: str, suffix: str) -> None:
        """Make it a file: try once more after a failure, and a few times if it is transient."""
        pauses = iter(_PAUSES)
        is_last_try = self._failure is not None
        while failure := await self._threads.finish(lambda: self._try_publish(stem, suffix)):
            pause = next(pauses, None) if failure.errno in _TRANSIENT else None
            if pause is not None:
                await asyncio.sleep(pause)
            elif is_last_try:
                return
            else:
                is_last_try = True

    def _stop_waiting(self) -> None:
        """Its bytes go to a thread now, or nowhere: they do not count as waiting any more."""
        self._sink.waiting -= self._waiting
        self._waiting = 0

    def _flush(self) -> None:
        try:
            if self._part is None:
                self._part = self._sink.new_part()
            self._part.append(self._chunks)
        except OSError as exc:
            self._fall_back(exc)

    def _try_publish(self, stem: str, suffix: str) -> OSError | None:
        """Try once to make it a file; returns the error if that fails: then it is in memory."""
        try:
            if self._part is None:
                self._part = self._sink.new_part()
            self._part.append(self._chunks if self._failure is None else list(self._chunks))
            part, digest = self._part, self._part.digest()
            path = self._sink.publish(part, stem, suffix)
        except OSError as exc:
            self._fall_back(exc)
            return exc
        self._part, self._chunks = None, []
        keep = self._sink.keep
        where = path if keep is None else SpilledFile(path, keep)
        self.stored = Stored(part.size, digest, where)
        return None

    def _fall_back(self, exc: OSError) -> None:
        """Give the part file up. Its bytes are read back into memory, unless it is a copy.

        Raises:
            OSError: It cannot be read back: the image is lost.
        """
        is_first = self._failure is None
        self._failure = exc.with_traceback(None)  # its frames would keep this image in memory
        if exc.errno not in _TRANSIENT:
            self._sink.record_error(exc)
        part, self._part = self._part, None
        if part is None:
            return
        try:
            if is_first:
                self._chunks[:0] = part.read_back()
        except OSError as unreadable:
            self._is_lost = True
            self._sink.record_error(unreadable)
            raise
        finally:
            part.remove()

    def _keep_in_memory(self) -> None:
        if self._failure is not None:
            self._sink.record_error(self._failure)
        self.stored = join_in_memory(self._chunks)
        self._chunks = []
