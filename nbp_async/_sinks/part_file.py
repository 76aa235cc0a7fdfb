"""A temporary file that becomes an image's file by one rename. Blocks: for use in a thread.

write ──► fsync ──► rename ──► fsync of the folder
  │          │         │               └─ the name itself survives a power cut
  │          │         └─ visible from here on, whole
  │          └─ the bytes are on the disk: renamed earlier, a power cut could leave an empty
  │             file under the image's name
  └─ `.PID-RANDOM.part`, hidden: the name says which process writes it, so that a later run can
     delete what a killed one left
"""

import contextlib
import errno
import hashlib
import os
import re
import secrets

from nbp_async._base.folders import file_mode, sync_folder
from nbp_async._sinks.chunks import write_some

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL
_CREATE |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_READ_BYTES = 1024 * 1024
_NAME = re.compile(r"\.(?:([0-9]{1,10})-)?[0-9a-f]{16}\.part")
_STALE_AFTER = 86400.0  # seconds, for files whose process is not known


class PartFile:
    """One temporary file. Until it is published, its bytes can be read back."""

    def __init__(self, folder: str, *, shared: bool = False) -> None:
        name = f".{os.getpid()}-{secrets.token_hex(8)}.part"
        self._path = os.path.join(folder, name)  # noqa: PTH118
        self._fd = os.open(self._path, _CREATE, file_mode(shared=shared))
        self._hash = hashlib.sha256()
        self.size = 0

    def append(self, chunks: list[bytes]) -> None:
        """Write these. Written bytes leave the list, also when an OSError is raised."""
        while chunks:
            for chunk in write_some(self._fd, chunks):
                self._hash.update(chunk)
                self.size += len(chunk)

    def read_back(self) -> list[bytes]:
        """What was appended. It can be read on a full disk, too, and after the name was deleted."""
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        os.lseek(self._fd, 0, os.SEEK_SET)
        chunks: list[bytes] = []
        missing = self.size
        while missing:
            chunk = os.read(self._fd, min(missing, _READ_BYTES))
            if not chunk:
                raise OSError(errno.EIO, os.strerror(errno.EIO), self._path)
            chunks.append(chunk)
            missing -= len(chunk)
        return chunks

    def digest(self) -> bytes:
        """SHA-256 of what was appended."""
        return self._hash.digest()

    def publish(self, path: str) -> None:
        """Make it safe, then visible under this name: see the drawing above."""
        os.fsync(self._fd)
        if os.name != "posix":  # Windows cannot rename an open file
            self._close()
        os.replace(self._path, path)  # noqa: PTH105
        self._close()
        sync_folder(os.path.dirname(path))  # noqa: PTH120

    def publish_new(self, path: str) -> bool:
        """The same, unless there is a file of this name: then it returns False."""
        os.fsync(self._fd)
        try:
            os.link(self._path, path)  # unlike a rename, it replaces nothing
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links
            if os.path.lexists(path):
                return False
            self.publish(path)
            return True
        self.remove()
        sync_folder(os.path.dirname(path))  # noqa: PTH120
        return True

    def remove(self) -> None:
        """Delete it."""
        self._close()
        with contextlib.suppress(OSError):  # the file is gone already, or the disk is
            os.unlink(self._path)  # noqa: PTH108

    def _close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            with contextlib.suppress(OSError):  # fsync has reported any error before
                os.close(fd)


def delete_stale_files(folder: str, now: float) -> int:
    """Delete what dead processes have left in `folder`; returns how many files. Never raises.

    Where we cannot know whether the process lives, files of the last day stay. `now` is in seconds
    since 1970.
    """
    deleted = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            name = _NAME.fullmatch(entry.name)
            with contextlib.suppress(OSError):
                if name and entry.is_file(follow_symlinks=False):
                    writer = int(name[1]) if name[1] and os.name == "posix" else None
                    old = now - entry.stat(follow_symlinks=False).st_mtime > _STALE_AFTER
                    if old if writer is None else not _is_alive(writer):
                        os.unlink(entry.path)  # noqa: PTH108
                        deleted += 1
    return deleted


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it lives, and belongs to another user
        return True
    return True
