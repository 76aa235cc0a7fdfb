"""Files without a name that are written again and again.

A new file costs more than what is written into it: the system finds and clears its pages, and takes
them back when it is deleted. In a file that is written over, 8 MB are there in a millisecond.
"""

import tempfile
from threading import Lock
from typing import IO

_MOST_IDLE = 8
_LARGEST_IDLE = 64 * 1024 * 1024  # bytes that an idle file may keep of the disk


class SpoolFiles:
    """Gives out such files, and takes them back. Any thread may call it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._idle: list[tuple[str | None, IO[bytes]]] = []  # the latest is the last

    def take(self, folder: str | None) -> IO[bytes]:
        """A file on the disk of this folder, at its beginning; None for the system's own. Blocks.

        What is in it is of an earlier use: its user counts what they write.

        Raises:
            OSError: It cannot be made.
        """
        with self._lock:
            for place in range(len(self._idle) - 1, -1, -1):
                if self._idle[place][0] == folder:
                    file = self._idle.pop(place)[1]
                    file.seek(0)
                    return file
        return tempfile.TemporaryFile(dir=folder, buffering=0)

    def give_back(self, folder: str | None, file: IO[bytes], size: int) -> None:
        """It is not needed any more; `size` bytes were written into it."""
        with self._lock:
            if size <= _LARGEST_IDLE:
                self._idle.append((folder, file))
                if len(self._idle) <= _MOST_IDLE:
                    return
                file = self._idle.pop(0)[1]
        file.close()

    def close(self) -> None:
        """Close those that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, file in idle:
            file.close()
