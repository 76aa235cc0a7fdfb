"""Images in a folder: a temporary file, fsync, then one rename.

A name holds the image's place in the run and the start of its hash, nothing that a vendor or a
prompt can choose. Until the rename there is only a dot-file, which a later run may delete.
"""

import contextlib
import hashlib
import os
import secrets
from pathlib import Path

from nbp_async._errors import StorageError
from nbp_async._models import Stored
from nbp_async._sinks.threads import FileThreads

_FLUSH = 128 * 1024  # bytes; each visit to a thread costs about 0.1 ms
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_CREATE |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class DirectorySink:
    """Keep each image as a file in `folder`, which is made if it is missing."""

    def __init__(self, folder: str | Path, threads: FileThreads, *, keep: object = None) -> None:
        self.folder = os.path.abspath(folder)  # noqa: PTH100  resolving links would change what the user named
        self._threads = threads
        self._keep = keep
        self._made = False
        self.trouble: StorageError | None = None

    async def open(self) -> "DirectoryWriter":
        if not self._made:
            await self._threads.run(self._make)
            self._made = True
        return DirectoryWriter(self.folder, self._threads, self._keep)

    def _make(self) -> None:
        """Make the folder, and find out whether it can be written to."""
        os.makedirs(self.folder, exist_ok=True)  # noqa: PTH103
        name = os.path.join(self.folder, f".{secrets.token_hex(8)}.part")  # noqa: PTH118
        os.close(os.open(name, _CREATE, 0o666))
        os.unlink(name)  # noqa: PTH108

    async def aclose(self) -> None:
        """Nothing is held open between two images."""


class DirectoryWriter:
    """One image on its way into the folder. Small ones cost a single visit to a thread."""

    def __init__(self, folder: str, threads: FileThreads, keep: object) -> None:
        self._folder = folder
        self._threads = threads
        self._keep = keep
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._fd = -1
        self._temporary = ""
        self._hash = hashlib.sha256()
        self._size = 0

    async def write(self, data: bytes) -> None:
        self._pending.append(data)
        self._pending_size += len(data)
        if self._pending_size >= _FLUSH:
            await self._threads.run(self._flush)

    async def commit(self, stem: str, suffix: str) -> Stored:
        try:
            return await self._threads.run(lambda: self._finish(stem, suffix))
        except StorageError:
            self.discard()
            raise

    def discard(self) -> None:
        self._pending.clear()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._temporary:
            with contextlib.suppress(OSError):  # gone already, or the disk is
                os.unlink(self._temporary)  # noqa: PTH108
            self._temporary = ""

    def _flush(self) -> None:
        if self._fd < 0:
            name = os.path.join(self._folder, f".{secrets.token_hex(8)}.part")  # noqa: PTH118
            self._fd = os.open(name, _CREATE, 0o666)
            self._temporary = name
        pending, self._pending, self._pending_size = self._pending, [], 0
        for data in pending:
            self._hash.update(data)
            self._size += len(data)
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._fd, rest) :]

    def _finish(self, stem: str, suffix: str) -> Stored:
        self._flush()
        os.fsync(self._fd)
        os.close(self._fd)
        self._fd = -1
        digest = self._hash.digest()
        path = os.path.join(self._folder, f"{stem}-{digest.hex()[:12]}{suffix}")  # noqa: PTH118
        os.replace(self._temporary, path)  # noqa: PTH105
        self._temporary = ""
        _sync_folder(self._folder)
        return Stored(self._size, digest, path, None, self._keep)


def _sync_folder(folder: str) -> None:
    """Make the rename itself survive a power cut; Windows has no such call.

    The image is in its place by now: failing here must not take it for lost.
    """
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
