"""A sink that keeps nothing: for tests and benchmarks of what comes before it."""

import hashlib

from nbp_async._models import Stored


class NowhereSink:
    """Counts images and bytes, and drops them: the images that come back have no bytes.

    It uses no thread and no disk, so it works in virtual time whatever the size of images.

    Attributes:
        images: How many were committed.
        bytes: How long they were together.
    """

    trouble = None

    def __init__(self) -> None:
        self.images = 0
        self.bytes = 0

    async def open(self) -> "NowhereWriter":
        return NowhereWriter(self)

    async def aclose(self) -> None:
        """Nothing is held."""


class NowhereWriter:
    """See `_sinks.base.Writer`."""

    def __init__(self, sink: NowhereSink) -> None:
        self._sink = sink
        self._hash = hashlib.sha256()
        self._size = 0
        self.stored: Stored | None = None

    async def write(self, data: bytes) -> None:
        self._hash.update(data)
        self._size += len(data)

    async def commit(self, stem: str, suffix: str) -> Stored:  # noqa: ARG002  it has no name
        self._sink.images += 1
        self._sink.bytes += self._size
        self.stored = Stored(self._size, self._hash.digest(), "")
        return self.stored

    def discard(self) -> None:
        """There is nothing to leave."""
