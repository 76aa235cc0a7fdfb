"""Where an image's bytes are. Values only."""

from typing import Protocol

import msgspec


class Store(Protocol):
    """Counts the bytes that are held in memory."""

    def release(self, size: int) -> None:
        """Bytes that nobody holds any more."""
        ...


class Held(msgspec.Struct, frozen=True, eq=False, gc=False):
    """Bytes in memory; tells the store that counts them when nobody holds them any more."""

    data: bytes
    store: Store | None = None

    def __del__(self) -> None:
        if self.store is not None:
            self.store.release(len(self.data))

    def __repr__(self) -> str:
        return f"Held({len(self.data)} bytes)"


class Stored(msgspec.Struct, frozen=True, gc=False):
    """Where an image's bytes are: a file, an object in a store, or memory.

    Attributes:
        size: Length in bytes.
        digest: SHA-256 of the bytes.
        path: The file, or the object's address (`s3://…`), or "" while the bytes are in memory.
        held: The bytes in memory, or None.
        keep: What must live as long as the bytes do (a folder of temporary files), or None.
    """

    size: int
    digest: bytes
    path: str = ""
    held: Held | None = None
    keep: object = None
