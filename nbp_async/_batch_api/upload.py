"""Upload a file of lines in chunks. Where it is cut off, it goes on where it was."""

from collections.abc import Awaitable, Callable

from nbp_async._base.errors import InvalidRequestError, MalformedReplyError
from nbp_async._base.http import HttpRequest, ReplyHead
from nbp_async._batch_api.batch_dialect import BatchDialect, ResumableDialect
from nbp_async._vendors.profiles import Profile

CHUNK = 8 * 1024 * 1024  # bytes that leave in one request

Ask = Callable[[HttpRequest], Awaitable[tuple[ReplyHead, object]]]
"""Sends a request; gives the head of its response, and the document in it."""


class Upload:
    """One file. It is free, so it is continued as often as patience allows.

    Attributes:
        file: Its name at the vendor once it is there; "" before.
    """

    def __init__(
        self,
        dialect: BatchDialect,
        resumable: ResumableDialect,
        profile: Profile,
        ask: Ask,
        begin: HttpRequest,
        lines: list[bytes],
    ) -> None:
        self.file = ""
        self._dialect = dialect
        self._resumable = resumable
        self._profile = profile
        self._ask = ask
        self._begin = begin
        self._lines = lines
        self._size = sum(map(len, lines))
        self._url = ""  # where the chunks go, once it has begun
        self._sent = 0  # bytes that have arrived, as far as we know
        self._in_doubt = False  # the last chunk has no response: some of it may have arrived

    async def go_on(self) -> None:
        """Send one more chunk; call it until `file` is known.

        Raises:
            NbpError: It was cut off, and may be continued; or it will never be accepted.
        """
        if self._in_doubt:
            await self._find_out()
        if not self._url:
            head, _ = await self._ask(self._begin)
            self._url = self._resumable.upload_url(head, self._profile)
        chunk = self._next_chunk()
        last = self._sent + len(chunk) == self._size
        self._in_doubt = True
        _, document = await self._ask(
            self._resumable.chunk(self._url, chunk, self._sent, last=last)
        )
        self._in_doubt = False
        self._sent += len(chunk)
        if last:
            self._end(document)

    def _next_chunk(self) -> bytes:
        """The lines are never joined as a whole: they may be 64 MB."""
        parts: list[memoryview] = []
        at, left = self._sent, CHUNK
        for line in self._lines:
            part = memoryview(line)[at : at + left]
            parts.append(part)
            at = max(0, at - len(line))
            left -= len(part)
        return b"".join(parts)

    async def _find_out(self) -> None:
        """Ask the vendor how much has arrived. If it does not know the upload, begin again.

        It does not know it either if the file is whole there and we never got its name.
        """
        try:
            head, _ = await self._ask(self._resumable.query(self._url))
            received = self._resumable.received_bytes(head)
        except InvalidRequestError:
            received = None
        self._in_doubt = False
        if received is None or received > self._size:
            self._url, received = "", 0
        self._sent = received

    def _end(self, document: object) -> None:
        self.file = self._dialect.read_file_name(document)
        if not self.file:
            self._url, self._sent = "", 0
            raise MalformedReplyError("The answer to an upload does not name the file.")
