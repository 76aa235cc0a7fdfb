"""Where replies are kept whose images cannot be delivered: `unread/` beside the images.

They are paid for, and another version or another dialect may read them. Where there is no folder,
or it is full, they go to the system's folder for temporary files.
"""

import hashlib
import logging
import os
import secrets
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from nbp_async._base.errors import StorageError
from nbp_async._base.folders import make_folder
from nbp_async._sinks.base import Sink
from nbp_async._sinks.directory import DirectorySink
from nbp_async._sinks.file_threads import FileThreads
from nbp_async._sinks.object_sink import ObjectSink
from nbp_async._sinks.part_file import PartFile
from nbp_async._stores.checksums import compute_checksums

log = logging.getLogger("nbp_async")

UNREAD = "unread"  # folder of a run, or part of the names in its store
SUFFIX = ".reply"
_SMALL = 64 * 1024  # bytes that go into the cache of a local disk in less than a millisecond


Chunks = Callable[[], Iterable[bytes]]
"""Gives the bytes, from their beginning each time."""


class UnreadPlace(Protocol):
    """A place for such replies.

    Attributes:
        threads: Do the work on files.
        spool_folder: Where replies are while they arrive; None for the system's own folder.
    """

    threads: FileThreads
    spool_folder: str | None

    async def keep(self, stem: str, size: int, chunks: Chunks) -> str:
        """Keep about `size` bytes, and return where they are; "" if that is not possible.

        Never raises.
        """
        ...


def unread_place(sink: Sink, threads: FileThreads) -> UnreadPlace:
    """The place beside the images of this sink."""
    if isinstance(sink, DirectorySink):
        return UnreadFolder(sink.folder, threads, shared=sink.shared)
    if isinstance(sink, ObjectSink):
        return UnreadObjects(sink, threads)
    return UnreadFolder(None, threads)


class UnreadFolder:
    """Files in `unread/` of the folder; temporary files where it is None, or cannot take them."""

    def __init__(self, folder: str | None, threads: FileThreads, *, shared: bool = False) -> None:
        self.threads = threads
        self.spool_folder = folder
        self._shared = shared

    async def keep(self, stem: str, size: int, chunks: Chunks) -> str:
        if self.spool_folder is None and size <= _SMALL:
            return self._keep(stem, chunks)
        return await self.threads.finish(lambda: self._keep(stem, chunks))

    def _keep(self, stem: str, chunks: Chunks) -> str:
        folder, name = self.spool_folder, f"{stem}-{secrets.token_hex(4)}{SUFFIX}"
        try:
            if folder is not None:
                unread = Path(folder, UNREAD)
                make_folder(unread, shared=self._shared)
                return _write(folder, str(unread / name), chunks(), shared=self._shared)
        except OSError as exc:
            log.warning("A reply that cannot be read does not fit beside the images: %s", exc)
        try:
            return _write_temporary(f"nbp-unread-{name}", chunks())
        except OSError as exc:
            log.warning("A reply that cannot be read was not kept: %s", exc)
            return ""


def _write(folder: str, path: str, chunks: Iterable[bytes], *, shared: bool) -> str:
    part = PartFile(folder, shared=shared)
    try:
        for chunk in chunks:
            part.append([chunk])
        part.publish(path)
    except BaseException:
        part.remove()
        raise
    return path


def _write_temporary(name: str, chunks: Iterable[bytes]) -> str:
    """A file that its owner alone can read; it would not outlive a power cut, so no fsync."""
    path = str(Path(tempfile.gettempdir(), name))
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(fd, "wb") as file:  # noqa: PTH123  the descriptor has the mode
            file.writelines(chunks)
    except BaseException:
        Path(path).unlink(missing_ok=True)
        raise
    return path


class UnreadObjects:
    """Objects under `unread/` of the store; files where the store cannot take them."""

    spool_folder: str | None = None

    def __init__(self, sink: ObjectSink, threads: FileThreads) -> None:
        self.threads = threads
        self._sink = sink

    async def keep(self, stem: str, size: int, chunks: Chunks) -> str:
        data = await self.threads.run(lambda: b"".join(chunks()))
        address = self._sink.address.below(f"{UNREAD}/{stem}-{secrets.token_hex(4)}{SUFFIX}")
        digest = hashlib.sha256(data).digest()
        try:
            bucket = await self._sink.buckets.open(address)
            checksums = await self.threads.run(lambda: compute_checksums(data, digest))
            await bucket.put(address.path, data, "application/octet-stream", checksums)
        except StorageError as exc:
            log.warning("A reply that cannot be read is kept here instead of its store: %s", exc)
            return await UnreadFolder(None, self.threads).keep(stem, size, lambda: [data])
        return str(address)
