"""JSON that arrives in pieces, with the images in it led past us instead of through us.

A scanner copies ordinary values to a small skeleton, which is decoded at the end. The text of an
image string leaves it piece by piece on its way to the sink; strings that nobody wants, such as
thought signatures of megabytes, vanish. Memory is a chunk, whatever the size of the answer.

Outside of strings one compiled expression swallows a whole short string, or one bracket, at a
time; inside a long string the only work is to find its end.
"""

import re
import secrets

from nbp_async._dialects.base import ImageEnd, ImageText, Part
from nbp_async._errors import MalformedReplyError, TruncatedError

MOST_KEPT = 8 * 1024  # bytes of an ordinary string; longer ones are dropped
MOST_SKELETON = 1024 * 1024  # bytes
MOST_DEPTH = 512

_INSIDE = rb'[^"\\]*+(?:\\.[^"\\]*+)*+'
# 1 a string's inside, 2 the colon that makes it a key, 3 opening, 4 closing, 5 an unfinished string
_TOKEN = re.compile(rb'"(' + _INSIDE + rb')"(\s*+:)?|([{\[])|([}\]])|(")', re.DOTALL)
_BODY = re.compile(_INSIDE, re.DOTALL)
_BLANKS = re.compile(rb"[ \t\r\n]*+")
_ESCAPE = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_CUT_ESCAPE = re.compile(rb"\\(?:u[0-9a-fA-F]{0,3})?\Z")
_PLAIN = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
_DATA = b"data:"

# Stands for image number n in the skeleton. No server can guess it, so none can forge it.
_MARK = f"image-{secrets.token_hex(16)}-"

_OUTSIDE, _IMAGE, _DROP = range(3)


def image_of(value: object) -> int | None:
    """The number of the image that a string of the skeleton stands for, or None."""
    if isinstance(value, str) and value.startswith(_MARK):
        return int(value[len(_MARK) :])
    return None


class JsonScan:
    """Scan one JSON document.

    Args:
        image_keys: Keys whose string is the base64 text of an image.
        link_keys: Keys whose string is one if it begins with `data:`, else an ordinary value.
        drop_keys: Keys whose string nobody wants.
    """

    __slots__ = ("_begun", "_depth", "_drop", "_image", "_images", "_links", "_mode", "_rest",
                 "_size", "_skeleton", "_special")  # fmt: skip

    def __init__(
        self,
        *,
        image_keys: frozenset[bytes],
        link_keys: frozenset[bytes] = frozenset(),
        drop_keys: frozenset[bytes] = frozenset(),
    ) -> None:
        self._images = image_keys
        self._links = link_keys
        self._drop = drop_keys
        self._special = image_keys | link_keys | drop_keys
        self._rest = b""  # what can't be understood before more is here
        self._skeleton: list[bytes] = []
        self._size = 0
        self._depth = 0
        self._begun = False
        self._mode = _OUTSIDE
        self._image = -1

    @property
    def complete(self) -> bool:
        """The document has closed."""
        return self._begun and self._depth == 0 and self._mode == _OUTSIDE

    def feed(self, data: bytes) -> list[Part]:
        """Take a piece of the document, give the image text that is in it.

        Raises:
            MalformedReplyError: It is no JSON, is nested too deep, or has too much in it.
        """
        if self._rest:
            data = self._rest + data
            self._rest = b""
        if not self._begun:
            data = self._begin(data)
        parts: list[Part] = []
        at, end = 0, len(data)
        while at < end:
            if self._mode == _OUTSIDE:
                at = self._outside(data, at)
            else:
                at = self._inside(data, at, parts)
        return parts

    def close(self) -> bytes:
        """The document ended: its skeleton.

        Raises:
            TruncatedError: It is not whole.
        """
        if not self._begun and not self._rest.strip():
            raise TruncatedError("The answer is empty.")
        if not self.complete:
            raise TruncatedError("The answer's JSON ends before it is whole.")
        return b"".join(self._skeleton)

    def _begin(self, data: bytes) -> bytes:
        """Look at the first sign of the document."""
        text = data.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
        if not text or b"\xef\xbb\xbf".startswith(text):
            self._rest = text
            return b""
        if text[:1] not in (b"{", b"["):
            what = "an HTML page" if text[:1] == b"<" else "no JSON"
            excerpt = text[:200].decode("utf-8", "replace")
            raise MalformedReplyError(f"The answer is {what}: {excerpt!r}")
        self._begun = True
        return text

    def _outside(self, data: bytes, at: int) -> int:
        """Read structure and short strings; returns where a special string's inside begins."""
        kept_from = at
        while (token := _TOKEN.search(data, at)) is not None:
            kind = token.lastindex
            at = token.end()
            if kind == 2:  # a key
                if token[1] in self._special:
                    value = _over(_BLANKS, data, at)
                    mode = self._mode_of(token[1], data, value)
                    if mode is None:
                        return self._hold(data, kept_from, token.start())
                    if mode != _OUTSIDE:
                        self._keep(data[kept_from:value])
                        self._enter(mode)
                        return value + 1
            elif kind == 3:
                self._depth += 1
                if self._depth > MOST_DEPTH:
                    raise MalformedReplyError(f"The answer is nested over {MOST_DEPTH} deep.")
            elif kind == 4:
                self._depth -= 1
                if self._depth < 0:
                    raise MalformedReplyError("The answer's JSON closes more than it opened.")
            elif kind == 1:  # a string that may yet turn out to be a key
                if at == len(data) or _BLANKS.fullmatch(data, at):
                    return self._hold(data, kept_from, token.start())
                if at - token.start() > MOST_KEPT:
                    self._keep(data[kept_from : token.start()] + b'""')
                    kept_from = at
            else:  # a string whose end is not here
                if len(data) - at <= MOST_KEPT:
                    return self._hold(data, kept_from, token.start())
                self._keep(data[kept_from : token.start()])
                self._enter(_DROP)
                return at
        self._keep(data[kept_from:])
        return len(data)

    def _hold(self, data: bytes, kept_from: int, held_from: int) -> int:
        """Keep what is understood, and the rest until more is here."""
        self._keep(data[kept_from:held_from])
        self._rest = data[held_from:]
        return len(data)

    def _mode_of(self, key: bytes, data: bytes, at: int) -> int | None:
        """What to do with the value of a special key; None if that can't be told yet."""
        if at == len(data):
            return None
        if data[at] != 0x22:
            return _OUTSIDE
        if key in self._images:
            return _IMAGE
        if key in self._drop:
            return _DROP
        start = data[at + 1 : at + 1 + len(_DATA)].lower()
        if start == _DATA:
            return _IMAGE
        return None if _DATA.startswith(start) and len(start) < len(_DATA) else _OUTSIDE

    def _enter(self, mode: int) -> None:
        """A special string begins; it leaves a mark in the skeleton."""
        self._mode = mode
        if mode == _IMAGE:
            self._image += 1
            self._keep(b'"%b%d"' % (_MARK.encode(), self._image))
        else:
            self._keep(b'""')

    def _inside(self, data: bytes, at: int, parts: list[Part]) -> int:
        """Pass over a special string; returns where what follows it begins."""
        end = data.find(b'"', at)
        stop = end if end >= 0 else len(data)
        escaped = data.find(b"\\", at, stop) >= 0
        if escaped:
            stop = _over(_BODY, data, at)
            end = stop if stop < len(data) and data[stop] == 0x22 else -1
            if end < 0:
                cut = _CUT_ESCAPE.search(data, max(at, len(data) - 6))
                stop = cut.start() if cut else len(data)
                self._rest = data[stop:]
        if self._mode == _IMAGE and stop > at:
            text = data[at:stop]
            parts.append(ImageText(self._image, _unescape(text) if escaped else text))
        if end < 0:
            return len(data)
        if self._mode == _IMAGE:
            parts.append(ImageEnd(self._image))
        self._mode = _OUTSIDE
        return end + 1

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > MOST_SKELETON:
            raise MalformedReplyError("The answer has over a megabyte besides its images.")
        self._skeleton.append(piece)


def _over(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    """Where what matches from `at` on ends."""
    found = pattern.match(data, at)
    return found.end() if found else at


def _unescape(text: bytes) -> bytes:
    """Undo JSON's escapes. Some servers write every / as \\/, so that form has a short way."""
    if b"\\\\" not in text and text.count(b"\\") == text.count(b"\\/"):
        return text.replace(b"\\/", b"/")
    return _ESCAPE.sub(_meaning, text)


def _meaning(escape: re.Match[bytes]) -> bytes:
    if escape[1] is not None:
        return chr(int(escape[1], 16)).encode("utf-8", "replace")
    return _PLAIN.get(escape[2], escape[2])
