"""Base64 text in, bytes out, in pieces of any length; no I/O here.

Vendors and relays send it with a `data:` prefix, in the URL-safe alphabet, without padding, or in
lines. Those are understood. Anything else is an error: a decoder that skips what it does not
understand gives an image with a hole in it.
"""

import binascii
import re

import pybase64

from nbp_async._errors import MalformedReplyError

_PREFIX = re.compile(rb"data:[^,]{0,200}?;base64,", re.IGNORECASE)
_LONGEST_PREFIX = 220
_LARGE = 4096  # bytes of text that it takes longer to copy than to look where it is cut
_PAD = ord("=")
_FROM_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_BLANKS = b" \t\r\n"


class Base64Stream:
    """Decode one text. After `close` it is used up."""

    __slots__ = ("_begun", "_ended", "_rest")

    def __init__(self) -> None:
        self._rest = b""  # 0 to 3 characters that wait for their group of four
        self._begun = False  # what may be a prefix has been looked at
        self._ended = False  # padding was seen: nothing may follow

    def feed(self, text: bytes) -> bytes:
        """Decode what is whole of `text` and what was left over.

        Raises:
            MalformedReplyError: It is not base64.
        """
        if len(text) >= _LARGE and self._begun and not self._ended:
            data = self._as_it_lies(text)
            if data is not None:
                return data
        if self._rest:
            text = self._rest + text
            self._rest = b""
        if not self._begun:
            text = self._skip_prefix(text)
            if not self._begun:
                self._rest = text
                return b""
        whole = len(text) & ~3
        if not whole:
            self._rest = text
            return b""
        if whole != len(text):
            self._rest = text[whole:]
            text = text[:whole]
        if self._ended:
            return self._after_the_end(text)
        try:
            data = pybase64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return self._slowly(text + self._rest)
        self._ended = text.endswith(b"=")
        return data

    def close(self) -> bytes:
        """The text is complete: decode what is left, which may lack its padding."""
        rest, self._rest = self._rest, b""
        if not self._begun and rest[:5].lower() == b"data:":
            raise MalformedReplyError("The image is a data: address without base64 in it.")
        rest = rest.translate(_FROM_URL_SAFE, _BLANKS).rstrip(b"=" if not self._ended else b"")
        if not rest:
            return b""
        if self._ended or len(rest) == 1:
            raise MalformedReplyError("The image's base64 does not end where it should.")
        return _decode(rest + b"=" * (-len(rest) % 4))

    def _skip_prefix(self, text: bytes) -> bytes:
        """Drop `data:image/png;base64,` from the front, once enough of it is here to tell."""
        text = text.lstrip(_BLANKS)
        if not b"data:".startswith(text[:5].lower()):
            self._begun = True
            return text
        found = _PREFIX.match(text)
        if found:
            self._begun = True
            return text[found.end() :]
        if len(text) > _LONGEST_PREFIX:
            raise MalformedReplyError("The image is a data: address without base64 in it.")
        return text

    def _as_it_lies(self, text: bytes) -> bytes | None:
        """Decode the midst of a plain text, and copy none of it; None if it may be anything else.

        Only the group that is cut by the edge between two pieces is put together.
        """
        start = -len(self._rest) & 3
        end = start + (len(text) - start & ~3)
        if text[end - 1] == _PAD:
            return None
        try:
            first = pybase64.b64decode(self._rest + text[:start], validate=True)
            data = pybase64.b64decode(memoryview(text)[start:end], validate=True)
        except (binascii.Error, ValueError):
            return None
        if len(first) not in (0, 3):  # it ended there, and this is more
            return None
        self._rest = text[end:]
        return first + data if first else data

    def _slowly(self, text: bytes) -> bytes:
        """Refused as it stands: drop blanks, translate the other alphabet, and try once more."""
        self._rest = b""
        text = text.translate(_FROM_URL_SAFE, _BLANKS)
        whole = len(text) & ~3
        self._rest = text[whole:]
        text = text[:whole]
        if text:
            data = _decode(text)
            self._ended = text.endswith(b"=")
            return data
        return b""

    def _after_the_end(self, text: bytes) -> bytes:
        if (text + self._rest).strip(_BLANKS):
            raise MalformedReplyError("The image's base64 goes on after its end.")
        self._rest = b""
        return b""


def _decode(text: bytes) -> bytes:
    try:
        return pybase64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        problem = MalformedReplyError("The image's base64 has signs in it that are none.")
    raise problem
