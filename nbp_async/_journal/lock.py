"""One process at a time: a lock on a file that the system lets go of when its holder dies."""

import errno
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import IO

from nbp_async._errors import JournalError, RunBusyError

_HELD = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK}  # by somebody else


class RunLock:
    """Holds `path` locked until `release`; who holds it is written in it."""

    def __init__(self, path: Path) -> None:
        try:
            self._file: IO[str] | None = path.open("a+", encoding="utf-8")
        except OSError as exc:
            problem = JournalError(
                f"The run cannot be locked: {path}: {exc.strerror}. Nothing was sent."
            )
        else:
            self._take(path, self._file)
            return
        raise problem

    def release(self) -> None:
        """Let go. Safe to call more than once."""
        if self._file is not None:
            _unlock(self._file)  # closing alone would leave it to a process that was forked off
            self._file.close()
            self._file = None

    def _take(self, path: Path, file: IO[str]) -> None:
        try:
            _lock(file)
        except OSError as exc:
            problem = _why(exc, path, _holder(file))
            file.close()
        else:
            file.seek(0)
            file.truncate()
            about = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}
            file.write(json.dumps(about))
            file.flush()
            return
        raise problem


def _why(exc: OSError, path: Path, holder: int | None) -> JournalError:
    if exc.errno not in _HELD:
        return JournalError(
            f"The run cannot be locked: {path}: {exc.strerror}. Nothing was sent.",
            hint="Some network and shared folders know no locks: use a local disk.",
        )
    return RunBusyError(
        f"Process {holder or '?'} works on this run ({path.parent}). Nothing was sent.",
        pid=holder,
        hint="Wait for it, stop it (Ctrl-C lets what is paid for finish), or use another folder.",
    )


def _holder(file: IO[str]) -> int | None:
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
