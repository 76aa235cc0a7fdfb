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


class SpilledFile(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A temporary file, and its folder, which is deleted when nothing refers to it any more."""

    path: str
    folder: object


class FreedMemory(msgspec.Struct, frozen=True, gc=False):
    """The memory of a process that has ended."""


class Stored(msgspec.Struct, frozen=True, gc=False):
    """Where an image's bytes are: a file, an object in a store, or memory.

    Attributes:
        size: Length in bytes.
        digest: SHA-256 of the bytes.
        where: The file, or the object's address (`s3://…`); a temporary file; the bytes in memory;
            memory that is gone; "" where a sink keeps them that gives no address, or where nothing
            but a link was kept.
    """

    size: int
    digest: bytes
    where: str | SpilledFile | MemoryBytes | FreedMemory = ""

    @property
    def path(self) -> str:
        """The file, or the object's address, or "" while the bytes are in memory."""
        if isinstance(self.where, str):
            return self.where
        return self.where.path if isinstance(self.where, SpilledFile) else ""

    @property
    def held(self) -> MemoryBytes | None:
        """The bytes in memory, or None."""
        return self.where if isinstance(self.where, MemoryBytes) else None

    @property
    def was_in_memory(self) -> bool:
        """The bytes are, or were, in memory alone."""
        return isinstance(self.where, MemoryBytes | FreedMemory)

    @property
    def whereabouts(self) -> str:
        """Where bytes are that have no address, after "they were"."""
        if self.held is not None:
            return "in memory"
        if self.was_in_memory:
            return "in the memory of a process that has ended"
        return "given to the call's own sink"

    @property
    def is_temporary(self) -> bool:
        """It is a file that goes with the last image that refers to it."""
        return isinstance(self.where, SpilledFile)
