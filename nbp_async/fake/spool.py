"""Bytes that are handed in piece by piece, and may be gigabytes: few of them stay in memory."""

import hashlib
import tempfile
from collections.abc import Iterator

_IN_MEMORY = 1024 * 1024  # bytes; more are in a file without a name
_PIECE = 64 * 1024  # bytes


class Spool:
    """What came so far. It may be read while more comes, by several at once.

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
        """All of it from its beginning, as a file's content is given."""
        at = 0
        while at < self.size:
            self._file.seek(at)
            piece = self._file.read(_PIECE)
            at += len(piece)
            yield (piece,)

    def close(self) -> None:
        """Forget it."""
        self.size = 0
        self._file.close()
