"""A sink that keeps nothing: for tests and benchmarks of everything before it."""

import hashlib

from nbp_async._base.errors import StorageError
from nbp_async._models.outcomes import Stored


class NowhereSink:
    """Counts images and bytes and drops them: the batch's images have no bytes.

    It uses no thread and no disk, so it works in virtual time with images of any size.

    Attributes:
        images: How many were committed.
        bytes: Their sizes, added up.
    """

    error: StorageError | None = None

    def __init__(self) -> None:
        self.images = 0
        self.bytes = 0

    async def open(self) -> "NowhereWriter":
        return NowhereWriter(self)

    async def aclose(self) -> None:
        """Nothing is held."""


class NowhereWriter:
    """See `_sinks.base.ImageWriter`."""

    def __init__(self, sink: NowhereSink) -> None:
        self._sink = sink
        self._hash = hashlib.sha256()
        self._size = 0
        self.stored: Stored | None = None

    async def write(self, data: bytes) -> None:
        self._hash.update(data)
        self._size += len(data)

    async def commit(self, stem: str, suffix: str) -> Stored:  # noqa: ARG002  nothing gets a name
        self._sink.images += 1
        self._sink.bytes += self._size
        self.stored = Stored(self._size, self._hash.digest(), "")
        return self.stored

    def discard(self) -> None:
        """Nothing is kept."""
