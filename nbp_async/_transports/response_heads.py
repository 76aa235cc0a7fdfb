"""Heads that real servers send and strict parsers refuse, put right before they are parsed. Pure.

A gateway that copies headers may announce one length twice, or a length beside chunks, which then
win (RFC 9112, 6.3). That is harmless here: on a connection of our own there is no other response
that the rest could be taken for. Lengths that differ are left to the parser, which refuses them.
"""

import re

MAX_FIELD = 96 * 1024  # bytes of one header; gateways add policies and cookies of 17 kB
MAX_HEAD = 160 * 1024  # bytes of a head that are held; aiohttp's own limits are lower
_START = b"HTTP/"
_END = re.compile(rb"\n\r?\n")
# One line of its own; one that goes on in the next is left to the parser.
_LENGTH = re.compile(rb"^content-length:([^\r\n]*)\r?\n(?![ \t])", re.IGNORECASE | re.MULTILINE)
_CHUNKED = re.compile(
    rb"^transfer-encoding:[ \t]*chunked[ \t]*\r?\n(?![ \t])", re.IGNORECASE | re.MULTILINE
)


class HeadReader:
    """Holds a head back until it is whole, and puts it right; everything else passes as it is."""

    __slots__ = ("_held", "_in_head", "chunks_won")

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """The next bytes are the head of a response."""
        self._in_head = True
        self._held = b""
        self.chunks_won = False
        """A length was taken out, because the body comes in chunks."""

    def feed(self, data: bytes) -> bytes:
        """What the parser gets, now that `data` came."""
        if not self._in_head:
            return data
        data, self._held = self._held + data, b""
        done = 0
        while self._in_head:
            end = _END.search(data, done)
            if end is not None and not data.startswith(_START, done):
                self._in_head = False  # lines before it are for the parser to refuse
                break
            if end is None:
                if not self._may_be_head(data[done:]):
                    self._in_head = False
                    break
                self._held = data[done:]
                return data[:done]
            head = data[done : end.end()]
            right = self._put_right(head)
            data = data[:done] + right + data[end.end() :]
            done += len(right)
            # 100 and 103 come before the response; 101 ends HTTP.
            self._in_head = head[8:10] == b" 1" and head[9:12] != b"101"
        return data

    def rest(self) -> bytes:
        """What is held of a head that never became whole."""
        held, self._held, self._in_head = self._held, b"", False
        return held

    def _may_be_head(self, data: bytes) -> bool:
        start = data[: len(_START)]
        return len(data) <= MAX_HEAD and start == _START[: len(start)]

    def _put_right(self, head: bytes) -> bytes:
        lengths = [part.strip() for line in _LENGTH.findall(head) for part in line.split(b",")]
        if not lengths or len(set(lengths)) > 1 or not lengths[0].isdigit():
            return head
        if _CHUNKED.search(head):
            self.chunks_won = True
            return _LENGTH.sub(b"", head)
        if len(lengths) == 1:
            return head
        once = b"Content-Length: %b\r\n" % lengths[0]
        return _LENGTH.sub(b"", head).replace(b"\n", b"\n" + once, 1)
