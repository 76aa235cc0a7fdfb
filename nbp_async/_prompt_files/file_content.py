"""The bytes of a file, which can be read again and again: to count, to check, and to draw from.

A file that is edited during a run of hours must not change the prompts of that run. Up to 64 MiB
are kept in memory, and so is what can be read once only, as stdin. Of a larger file each reading
makes sure that it is still the same.
"""

import io
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from nbp_async._base.errors import ConfigError
from nbp_async._prompt_files.file_rows import not_understood

STDIN = "-"
_MOST_KEPT = 64 * 2**20  # bytes
_CHUNK = 2**20
Stamp = tuple[int, int, int, int]


class FileContent:
    """The content of a file, or of stdin if `path` is `-`.

    Raises:
        ConfigError: It cannot be read, or is empty.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._data: bytes | None = None
        self._stamp: Stamp | None = None
        try:
            if path == STDIN:
                self._data = sys.stdin.buffer.read()
            else:
                with self._path.open("rb") as file:
                    self._take(file)
        except OSError as exc:
            raise not_understood(f"cannot be read: {exc.strerror or exc}.") from exc
        if self._data == b"":
            raise not_understood("is empty.")

    def _take(self, file: BinaryIO) -> None:
        state = os.fstat(file.fileno())
        if stat.S_ISREG(state.st_mode) and state.st_size > _MOST_KEPT:
            self._stamp = _stamp_of(file)
        else:
            self._data = file.read()

    def open(self) -> BinaryIO:
        """The bytes from the beginning."""
        if self._data is not None:
            return io.BytesIO(self._data)
        try:
            file = self._path.open("rb")
        except OSError as exc:
            raise not_understood(f"cannot be read: {exc.strerror or exc}.") from exc
        try:
            self.check_unchanged(file)
        except ConfigError:
            file.close()
            raise
        return file

    @property
    def source(self) -> Path | bytes:
        """The bytes, or the file that has them."""
        if self._data is None:
            self.open().close()  # it is still the same
            return self._path
        return self._data

    def check_unchanged(self, file: BinaryIO) -> None:
        """Make sure that an open file is still what was read first.

        Raises:
            ConfigError: It was changed meanwhile.
        """
        if self._stamp is not None and _stamp_of(file) != self._stamp:
            raise not_understood(
                "was changed after it was read.", hint="Read it again, in a new call."
            )

    def chunks(self) -> Iterator[bytes]:
        """The bytes in pieces."""
        with self.open() as file:
            while chunk := file.read(_CHUNK):
                yield chunk


def _stamp_of(file: BinaryIO) -> Stamp:
    state = os.fstat(file.fileno())
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns
