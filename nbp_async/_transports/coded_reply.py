"""The body of a reply, inflated where something on the way compressed it."""

from abc import ABC, abstractmethod

from nbp_async._base.errors import MalformedReplyError
from nbp_async._transports.content_coding import ContentDecoder

_MOST_SILENT = 1024 * 1024  # bytes that came and held nothing: no coding needs that many


class CodedReply(ABC):
    """Reads a body whose bytes come from `read_sent`; see `base.Reply`."""

    __slots__ = ("_content", "sent")

    _content: ContentDecoder
    sent: bytes

    def open_body(self, codings: str, vendor: str) -> None:
        """The head is here; `codings` is its Content-Encoding, or ""."""
        self._content = ContentDecoder(codings, vendor)
        self.sent = b""

    async def read(self) -> bytes:
        """See `base.Reply`."""
        self.sent = b""
        while True:
            piece = await self.read_sent()
            self.sent = self.sent + piece if self.sent else piece  # as a rule, nothing is copied
            data = self._content.feed(piece) if piece else self._content.close()
            if data or not piece:
                return data
            if len(self.sent) > _MOST_SILENT:
                raise MalformedReplyError("The compressed response inflates to nothing.")

    @abstractmethod
    async def read_sent(self) -> bytes:
        """See `base.Reply`."""
