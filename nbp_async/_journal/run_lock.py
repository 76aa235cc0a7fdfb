"""One process at a time: a lock on a file, which the system releases when its holder dies."""

import errno
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import IO

from nbp_async._base.errors import JournalError, RunBusyError
from nbp_async._base.folders import file_mode
from nbp_async._journal.base import JOURNAL, LOCK

_HELD = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK}  # by somebody else


def lock_path(journal: Path) -> Path:
    """The file that is locked while a process works on the run of this journal."""
    return journal.with_name(LOCK if journal.name == JOURNAL else f"{journal.name}.lock")


class RunLock:
    """Holds `path` locked until `release`; the file names its holder."""

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        try:
            fd = os.open(path, flags, file_mode(shared=shared))
            self._file: IO[str] | None = os.fdopen(fd, "a+", encoding="utf-8")
        except OSError as exc:
            error = JournalError(
                f"The run cannot be locked: {path}: {exc.strerror}. Nothing was sent."
            )
        else:
            self._acquire(path, self._file)
            return
        raise error

    def release(self) -> None:
        """Unlock. Safe to call more than once."""
        if self._file is not None:
            _unlock(self._file)  # closing it would not unlock it in a forked process
            self._file.close()
            self._file = None

    def _acquire(self, path: Path, file: IO[str]) -> None:
        try:
            _lock(file)
        except OSError as exc:
            error = _lock_error(exc, path, _read_holder(file))
            file.close()
        else:
            file.seek(0)
            file.truncate()
            holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}
            file.write(json.dumps(holder))
            file.flush()
            return
        raise error


def _lock_error(exc: OSError, path: Path, holder: int | None) -> JournalError:
    if exc.errno not in _HELD:
        return JournalError(
            f"The run cannot be locked: {path}: {exc.strerror}. Nothing was sent.",
            hint="Some network and shared folders do not support locks: use a local disk.",
        )
    return RunBusyError(
        f"Process {holder or '?'} is working on this run ({path.parent}). Nothing was sent.",
        pid=holder,
        hint="Wait for it, stop it (Ctrl-C lets paid requests finish), or use another folder.",
    )


def _read_holder(file: IO[str]) -> int | None:
    file.seek(0)
    try:
        return int(json.loads(file.read(1000))["pid"])
    except (ValueError, KeyError, TypeError, OSError):
        return None


def _lock(file: IO[str]) -> None:
    """Lock it, or raise OSError at once."""
    if sys.platform == "win32":
        import msvcrt

        file.seek(1 << 20)  # far behind the text, which others must be able to read
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _unlock(file: IO[str]) -> None:
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(file, fcntl.LOCK_UN)
