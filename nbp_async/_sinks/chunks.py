"""Join the chunks of an image in memory."""

import hashlib
from collections.abc import Sequence

from nbp_async._models.outcomes import MemoryBytes, MemoryCounter, Stored


def join_in_memory(chunks: Sequence[bytes], counter: MemoryCounter | None = None) -> Stored:
    """The image of these chunks. Takes about 1 ms per MB: call it in a thread for large ones.

    `counter` is told when nothing refers to the image any more.
    """
    hasher = hashlib.sha256()
    for chunk in chunks:
        hasher.update(chunk)
    data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    return Stored(len(data), hasher.digest(), MemoryBytes(data, counter))
