"""Strings of a JSON text that arrives in pieces: where they end, and what their escapes mean."""

import re

from nbp_async._base.errors import MalformedReplyError

INSIDE = rb'[^"\\]*+(?:\\.[^"\\]*+)*+'
"""The inside of a string, as far as it goes."""

_TO_END = re.compile(INSIDE, re.DOTALL)
_ESCAPE = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_LONGEST_ESCAPE = 6  # bytes: \\u002b
_SIMPLE_ESCAPES = {
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"b": b"\b",
    b"f": b"\f",
    b"/": b"/",
    b'"': b'"',
    b"\\": b"\\",
}
# Escapes of characters of base64: PHP writes \/, .NET \u002B, and some servers break the lines.
_COMMON_ESCAPES = (
    (b"\\/", b"/"),
    (b"\\u002B", b"+"),
    (b"\\u002b", b"+"),
    (b"\\n", b"\n"),
    (b"\\r", b"\r"),
    (b"\\u003d", b"="),
    (b"\\u003D", b"="),
    (b"\\u002f", b"/"),
    (b"\\u002F", b"/"),
)


def end_of_string(data: bytes, at: int) -> int:
    """The place of the quote that ends the string whose inside begins at `at`, or -1."""
    end = data.find(b'"', at)
    if end > at and data[end - 1] == 0x5C and _backslashes(data, at, end) % 2:
        # An escaped quote: it is not base64, and may have many of them.
        match = _TO_END.match(data, at)
        end = match.end() if match else at
        return end if data[end : end + 1] == b'"' else -1
    return end


def _backslashes(data: bytes, at: int, end: int) -> int:
    """How many backslashes stand in a row before `end`; an even number escapes itself."""
    piece = data[at:end]
    return len(piece) - len(piece.rstrip(b"\\"))


def whole_escapes(data: bytes, at: int) -> int:
    """The end of `data`, or the place of the escape that is cut there."""
    end = len(data)
    last = data.rfind(b"\\", max(at, end - _LONGEST_ESCAPE + 1))
    if last < 0 or _backslashes(data, at, last + 1) % 2 == 0:
        return end
    return last if last + 1 == end or data[last + 1] == 0x75 else end


def unescape(text: bytes) -> bytes:
    """Undo JSON's escapes. Megabytes may be escaped, so common escapes are replaced all at once."""
    if text.count(b"\\") == text.count(b"\\/"):
        return text.translate(None, b"\\")
    if b"\\\\" not in text:  # then every backslash begins an escape
        for written, meant in _COMMON_ESCAPES:
            text = meant.join(text.split(written))  # a third faster than replace
            if b"\\" not in text:
                return text
    return _ESCAPE.sub(_meaning, text)


def _meaning(escape: re.Match[bytes]) -> bytes:
    if escape[1] is not None:
        return chr(int(escape[1], 16)).encode("utf-8", "replace")
    meant = _SIMPLE_ESCAPES.get(escape[2])
    if meant is None:
        raise MalformedReplyError("The response contains an invalid JSON escape.")
    return meant
