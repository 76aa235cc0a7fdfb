"""Results of a batch job as they arrive, in pieces of any length. Synchronous, no I/O.

One of them may be 30 MB long, and there may be hundreds, so the images in them are led past us as
in any other answer, and each is handed on where it ends.
"""

import re
from collections.abc import Callable
from typing import Protocol

import msgspec

from nbp_async._dialects.base import Answer, Decoder, Part
from nbp_async._dialects.json_scan import JsonScan, Keys, end_of_string, whole_escapes
from nbp_async._errors import MalformedReplyError, NbpError, TruncatedError

_SIGN = re.compile(rb'["{}\[\]]')
_BETWEEN = re.compile(rb"[{\]]")
# A key that may go on in the next piece. Within a string its quote would have a backslash.
_CUT_KEY = re.compile(rb'"\w*+(?:"\s{0,16}(?::\s{0,16})?)?\Z')
_LONGEST_KEY = 128  # bytes, with what may follow it


class Line(msgspec.Struct, frozen=True):
    """One line of the results: an answer, or what went wrong with it.

    Attributes:
        key: Ours, as the request's line had it, or "" if it cannot be read.
        answer: What came, or None.
        error: Why nothing came, or None.
    """

    key: str
    answer: Answer | None = None
    error: NbpError | None = None


Found = list[tuple[list[Part], Line | None]]
"""What is in a piece: parts of the result that is under way, and the result where it ends."""


class Results(Protocol):
    """Reads results while they come, in pieces of any length. Synchronous, no I/O."""

    @property
    def complete(self) -> bool:
        """Nothing more can come."""
        ...

    @property
    def last(self) -> Line | None:
        """A result that was known to be whole only by the end."""
        ...

    def feed(self, data: bytes) -> Found:
        """What is in a piece."""
        ...

    def close(self) -> Answer:
        """The end.

        Raises:
            MalformedReplyError: It ended too early, or made no sense.
        """
        ...


class Whole(Decoder):
    """One JSON document whose images are led past; at the end it is in `document`."""

    def __init__(self, keys: Keys) -> None:
        self._scan = JsonScan(keys)
        self._begun = False
        self.document: object = None

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


class Lines:
    """A file of JSON documents, one a line, in pieces of any length.

    A line that makes no sense is a Line with an error; those after it are read all the same. Image
    numbers begin anew with every line.

    Attributes:
        last: The line that the file ended with, if no line break followed it.
    """

    complete = False  # another line may always follow

    def __init__(self, keys: Keys, read: Callable[[object], Line]) -> None:
        self._line = _Coming(keys, read)
        self.last: Line | None = None

    def feed(self, data: bytes) -> Found:
        found: Found = []
        at = 0
        while True:
            end = data.find(b"\n", at)
            parts = self._line.feed(data[at:] if end < 0 else data[at:end])
            line = self._line.end() if end >= 0 and self._line.begun else None
            if parts or line is not None:
                found.append((parts, line))
            if end < 0:
                return found
            at = end + 1

    def close(self) -> Answer:
        """The file ended.

        Raises:
            TruncatedError: It ended within a line: what came before it was whole.
        """
        if self._line.begun:
            line = self._line.end()
            if isinstance(line.error, TruncatedError) and not line.key:
                raise line.error
            self.last = line
        return Answer()


class Inlined:
    """One JSON document with results in an array, each of which is handed on where it ends.

    Args:
        keys: The strings in it that are images.
        read: Reads a result.
        arrays: Keys whose arrays have results in them.

    Attributes:
        document: All else, at the end; results are null in it.
        last: None, as nothing is left at the end.
    """

    last: Line | None = None

    def __init__(
        self, keys: Keys, read: Callable[[object], Line], arrays: tuple[bytes, ...] = ()
    ) -> None:
        names = b"|".join(map(re.escape, arrays)) or b"(?!)"
        self._array = re.compile(rb'"(?:' + names + rb')"\s{0,16}:\s{0,16}\[')
        self._whole = Whole(keys)
        self._line = _Coming(keys, read)
        self._within = False  # the array
        self._depth = 0  # objects and arrays that are open in a result
        self._quoted = False  # within a string of a result
        self._rest = b""  # what can't be understood before more is here
        self.document: object = None

    @property
    def complete(self) -> bool:
        return not self._within and not self._rest and self._whole.complete

    def feed(self, data: bytes) -> Found:
        data, self._rest = self._rest + data, b""
        found: Found = []
        at = 0
        while at < len(data):
            if self._depth:
                at = self._result(data, at, found)
            elif self._within:
                at = self._between(data, at)
            else:
                at = self._outside(data, at)
        return found

    def close(self) -> Answer:
        """The document ended.

        Raises:
            TruncatedError: Within it: the results before that were whole.
        """
        self._whole.feed(self._rest)
        answer = self._whole.close()
        self.document = self._whole.document
        return answer

    def _outside(self, data: bytes, at: int) -> int:
        array = self._array.search(data, at)
        self._within = array is not None
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
            self._depth = 1
            self._line.feed(b"{")
            return end + 1
        self._within = sign is None
        return end

    def _result(self, data: bytes, at: int, found: Found) -> int:
        """Hand on what belongs to the result that is under way; returns where it ends."""
        end = self._pass_over(data, at)
        parts = self._line.feed(data[at:end])
        line = None if self._depth else self._line.end()
        if parts or line is not None:
            found.append((parts, line))
        if not self._depth:
            return end
        self._rest = data[end:]
        return len(data)

    def _pass_over(self, data: bytes, at: int) -> int:
        """The end of a result; or of what can be understood of it."""
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


class _Coming:
    """One result that is under way. What makes no sense of it is its error, and no other's."""

    def __init__(self, keys: Keys, read: Callable[[object], Line]) -> None:
        self._keys = keys
        self._read = read
        self._scan = JsonScan(keys)
        self._broken: MalformedReplyError | None = None
        self.begun = False

    def feed(self, data: bytes) -> list[Part]:
        if not self.begun and not data.strip():
            return []
        self.begun = True
        if self._broken is not None:
            return []
        try:
            return self._scan.feed(data)
        except MalformedReplyError as exc:
            self._broken = exc.with_traceback(None)  # whose frames hold what was being read
            return []

    def end(self) -> Line:
        """What it says; the next one may begin."""
        problem = self._broken
        if problem is None:
            try:
                return self._read(self._scan.close())
            except MalformedReplyError as exc:
                problem = exc.with_traceback(None)
            finally:
                self._anew()
        self._anew()
        return Line("", error=problem)

    def _anew(self) -> None:
        self._scan, self.begun, self._broken = JsonScan(self._keys), False, None
