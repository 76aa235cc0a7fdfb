"""One reply as it came, kept until it is known that its images are safe.

    write ──► memory, up to 1 MiB ──► a file without a name, which is used again
                                          │
                     images are safe ─────┼──► discard: it is free for the next reply
                     it cannot be read ───┴──► keep: copied to its place, without the key

Most replies that cannot be read are short and never reach a file. Of the others nothing is left
after a kill, for a file without a name ends with its process.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import IO

from nbp_async._sinks.chunks import write_some
from nbp_async._sinks.unread import Chunks, UnreadPlace

log = logging.getLogger("nbp_async")

_IN_MEMORY = 1024 * 1024  # bytes that are gathered for one visit to a thread

Clean = Callable[[Iterable[bytes]], Iterator[bytes]]
"""Gives the same bytes without what must not be kept."""


class ReplySpool:
    """The bytes of one reply. What goes wrong with it never harms the reply itself."""

    __slots__ = ("_chunks", "_failure", "_file", "_in_file", "_place", "_waiting", "size")

    def __init__(self, place: UnreadPlace) -> None:
        self._place = place
        self._chunks: list[bytes] = []
        self._waiting = 0
        self._file: IO[bytes] | None = None
        self._in_file = 0
        self._failure: OSError | None = None
        self.size = 0

    def write_nowait(self, data: bytes) -> bool:
        """Append; False if `flush` has to be awaited before more is written."""
        if self._failure is not None:
            return True
        self._chunks.append(data)
        self._waiting += len(data)
        self.size += len(data)
        return self._waiting < _IN_MEMORY

    async def flush(self) -> None:
        """Bring what is gathered to the disk."""
        await self._place.threads.run(self._flush)

    async def write(self, data: bytes) -> None:
        """Append; returns when it can take more."""
        if not self.write_nowait(data):
            await self.flush()

    async def keep(
        self, head: bytes, stem: str, plain: Callable[[Chunks], Chunks], clean: Clean
    ) -> str:
        """Keep it for good, and return where; "" if that is not possible.

        Args:
            head: One line that comes before it.
            stem: What its name begins with.
            plain: Inflates it, if it is compressed and can be inflated: secrets are found only in
                plain bytes. It works in a thread.
            clean: What all of it is read through.
        """
        if self._failure is not None:
            log.warning("A reply that cannot be read was not kept: %s", self._failure)
            return ""

        def chunks() -> Iterator[bytes]:
            return clean(chain([head + b"\n"], plain(self._all)()))

        return await self._place.keep(stem, self.size, chunks)

    def discard(self) -> None:
        """It is not needed any more; what was kept stays."""
        self._chunks = []
        self._waiting = 0
        if self._file is not None:
            place = self._place
            place.threads.spool_files.give_back(place.spool_folder, self._file, self._in_file)
            self._file, self._in_file = None, 0

    def _flush(self) -> None:
        try:
            if self._file is None:
                place = self._place
                self._file = place.threads.spool_files.take(place.spool_folder)
            while self._chunks:
                self._in_file += sum(map(len, write_some(self._file.fileno(), self._chunks)))
        except OSError as exc:  # a full disk: the image itself may still find room
            self._failure = exc.with_traceback(None)
        self._chunks = []
        self._waiting = 0

    def _all(self) -> Iterator[bytes]:
        """All of it, piece by piece, from its beginning. Blocks."""
        if self._file is not None:
            self._file.seek(0)
            left = self._in_file  # what follows is of an earlier reply
            while left and (chunk := self._file.read(min(left, _IN_MEMORY))):
                left -= len(chunk)
                yield chunk
        yield from self._chunks
