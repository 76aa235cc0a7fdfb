"""Base64 text in, bytes out, in pieces of any length; no I/O here.

Vendors and relays send it with a `data:` prefix, in the URL-safe alphabet, without padding, or in
lines. Anything else is an error: a decoder that skips what it does not understand makes an image
with a hole in it.

Four characters are three bytes. A piece may end within a group of four; its 0 to 3 characters
wait in `_rest` for the next piece:

    feed("iVBORw0")   decodes "iVBO",       "Rw0" waits
    feed("KGgoAA")    decodes "Rw0KGgoA",   "A" waits
    close()           2 or 3 characters that wait lack their padding, which some vendors omit;
                      1 character has only 6 bits: the text was cut
"""

import binascii
import re

import pybase64

from nbp_async._base.errors import MalformedReplyError

_PREFIX = re.compile(rb"data:[^,]{0,200}?;base64,", re.IGNORECASE)
_LONGEST_PREFIX = 220
_LARGE = 4096  # bytes of text; copying more costs more than finding the groups in place
_PAD = ord("=")
_FROM_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_BLANKS = b" \t\r\n"


class Base64Stream:
    """Decodes one text."""

    __slots__ = ("_begun", "_ended", "_rest")

    def __init__(self) -> None:
        self._rest = b""  # 0 to 3 characters that wait for their group of four
        self._begun = False  # the prefix is behind us, or there is none
        self._ended = False  # padding was read: nothing may follow

    def feed(self, text: bytes) -> bytes:
        """Decode the whole groups of `text` and of what was left over before it.

        Raises:
            MalformedReplyError: It is not base64.
        """
        if len(text) >= _LARGE and self._begun and not self._ended:
            data = self._decode_in_place(text)
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
            return self._decode_leniently(text + self._rest)
        self._ended = text.endswith(b"=")
        return data

    def close(self) -> bytes:
        """The text is complete: decode what is left, which may lack its padding.

        Raises:
            MalformedReplyError: It ends within a group, or was not base64 at all.
        """
        rest, self._rest = self._rest, b""
        if not self._begun and rest[:5].lower() == b"data:":
            raise MalformedReplyError("The image is a data: address without base64 in it.")
        rest = rest.translate(_FROM_URL_SAFE, _BLANKS).rstrip(b"=" if not self._ended else b"")
        if not rest:
            return b""
        if self._ended or len(rest) == 1:
            raise MalformedReplyError("The image's base64 is incomplete.")
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

    def _decode_in_place(self, text: bytes) -> bytes | None:
        """Decode the middle of a plain text without copying it; None if it is not so plain.

        Only the group that spans two pieces is joined:

            rest | text
              Rw | 0K GgoA AAAN SUhE ... AAB
                 └ start └─ whole groups ─┘ end
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
        if len(first) not in (0, 3):  # padding within the joined group: the text ended there
            return None
        self._rest = text[end:]
        return first + data if first else data

    def _decode_leniently(self, text: bytes) -> bytes:
        """Drop white space, translate the URL-safe alphabet, and try once more."""
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
        problem = MalformedReplyError("The image's base64 contains invalid characters.")
    raise problem
