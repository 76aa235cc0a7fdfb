"""A file of lines on its way to the vendor, piece by piece. Cut off, it goes on where it was."""

from collections.abc import Awaitable, Callable

from nbp_async._dialects.batches import BatchDialect, Pieces
from nbp_async._errors import InvalidRequestError, MalformedReplyError
from nbp_async._http import HttpRequest, ReplyHead
from nbp_async._profiles import Profile

PIECE = 8 * 1024 * 1024  # bytes that leave in one request

Ask = Callable[[HttpRequest], Awaitable[tuple[ReplyHead, object]]]
"""Sends a request; the head of its answer, and the document in it."""


class Upload:
    """One file. It is free, so that it is gone on with as often as patience allows.

    Attributes:
        file: Its name at the vendor once it is there; "" before.
    """

    def __init__(
        self, dialect: BatchDialect, pieces: Pieces, profile: Profile, ask: Ask,
        begin: HttpRequest, lines: list[bytes],
    ) -> None:  # fmt: skip
        self.file = ""
        self._dialect = dialect
        self._pieces = pieces
        self._profile = profile
        self._ask = ask
        self._begin = begin
        self._lines = lines
        self._size = sum(map(len, lines))
        self._there = ""  # where the pieces go, once it has begun
        self._sent = 0  # bytes that have arrived, as far as we know
        self._cut = False  # the last piece has no answer: some of it may have arrived

    async def go_on(self) -> None:
        """Send one more piece; what was cut off is asked for first. To be called until it is there.

        Raises:
            NbpError: It was cut off, and may be gone on with; or it will never be taken.
        """
        if self._cut:
            await self._find_out()
        if not self._there:
            head, _ = await self._ask(self._begin)
            self._there = self._pieces.upload_url(head, self._profile)
        piece = self._piece()
        last = self._sent + len(piece) == self._size
        request = self._pieces.piece(self._there, piece, self._sent, last=last)
        self._cut = True
        _, document = await self._ask(request)
        self._cut = False
        self._sent += len(piece)
        if last:
            self._end(document)

    def _piece(self) -> bytes:
        """What comes next. The lines are joined no further: they may be 64 MB."""
        parts: list[memoryview] = []
        at, left = self._sent, PIECE
        for line in self._lines:
            part = memoryview(line)[at : at + left]
            parts.append(part)
            at = max(0, at - len(line))
            left -= len(part)
        return b"".join(parts)

    async def _find_out(self) -> None:
        """Where to go on: where the vendor says, or anew if it does not know the upload any more.

        So it is with one that is whole there while we never heard its name.
        """
        try:
            head, _ = await self._ask(self._pieces.query(self._there))
            arrived = self._pieces.arrived(head)
        except InvalidRequestError:
            arrived = None
        self._cut = False
        if arrived is None or arrived > self._size:
            self._there, arrived = "", 0
        self._sent = arrived

    def _end(self, document: object) -> None:
        self.file = self._dialect.file_of(document)
        if not self.file:
            self._there, self._sent = "", 0
            raise MalformedReplyError("The answer to an upload does not name the file.")
