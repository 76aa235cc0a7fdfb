"""Pieces of an image become one, in memory."""

import hashlib
import io
from collections.abc import Sequence

from nbp_async._models import Held, Store, Stored


def in_memory(pieces: Sequence[bytes], store: Store | None = None) -> Stored:
    """The image that these pieces are. Takes about 1 ms a megabyte: large ones go to a thread.

    `store` hears of it when nobody holds the image any more.
    """
    hasher = hashlib.sha256()
    for piece in pieces:
        hasher.update(piece)
    if len(pieces) == 1:
        data = pieces[0]
    else:
        joined = io.BytesIO()
        for piece in pieces:  # all at a go would keep every other thread from running meanwhile
            joined.write(piece)
        data = joined.getvalue()
    return Stored(len(data), hasher.digest(), "", Held(data, store))
