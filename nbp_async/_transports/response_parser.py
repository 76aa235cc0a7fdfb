"""Reads one response from the bytes of a connection, by llhttp; no I/O here.

    bytes ──► HeadReader ──► llhttp ──► head, pieces of the body, the end

Only a head passes `HeadReader`; of a body nothing is copied but what goes into its pieces.
"""

from collections.abc import Iterator, Mapping
from typing import TypeVar, overload

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from nbp_async._base.http import ReplyHead
from nbp_async._transports.response_heads import MAX_FIELD, MAX_HEAD, HeadReader

T = TypeVar("T")

PARSER_ERROR = HttpParserError
"""What is raised for bytes that are not HTTP."""


class HeaderFields(Mapping[str, str]):
    """Headers by any spelling of their names; of a repeated one, the first value."""

    __slots__ = ("_fields",)

    def __init__(self, fields: list[tuple[bytes, bytes]]) -> None:
        self._fields: dict[str, str] = {}
        for name, value in fields:
            text = value.decode("utf-8", "surrogateescape")
            self._fields.setdefault(name.decode("latin-1").lower(), text.strip(" \t"))

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()]

    @overload
    def get(self, name: str, /) -> str | None: ...
    @overload
    def get(self, name: str, /, default: str | T) -> str | T: ...
    def get(self, name: str, /, default: object = None) -> object:
        """The header, or the default."""
        return self._fields.get(name.lower(), default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


class ResponseParser:
    """One response, as far as it came.

    Attributes:
        head: Status and headers, once they are here; those of 100 and 103 are passed over.
        pieces: Pieces of the body that nobody has taken yet.
        waiting: Bytes in them.
        complete: The body ended as it should.
        keeps_open: The connection may carry another request after this response.
    """

    __slots__ = (
        "_fields",
        "_has_chunks",
        "_has_length",
        "_heads",
        "_parser",
        "_size",
        "complete",
        "head",
        "keeps_open",
        "pieces",
        "waiting",
    )

    def __init__(self) -> None:
        self.head: ReplyHead | None = None
        self.pieces: list[bytes] = []
        self.waiting = 0
        self.complete = False
        self.keeps_open = False
        self._fields: list[tuple[bytes, bytes]] = []
        self._size = 0
        self._has_length = False
        self._has_chunks = False
        # Both are made when the first byte is here: a held call does nothing but wait.
        self._parser: HttpResponseParser | None = None
        self._heads: HeadReader | None = None

    def feed(self, data: memoryview) -> None:
        """Take the next bytes of the connection.

        Raises:
            PARSER_ERROR: They are not HTTP.
        """
        if self.complete:
            self.keeps_open = False  # bytes that nobody asked for
        elif self.head is not None:
            self._run(data)
        else:
            self._feed_head(bytes(data))

    def end(self) -> bool:
        """The connection ended: say whether the response did as well."""
        if self.head is None:
            self._run(self._heads.rest() if self._heads is not None else b"")
        elif not (self.complete or self._has_length or self._has_chunks):
            self.complete = True
        return self.complete

    def take(self) -> bytes:
        """All that waits of the body."""
        pieces = self.pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.pieces = []
        self.waiting = 0
        return data

    def codings(self) -> str:
        """Its Content-Encoding, or ""."""
        return _joined(self._fields, b"content-encoding")

    def close(self) -> None:
        """Let go of the parser, whose callbacks hold this object."""
        self._parser = None

    def on_message_begin(self) -> None:
        """See httptools. A second response on the heels of the first is nobody's."""
        if self.complete:
            self.keeps_open = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """See httptools. What follows the last chunk is not a header."""
        if len(value) > MAX_FIELD:
            raise HttpParserError(f"Got more than {MAX_FIELD} bytes of a header")
        if self.head is None:
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """See httptools."""
        parser = self._parser
        if self.head is not None or parser is None:
            return
        status = parser.get_status_code()
        if status < 100:
            raise HttpParserError(f"status line with {status}")
        if status < 200 and status != 101:
            self._fields.clear()
            self._size = 0
            return
        codings = _joined(self._fields, b"transfer-encoding").lower()
        self._has_chunks = codings.rpartition(",")[2].strip() == "chunked"
        fields = HeaderFields(self._fields)
        self._has_length = "content-length" in fields
        self.head = ReplyHead(status, fields)

    def on_body(self, data: bytes) -> None:
        """See httptools."""
        if self.head is not None and not self.complete:
            self.pieces.append(data)
            self.waiting += len(data)

    def on_message_complete(self) -> None:
        """See httptools."""
        if self.head is not None and self._parser is not None and not self.complete:
            self.complete = True
            chunks_won = self._heads is not None and self._heads.chunks_won
            self.keeps_open = self._parser.should_keep_alive() and not chunks_won

    def _feed_head(self, data: bytes) -> None:
        if self._heads is None:
            self._heads = HeadReader()
        right = self._heads.feed(data)
        self._size += len(right)
        self._run(right)
        if self.head is None and self._size > MAX_HEAD:
            raise HttpParserError(f"Got more than {MAX_HEAD} bytes of a head")

    def _run(self, data: bytes | memoryview) -> None:
        if self._parser is None:
            self._parser = HttpResponseParser(self)
            # Some servers end the lines of a head by a line feed alone.
            self._parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            self.keeps_open = False  # it speaks something else from here on
        except HttpParserError:
            self.keeps_open = False
            if not self.complete:
                raise


def _joined(fields: list[tuple[bytes, bytes]], name: bytes) -> str:
    """All values of a header in one, as a list."""
    return ",".join(value.decode("latin-1") for key, value in fields if key.lower() == name)
