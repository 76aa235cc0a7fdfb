"""Results in a document that is broken within one of them, found by how each begins. No I/O.

Where a broken result ends is not known: its quotes and braces do not pair, so that it would swallow
all results after it. Here it ends at the latest where another one begins. It has an error then,
and the results after it are what they are.

    {"metadata": {"key": "1-1"}, "response": {… "data": "iVB ,{"metadata": {"key": "2-1"}, …
    └────────────────── a result, cut off ─────────────────┘ └─────── the next one ─────────
"""

import re

import msgspec

from nbp_async._batch_api.result_lines import (
    DocumentDecoder,
    InlineResultDecoder,
    ResultLine,
    ResultPiece,
)
from nbp_async._dialects.base import Answer, Part

_KEYS = b"metadata|response|error|key"
_NEXT = re.compile(rb'[\[,]\s{0,64}(?=\{\s{0,64}"(?:' + _KEYS + rb')"\s{0,16}:)')
# What may become such a beginning in the next piece.
_CUT_NEXT = re.compile(rb'[\[,]\s{0,64}(?:\{\s{0,64}(?:"\w{0,8}(?:"\s{0,16})?)?)?\Z')
_LONGEST_NEXT = 160  # bytes


class SalvagedResultDecoder(InlineResultDecoder):
    """The same as `InlineResultDecoder`; nothing in the data is an error of the document.

    Attributes:
        document: Always None: only the results are read.
        last: The result that the data ended within.
        tail: Its last bytes, which no piece had.
    """

    def _new_document(self) -> DocumentDecoder:
        return _IgnoredDocument(self._keys)

    def feed(self, data: bytes) -> list[ResultPiece]:
        # Without their places: nobody can count on the order of results of which some are broken.
        return [
            piece if piece.line is None else piece._replace(line=_without_place(piece.line))
            for piece in super().feed(data)
        ]

    def close(self) -> Answer:
        """The data ended."""
        if self._inside:
            self.tail, self._rest = self._rest, b""
            self._line.feed(self.tail)
            self.last = self._end_line()
        return Answer()

    def _result(self, data: bytes, at: int, found: list[ResultPiece]) -> int:
        following = _NEXT.search(data, at)
        cut = None
        if following is None:
            cut = _CUT_NEXT.search(data, max(at, len(data) - _LONGEST_NEXT))
        nearest = following or cut
        most = len(data) if nearest is None else nearest.start()
        end = super()._result(data[:most], at, found)
        if not self._inside:
            return end
        if following is None:
            self._rest += data[most:]
            return len(data)
        rest, self._rest = self._rest, b""
        parts = self._line.feed(rest)
        found.append(ResultPiece(rest, parts, self._end_line()))
        return most

    def _end_line(self) -> ResultLine:
        """The current result ends here, without its own end."""
        self._inside = self._quoted = False
        self._depth = 0
        return self._line.end(at_its_end=False)


def _without_place(line: ResultLine) -> ResultLine:
    return msgspec.structs.replace(line, position=None)


class _IgnoredDocument(DocumentDecoder):
    """What is between the results, in a document that cannot be read."""

    complete = False

    def feed(self, data: bytes) -> list[Part]:  # noqa: ARG002
        return []
