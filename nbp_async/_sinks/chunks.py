"""Chunks of bytes: joined in memory, or written to a file."""

import hashlib
import os
from collections.abc import Sequence

from nbp_async._models.outcomes import MemoryBytes, MemoryCounter, Stored

_MAX_CHUNKS = 512  # of one writev; systems take 1024, and some count differently


def write_some(fd: int, chunks: list[bytes]) -> list[bytes]:
    """Write as many of them as one call takes; gives what was written. That leaves the list, and
    what is left stays in it, also when an OSError is raised. Blocks.
    """
    has_many = hasattr(os, "writev")
    size = os.writev(fd, chunks[:_MAX_CHUNKS]) if has_many else os.write(fd, chunks[0])
    written = []
    while chunks and size >= len(chunks[0]):
        written.append(chunks.pop(0))
        size -= len(written[-1])
    if size:  # part of a chunk: the disk is filling up
        written.append(chunks[0][:size])
        chunks[0] = chunks[0][size:]
    return written


def join_in_memory(chunks: Sequence[bytes], counter: MemoryCounter | None = None) -> Stored:
    """The image of these chunks. Takes about 1 ms per MB: call it in a thread for large ones.

    `counter` is told when nothing refers to the image any more.
    """
    hasher = hashlib.sha256()
    for chunk in chunks:
        hasher.update(chunk)
    data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    return Stored(len(data), hasher.digest(), MemoryBytes(data, counter))
