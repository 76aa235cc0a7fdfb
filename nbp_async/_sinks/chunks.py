"""Chunks of bytes: joined in memory, or written to a file."""

import hashlib
import os
from collections.abc import Sequence

from nbp_async._models.outcomes import MemoryBytes, MemoryCounter, Stored

_MAX_CHUNKS = 512  # of one writev; systems take 1024, and some count differently


def write_some(fd: int, chunks: list[bytes]) -> int:
    """Write as many of them as one call takes; returns how many bytes. Blocks."""
    if hasattr(os, "writev"):
        return os.writev(fd, chunks[:_MAX_CHUNKS])
    return os.write(fd, chunks[0])


def join_in_memory(chunks: Sequence[bytes], counter: MemoryCounter | None = None) -> Stored:
    """The image of these chunks. Takes about 1 ms per MB: call it in a thread for large ones.

    `counter` is told when nothing refers to the image any more.
    """
    hasher = hashlib.sha256()
    for chunk in chunks:
        hasher.update(chunk)
    data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    return Stored(len(data), hasher.digest(), MemoryBytes(data, counter))
