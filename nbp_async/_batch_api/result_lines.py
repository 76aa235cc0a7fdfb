"""Decode the results of a batch job as they arrive, in pieces of any length. No I/O.

A result may be 30 MB long, and there may be hundreds. So their images never gather in memory, as
in any other response, and each result is handed on as soon as it ends.
"""

import re
import zlib
from collections.abc import Callable
from typing import NamedTuple, Protocol

import msgspec

from nbp_async._base.errors import MalformedReplyError, NbpError, TruncatedError
from nbp_async._dialects.base import Answer, Clean, Decoder, Part
from nbp_async._dialects.json_escapes import end_of_string, whole_escapes
from nbp_async._dialects.json_scan import JsonScan, Keys

_SIGN = re.compile(rb'["{}\[\]]')
_BETWEEN = re.compile(rb"[{\]]")
# A key that may continue in the next piece. Inside a string its quote would have a backslash.
_CUT_KEY = re.compile(rb'"\w*+(?:"\s{0,16}(?::\s{0,16})?)?\Z')
_LONGEST_KEY = 128  # bytes, with what may follow it
_SPACE = b" \t\r\n"  # Google sends inline results twice, indented by different amounts
# Bytes but white space at both ends of a result: its key is in them, if it cannot be read.
_END = 256
_KEY_IN_TEXT = re.compile(rb'"(?:key|custom_id)"\s*:\s*"([\w\-]{1,64})"')


class ResultLine(msgspec.Struct, frozen=True):
    """One line of the results: an answer, or what went wrong with it.

    Attributes:
        key: The key of the request's line, or "" if it cannot be read.
        answer: The answer, or None.
        error: What went wrong, or None.
        position: Its place in its array, from 0, where results are in the order of the requests;
            None where they come in any order.
        checksum: Of its bytes without white space: a repeated download brings the same line again.
        is_cut: Its end did not come, and the vendor may have it.
    """

    key: str
    answer: Answer | None = None
    error: NbpError | None = None
    position: int | None = None
    checksum: int = 0
    is_cut: bool = False


class ResultPiece(NamedTuple):
    """A piece of one result.

    Attributes:
        data: Its bytes as they came.
        parts: Of images, that are in it.
        line: The result, if it ends here.
    """

    data: bytes
    parts: list[Part]
    line: ResultLine | None


class ResultDecoder(Protocol):
    """Takes results in pieces of any length."""

    def read_through(self, clean: Clean) -> None:
        """See `Decoder`."""
        ...

    @property
    def complete(self) -> bool:
        """No more results can come."""
        ...

    @property
    def last(self) -> ResultLine | None:
        """The result that ends with the data, without a mark of its own; else None."""
        ...

    @property
    def tail(self) -> bytes:
        """Bytes at the end of `last` that no piece had; usually none."""
        ...

    def feed(self, data: bytes) -> list[ResultPiece]:
        """Take data, give the pieces of results that are in it."""
        ...

    def close(self) -> Answer:
        """The data ended.

        Raises:
            MalformedReplyError: It ended too early, or cannot be read.
        """
        ...


class DocumentDecoder(Decoder):
    """One JSON document without its images; at the end it is in `document`."""

    def __init__(self, keys: Keys) -> None:
        self._scan = JsonScan(keys)
        self._begun = False
        self.document: object = None

    def read_through(self, clean: Clean) -> None:
        self._scan.clean = clean

    @property
    def complete(self) -> bool:
        return self._scan.complete

    def feed(self, data: bytes) -> list[Part]:
        self._begun |= bool(data.strip())
        return self._scan.feed(data)

    def close(self) -> Answer:
        if self._begun:
            self.document = self._scan.close()
        return Answer()


class ResultFileDecoder:
    """A file of JSON documents, one a line.

    A line that cannot be read is a result with an error; the lines after it are read all the same.
    Image numbers start again with each line.

    Attributes:
        last: The line that the file ended with, if no line break followed it; it may be cut off.
    """

    complete = False  # another line may always follow
    tail = b""

    def __init__(self, keys: Keys, read: Callable[[object], ResultLine]) -> None:
        self._line = _ResultReader(keys, read)
        self.last: ResultLine | None = None

    def read_through(self, clean: Clean) -> None:
        self._line.clean = clean

    def feed(self, data: bytes) -> list[ResultPiece]:
        found: list[ResultPiece] = []
        at = 0
        while True:
            end = data.find(b"\n", at)
            piece = data[at:] if end < 0 else data[at:end]
            parts = self._line.feed(piece)
            if self._line.begun:
                found.append(ResultPiece(piece, parts, self._line.end() if end >= 0 else None))
            if end < 0:
                return found
            at = end + 1

    def close(self) -> Answer:
        """The file ended.

        Raises:
            TruncatedError: It ended inside a line; the lines before it were whole.
        """
        if self._line.begun:
            self.last = self._line.end()
            if self._line.cut is not None:
                raise self._line.cut
        return Answer()


class InlineResultDecoder:
    """One JSON document with results in an array, each of which is handed on when it ends.

    It is in one of three places, and `feed` moves it from one to the next:

        outside ── "inlinedResponses": [ ──► between ── { ──► result
           ▲                                  │ ▲               │
           └────────────── ] ─────────────────┘ └────── } ──────┘

    Args:
        keys: The strings in it that are images.
        read: Reads a result.
        arrays: Keys whose arrays have results in them.

    Attributes:
        document: The rest of the document, at the end; results are null in it.
        last: None: each result ends with its own brace.
    """

    last: ResultLine | None = None
    tail = b""

    def __init__(
        self, keys: Keys, read: Callable[[object], ResultLine], arrays: tuple[bytes, ...] = ()
    ) -> None:
        names = b"|".join(map(re.escape, arrays)) or b"(?!)"
        self._array = re.compile(rb'"(?:' + names + rb')"\s{0,16}:\s{0,16}\[')
        self._keys = keys
        self._whole = self._new_document()
        self._line = _ResultReader(keys, read)
        self._within = False  # inside the array
        self._inside = False  # inside a result
        self._count = 0  # of results that have ended in this array
        self._depth = 0  # objects and arrays that are open in a result
        self._quoted = False  # inside a string of a result
        self._rest = b""  # cannot be decided before more is here
        self.document: object = None

    def read_through(self, clean: Clean) -> None:
        self._line.clean = clean
        self._whole.read_through(clean)

    @property
    def complete(self) -> bool:
        return not self._within and not self._rest and self._whole.complete

    def feed(self, data: bytes) -> list[ResultPiece]:
        data, self._rest = self._rest + data, b""
        found: list[ResultPiece] = []
        at = 0
        while at < len(data):
            if self._inside:
                at = self._result(data, at, found)
            elif self._within:
                at = self._between(data, at)
            else:
                at = self._outside(data, at)
        return found

    def close(self) -> Answer:
        """The document ended.

        Raises:
            TruncatedError: It ended too early; the results before that were whole.
        """
        self._whole.feed(self._rest)
        answer = self._whole.close()
        self.document = self._whole.document
        return answer

    def _new_document(self) -> DocumentDecoder:
        return DocumentDecoder(self._keys)

    def _outside(self, data: bytes, at: int) -> int:
        array = self._array.search(data, at)
        self._within, self._count = array is not None, 0
        cut = (
            None if array is not None else _CUT_KEY.search(data, max(at, len(data) - _LONGEST_KEY))
        )
        end = array.end() if array is not None else cut.start() if cut is not None else len(data)
        self._whole.feed(data[at:end])
        if cut is not None:
            self._rest = data[end:]
        return len(data) if cut is not None else end

    def _between(self, data: bytes, at: int) -> int:
        sign = _BETWEEN.search(data, at)
        end = len(data) if sign is None else sign.start()
        self._whole.feed(data[at:end])
        if sign is not None and sign[0] == b"{":
            self._whole.feed(b"null")
            self._inside = True
            return end
        self._within = sign is None
        return end

    def _result(self, data: bytes, at: int, found: list[ResultPiece]) -> int:
        """Hand on what belongs to the current result; returns where it ends."""
        end = self._end_of_result(data, at)
        piece = data[at:end]
        parts = self._line.feed(piece)
        self._inside = self._depth > 0
        if self._inside:
            found.append(ResultPiece(piece, parts, None))
            self._rest = data[end:]
            return len(data)
        line = msgspec.structs.replace(self._line.end(), position=self._count)
        self._count += 1
        found.append(ResultPiece(piece, parts, line))
        return end

    def _end_of_result(self, data: bytes, at: int) -> int:
        """Where the current result ends, or what is known of it."""
        while at < len(data):
            if self._quoted:
                end = end_of_string(data, at)
                if end < 0:
                    return whole_escapes(data, at)
                at, self._quoted = end + 1, False
                continue
            sign = _SIGN.search(data, at)
            if sign is None:
                return len(data)
            at = sign.end()
            self._quoted = sign[0] == b'"'
            self._depth += (sign[0] in b"{[") - (sign[0] in b"}]")
            if not self._depth:
                return at
        return at


class KeptLineDecoder(Decoder):
    """One result that was kept as it came.

    Args:
        keys: The strings in it that are images.
        read: Reads it.
    """

    complete = False

    def __init__(self, keys: Keys, read: Callable[[object], ResultLine]) -> None:
        self._line = _ResultReader(keys, read)

    def read_through(self, clean: Clean) -> None:
        self._line.clean = clean

    def feed(self, data: bytes) -> list[Part]:
        return self._line.feed(data)

    def close(self) -> Answer:
        """The data ended.

        Raises:
            NbpError: It has no image.
        """
        line = self._line.end()
        if line.answer is None:
            raise line.error or MalformedReplyError("The line has no answer.")
        return line.answer


class _ResultReader:
    """Reads one result. If it cannot be read, that is its error, and no other's.

    Attributes:
        begun: Something of it is here.
        cut: Why the last result is not whole, if its JSON is cut off; else None.
    """

    def __init__(self, keys: Keys, read: Callable[[object], ResultLine]) -> None:
        self._keys = keys
        self._read = read
        self._scan = JsonScan(keys)
        self.clean: Clean = bytes
        self._error: MalformedReplyError | None = None
        self._head = self._tail = b""
        self._checksum = 0
        self.begun = False
        self.cut: TruncatedError | None = None

    def feed(self, data: bytes) -> list[Part]:
        if not self.begun and not data.strip():
            return []
        self.begun = True
        plain = data.translate(None, _SPACE)
        self._head += plain[: _END - len(self._head)]
        self._tail = (self._tail + plain[-_END:])[-_END:]
        self._checksum = zlib.crc32(plain, self._checksum)
        if self._error is not None:
            return []
        self._scan.clean = self.clean
        try:
            return self._scan.feed(data)
        except MalformedReplyError as exc:
            self._error = exc.with_traceback(None)  # its frames hold what was being read
            return []

    def end(self, *, at_its_end: bool = True) -> ResultLine:
        """The result; the next one may begin.

        If nobody knows where it ends, its checksum is that of its beginning: the same result, in
        another place, has other bytes after it.
        """
        line = self._end()
        checksum = self._checksum if at_its_end else zlib.crc32(self._head)
        self._scan, self._error = JsonScan(self._keys), None
        self._head = self._tail = b""
        self.begun, self._checksum = False, 0
        return msgspec.structs.replace(line, checksum=checksum)

    def _end(self) -> ResultLine:
        self.cut = None
        error = self._error
        if error is None:
            try:
                return self._read(self._scan.close())
            except MalformedReplyError as exc:
                error = exc.with_traceback(None)
                self.cut = error if isinstance(error, TruncatedError) else None
        found = _KEY_IN_TEXT.search(self._head) or _KEY_IN_TEXT.search(self._tail)
        return ResultLine("" if found is None else found[1].decode(), error=error)
