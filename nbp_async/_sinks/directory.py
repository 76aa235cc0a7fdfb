"""Images in a folder: a temporary file, fsync, then one rename.

A name holds the image's place in the run and the start of its hash, nothing that a vendor or a
prompt can choose. Until the rename there is only a dot-file, which a later run may delete. Where
the disk fails, the image goes on in memory: it is paid for.
"""

import asyncio
import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

from nbp_async._errors import StorageError
from nbp_async._models import Stored
from nbp_async._sinks.draft import Draft, delete_left_over
from nbp_async._sinks.pieces import in_memory
from nbp_async._sinks.threads import FileThreads, storage_error, unusable

_FLUSH = 768 * 1024  # bytes of an image that are gathered for one visit to a thread
_LEAST = 128 * 1024  # bytes that are enough for one where many images wait; it costs about 0.1 ms
_TOGETHER = 8 * 1024 * 1024  # bytes of all images from which on many wait
_PASSING = frozenset({errno.EMFILE, errno.ENFILE})  # over as soon as other files are closed
_PAUSES = (0.1, 0.3, 0.6, 1.0)  # seconds between tries of what may pass


class DirectorySink:
    """Keep each image as a file in `folder`, which is made if it is missing."""

    def __init__(self, folder: str | Path, threads: FileThreads, *, keep: object = None) -> None:
        self.folder = os.path.abspath(folder)  # noqa: PTH100  resolving links would change what the user named
        self.threads = threads
        self.keep = keep
        self._made = False
        self.trouble: StorageError | None = None
        self.waiting = 0  # bytes of all its images that no visit to a thread was made for yet

    async def open(self) -> "DirectoryWriter":
        if not self._made:
            await self.threads.run(self._make)
            self._made = True
        return DirectoryWriter(self)

    async def clean(self, wall_clock: Callable[[], float] = time.time) -> int:
        """Delete the temporary files of processes that are gone; returns how many. Never raises.

        Those of a process that lives are in use, by whatever client it is.
        """
        return await self.threads.run(lambda: delete_left_over(self.folder, wall_clock()))

    def troubled(self, exc: OSError) -> None:
        """An image could not be written. The first reason is remembered."""
        if self.trouble is None:
            self.trouble = storage_error(exc)

    def _make(self) -> None:
        """Make the folder, and find out whether it can be written to."""
        try:
            os.makedirs(self.folder, exist_ok=True)  # noqa: PTH103
            Draft(self.folder).remove()
        except OSError as exc:
            raise unusable(self.folder, exc) from exc

    async def aclose(self) -> None:
        """Nothing is held open between two images."""


class DirectoryWriter:
    """One image on its way into the folder. Small ones cost a single visit to a thread.

    Its bytes are in the draft and, after those, in `_pieces`; once a write has failed they are all
    in `_pieces`, and what is written from then on is a copy.
    """

    def __init__(self, sink: DirectorySink) -> None:
        self._sink = sink
        self._threads = sink.threads
        self._pieces: list[bytes] = []
        self._waiting = 0  # bytes that no visit to a thread was made for yet
        self._draft: Draft | None = None
        self._problem: OSError | None = None  # the last one; from the first on, all is in memory
        self._lost = False
        self.stored: Stored | None = None

    async def write(self, data: bytes) -> None:
        self._pieces.append(data)
        self._waiting += len(data)
        self._sink.waiting += len(data)
        if self._waiting < (_FLUSH if self._sink.waiting < _TOGETHER else _LEAST):
            return
        self._hand_over()
        if self._problem is None:
            await self._threads.run(self._flush)

    async def commit(self, stem: str, suffix: str) -> Stored:
        self._hand_over()
        try:
            await self._publish(stem, suffix)
        finally:
            if self.stored is None and not self._lost:  # no file could be made, or we are cancelled
                await self._threads.finish(self._settle_in_memory)
        assert self.stored is not None, "what is lost was raised"
        return self.stored

    def discard(self) -> None:
        self._hand_over()
        self._pieces.clear()
        if self._draft is not None:
            self._draft.remove()
            self._draft = None

    async def _publish(self, stem: str, suffix: str) -> None:
        """Make it a file: tried once more after a failure, and a few times where that may pass."""
        pauses = iter(_PAUSES)
        last = self._problem is not None
        while problem := await self._threads.finish(lambda: self._finish(stem, suffix)):
            pause = next(pauses, None) if problem.errno in _PASSING else None
            if pause is not None:
                await asyncio.sleep(pause)
            elif last:
                return
            else:
                last = True

    def _hand_over(self) -> None:
        """What waits is the thread's from here on, or nobody's."""
        self._sink.waiting -= self._waiting
        self._waiting = 0

    def _flush(self) -> None:
        try:
            if self._draft is None:
                self._draft = Draft(self._sink.folder)
            self._draft.append(self._pieces)
        except OSError as exc:
            self._hold(exc)

    def _finish(self, stem: str, suffix: str) -> OSError | None:
        """One try to make it a file; why not, if so: then it is in memory."""
        try:
            if self._draft is None:
                self._draft = Draft(self._sink.folder)
            self._draft.append(self._pieces if self._problem is None else list(self._pieces))
            draft, digest = self._draft, self._draft.digest()
            path = os.path.join(self._sink.folder, f"{stem}-{digest.hex()[:12]}{suffix}")  # noqa: PTH118
            draft.publish(path)
        except OSError as exc:
            self._hold(exc)
            return exc
        self._draft, self._pieces = None, []
        self.stored = Stored(draft.size, digest, path, None, self._sink.keep)
        return None

    def _hold(self, exc: OSError) -> None:
        """The file will not do. What it has is taken back into memory, unless it is a copy.

        Raises:
            OSError: It can't be read either: the image is lost.
        """
        first = self._problem is None
        self._problem = exc.with_traceback(None)  # whose frames hold us
        if exc.errno not in _PASSING:
            self._sink.troubled(exc)
        draft, self._draft = self._draft, None
        if draft is None:
            return
        try:
            if first:
                self._pieces[:0] = draft.read_back()
        except OSError as unreadable:
            self._lost = True
            self._sink.troubled(unreadable)
            raise
        finally:
            draft.remove()

    def _settle_in_memory(self) -> None:
        if self._problem is not None:
            self._sink.troubled(self._problem)
        self.stored = in_memory(self._pieces)
        self._pieces = []
