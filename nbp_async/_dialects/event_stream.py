"""Reads an event stream (text/event-stream) as the JSON documents in it, though none was asked for.

    : ping                                 dropped: a comment
    event: image                           dropped: a field without JSON
    data: {"candidates": [...]}            {"candidates": [...]}
    data: [DONE]                           dropped: nothing more can come

Any other body passes as it is. A line may have 30 MB, so nothing of it is kept.
"""

import re

_BEGINNINGS = (b"data:", b":", b"event:", b"id:", b"retry:")
_DATA = b"data:"
_DONE = b"[DONE]"
_FINAL = re.compile(rb'"finish_?[rR]eason"\s*:\s*"|"type"\s*:\s*"\w+\.completed"')
_LONGEST_FINAL = 80  # bytes of it that may be in the piece before

_UNKNOWN, _NO_STREAM, _FIELD, _PAYLOAD, _IN_DATA, _DROP = range(6)


class EventStream:
    """The filter of one body.

    Attributes:
        is_stream: The body is an event stream.
        is_done: The stream said that nothing more will come.
        is_final: An event said why the model stopped: no image comes after it.
    """

    __slots__ = ("_before", "_rest", "_state", "is_done", "is_final")

    def __init__(self) -> None:
        self._state = _UNKNOWN
        self._rest = b""  # the beginning of a line that cannot be told yet
        self._before = b""
        self.is_done = False
        self.is_final = False

    @property
    def is_stream(self) -> bool:
        return self._state not in (_UNKNOWN, _NO_STREAM)

    def feed(self, data: bytes) -> bytes:
        """The JSON in a piece of the body."""
        if self._state == _NO_STREAM:
            return data
        data, self._rest = self._rest + data, b""
        if self._state == _UNKNOWN and not self._begin(data):
            return data if self._state == _NO_STREAM else b""
        found: list[bytes] = []
        at = 0
        while 0 <= at < len(data):
            at = self._step(data, at, found)
        return b"".join(found)

    def close(self) -> bytes:
        """The body ended: what was held back of one that is no stream."""
        return self._rest if not self.is_stream else b""

    def _begin(self, data: bytes) -> bool:
        start = data.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
        if start.startswith(_BEGINNINGS):
            self._state = _FIELD
            return True
        if not start or any(name.startswith(start) for name in _BEGINNINGS):
            self._rest = data
        else:
            self._state = _NO_STREAM
        return False

    def _step(self, data: bytes, at: int, found: list[bytes]) -> int:
        """Take what can be taken from `at`; returns where to go on, or -1 to wait for more."""
        if self._state in (_IN_DATA, _DROP):
            return self._to_end_of_line(data, at, found)
        start = data[at : at + 16].lstrip(b"\xef\xbb\xbf \t\r\n" if self._state == _FIELD else b" ")
        wanted = _DATA if self._state == _FIELD else _DONE
        if len(start) < len(wanted) and wanted.startswith(start) and len(data) - at < 16:
            self._rest = data[at:]
            return -1
        at += len(data[at : at + 16]) - len(start)
        if self._state == _PAYLOAD:
            self.is_done |= start.startswith(_DONE)
            self._state = _DROP if start.startswith(_DONE) else _IN_DATA
        elif start.startswith(_DATA):
            self._state = _PAYLOAD
            at += len(_DATA)
        elif start:
            self._state = _DROP
        return at

    def _to_end_of_line(self, data: bytes, at: int, found: list[bytes]) -> int:
        end = data.find(b"\n", at)
        stop = len(data) if end < 0 else end + 1
        if self._state == _IN_DATA:
            piece = data[at:stop]
            found.append(piece)
            self._look_for_the_end(piece)
        if end >= 0:
            self._state = _FIELD
        return stop

    def _look_for_the_end(self, piece: bytes) -> None:
        edge = self._before + piece[:_LONGEST_FINAL]
        self.is_final |= bool(_FINAL.search(edge) or _FINAL.search(piece))
        self._before = (self._before + piece[-_LONGEST_FINAL:])[-_LONGEST_FINAL:]
