"""Where an image's bytes are. Values only."""

from typing import Protocol

import msgspec


class MemoryCounter(Protocol):
    """Counts the bytes of images in memory."""

    def release(self, size: int) -> None:
        """These bytes are freed."""
        ...


class MemoryBytes(msgspec.Struct, frozen=True, eq=False, gc=False):
    """Bytes in memory; tells their counter when nothing refers to them any more."""

    data: bytes
    counter: MemoryCounter | None = None

    def __del__(self) -> None:
        if self.counter is not None:
            self.counter.release(len(self.data))

    def __repr__(self) -> str:
        return f"MemoryBytes({len(self.data)} bytes)"


class Stored(msgspec.Struct, frozen=True, gc=False):
    """Where an image's bytes are: a file, an object in a store, or memory.

    Attributes:
        size: Length in bytes.
        digest: SHA-256 of the bytes.
        path: The file, or the object's address (`s3://…`), or "" while the bytes are in memory.
        held: The bytes in memory, or None.
        keep: An object that must live as long as the bytes (a folder of temporary files), or None.
    """

    size: int
    digest: bytes
    path: str = ""
    held: MemoryBytes | None = None
    keep: object = None
