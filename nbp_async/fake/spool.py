"""Bytes that arrive piece by piece, and may be gigabytes: few of them stay in memory."""

import hashlib
import tempfile
from collections.abc import Iterator

_IN_MEMORY = 1024 * 1024  # bytes; more go to a file without a name
_PIECE = 64 * 1024  # bytes


class Spool:
    """The bytes that have arrived. Several readers may read while more arrive.

    Attributes:
        size: Bytes.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  closed by `close`
        self._sum = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> bytes:
        return self._sum.digest()

    def append(self, data: bytes) -> None:
        self._file.seek(self.size)
        self._file.write(data)
        self._sum.update(data)
        self.size += len(data)

    def content(self) -> Iterator[tuple[bytes]]:
        """All of it from the beginning, in the form of `batch_files.StoredFile.content`."""
        at = 0
        while at < self.size:
            self._file.seek(at)
            piece = self._file.read(_PIECE)
            at += len(piece)
            yield (piece,)

    def close(self) -> None:
        """Drop the bytes."""
        self.size = 0
        self._file.close()
