"""A temporary file that becomes an image's file, in one rename. Blocks: for use in a thread.

Its name tells which process writes it, so that a later run can delete what a killed one left.
"""

import contextlib
import errno
import hashlib
import os
import re
import secrets

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL
_CREATE |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_READ = 1024 * 1024  # bytes
_MOST_PIECES = 512  # in one call; systems take 1024, and some count differently
_NAME = re.compile(r"\.(?:([0-9]{1,10})-)?[0-9a-f]{16}\.part")
_OLD = 86400.0  # seconds after which a file is left over, whoever wrote it


class Draft:
    """One temporary file. What was appended can be read back until it is published."""

    def __init__(self, folder: str) -> None:
        name = f".{os.getpid()}-{secrets.token_hex(8)}.part"
        self._path = os.path.join(folder, name)  # noqa: PTH118
        self._fd = os.open(self._path, _CREATE, 0o666)
        self._hash = hashlib.sha256()
        self.size = 0

    def append(self, pieces: list[bytes]) -> None:
        """Write these; what is written has left the list, even where an OSError is raised."""
        while pieces:
            done = _write(self._fd, pieces)
            self.size += done
            while pieces and done >= len(pieces[0]):
                piece = pieces.pop(0)
                self._hash.update(piece)
                done -= len(piece)
            if done:  # the disk is filling up
                self._hash.update(pieces[0][:done])
                pieces[0] = pieces[0][done:]

    def read_back(self) -> list[bytes]:
        """What was appended. A full disk can still be read, and so can a file without a name."""
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        os.lseek(self._fd, 0, os.SEEK_SET)
        pieces: list[bytes] = []
        missing = self.size
        while missing:
            piece = os.read(self._fd, min(missing, _READ))
            if not piece:
                raise OSError(errno.EIO, os.strerror(errno.EIO), self._path)
            pieces.append(piece)
            missing -= len(piece)
        return pieces

    def digest(self) -> bytes:
        """SHA-256 of what was appended."""
        return self._hash.digest()

    def publish(self, path: str) -> None:
        """Make it safe, then visible under this name."""
        os.fsync(self._fd)
        if os.name != "posix":  # Windows moves no open file
            self._close()
        os.replace(self._path, path)  # noqa: PTH105
        self._close()
        _sync_folder(os.path.dirname(path))  # noqa: PTH120

    def remove(self) -> None:
        """Leave no trace of it."""
        self._close()
        with contextlib.suppress(OSError):  # gone already, or the disk is
            os.unlink(self._path)  # noqa: PTH108

    def _close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            with contextlib.suppress(OSError):  # nothing is told here that fsync did not tell
                os.close(fd)


def _write(fd: int, pieces: list[bytes]) -> int:
    """Write as many of them as one call takes, in one call where the system has it."""
    if hasattr(os, "writev"):
        return os.writev(fd, pieces[:_MOST_PIECES])
    return os.write(fd, pieces[0])


def delete_left_over(folder: str, now: float) -> int:
    """Delete what processes that are gone have left in `folder`; returns how many files.

    Where a process cannot be asked for, and where the name tells none, files of the last day stay.
    Failing at it is no harm: they are small change on the disk. `now` is in seconds since 1970.
    """
    deleted = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            name = _NAME.fullmatch(entry.name)
            with contextlib.suppress(OSError):
                if name and entry.is_file(follow_symlinks=False):
                    writer = int(name[1]) if name[1] and os.name == "posix" else None
                    old = now - entry.stat(follow_symlinks=False).st_mtime > _OLD
                    if old if writer is None else not _lives(writer):
                        os.unlink(entry.path)  # noqa: PTH108
                        deleted += 1
    return deleted


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is another user's
        return True
    return True


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
