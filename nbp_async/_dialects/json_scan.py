"""JSON that arrives in pieces, with the images in it led past us instead of through us.

A scanner copies ordinary values to a small skeleton, which is decoded at the end. The text of an
image string leaves it piece by piece on its way to the sink; strings that nobody wants, such as
thought signatures of megabytes, vanish. Memory is a chunk, whatever the size of the answer.

Outside of image strings one compiled expression swallows all there is up to the next key that
matters; inside one the only work is to find its end.
"""

import re
import secrets

import msgspec

from nbp_async._dialects.base import ImageEnd, ImageText, Part
from nbp_async._dialects.read import clean
from nbp_async._errors import MalformedReplyError, TruncatedError

MOST_KEPT = 8 * 1024  # bytes of an ordinary string with its quotes; a longer one is dropped
MOST_SKELETON = 1024 * 1024  # bytes

_INSIDE = rb'[^"\\]*+(?:\\.[^"\\]*+)*+'
_STRING = re.compile(b'"' + _INSIDE + b'"', re.DOTALL)
_TO_END = re.compile(_INSIDE, re.DOTALL)
_ESCAPE = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_LONGEST_ESCAPE = 6  # bytes: \\u002b
_PLAIN = {
    b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f",
    b"/": b"/", b'"': b'"', b"\\": b"\\",
}  # fmt: skip
# Escapes that some server writes wherever base64 has the sign: PHP, .NET, line breaks.
_COMMON = (
    (b"\\/", b"/"), (b"\\u002B", b"+"), (b"\\u002b", b"+"), (b"\\n", b"\n"), (b"\\r", b"\r"),
    (b"\\u003d", b"="), (b"\\u003D", b"="), (b"\\u002f", b"/"), (b"\\u002F", b"/"),
)  # fmt: skip
_DATA = b"data:"

# Stands for image number n in the skeleton. No server can guess it, so none can forge it.
_MARK = f"image-{secrets.token_hex(16)}-"
_OPEN_MARK = b'"' + _MARK.encode()

_OUTSIDE, _IMAGE, _DROP = range(3)


class Keys:
    """Which strings matter, compiled once for all answers of a dialect.

    Args:
        image: Keys whose string is the base64 text of an image.
        link: Keys whose string is one if it begins with `data:`, else an ordinary value.
        drop: Keys whose string nobody wants.
    """

    def __init__(
        self,
        *,
        image: frozenset[bytes],
        link: frozenset[bytes] = frozenset(),
        drop: frozenset[bytes] = frozenset(),
    ) -> None:
        self.image = image
        self.drop = drop
        special = b"|".join(sorted(map(re.escape, image | link | drop)))
        # All that is no such key. A string at the very end may yet become one by its colon.
        self.plain = re.compile(
            # `(?>`: before Python 3.11.5 a possessive repeat of alternatives that may go back
            # passes over keys that its lookahead forbids.
            rb'(?:(?>[^"]++|"(?!(?:' + special + rb')"\s*+(?::|\Z))' + _INSIDE + rb'"))*+',
            re.DOTALL,
        )
        self.key = re.compile(rb'"(' + special + rb')"\s*+:\s*+(?=[^\s])', re.DOTALL)
        self.waiting = re.compile(rb'("(?:' + special + rb')")\s*+(:?)\s*+\Z', re.DOTALL)


def image_of(value: object) -> int | None:
    """The number of the image that a string of the skeleton stands for, or None."""
    if isinstance(value, str) and value.startswith(_MARK):
        return int(value[len(_MARK) :])
    return None


class JsonScan:
    """Scan one JSON document for the strings of `keys`."""

    __slots__ = (
        "_begun", "_counted", "_depth", "_image", "_keys", "_mode", "_rest", "_size", "_skeleton"
    )  # fmt: skip

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._rest = b""  # what can't be understood before more is here
        self._skeleton: list[bytes] = []
        self._size = 0
        self._begun = False
        self._mode = _OUTSIDE
        self._image = -1
        self._counted = 0  # pieces of the skeleton that `_depth` knows
        self._depth = 0  # objects and arrays that are open

    @property
    def complete(self) -> bool:
        """The document has closed. Counts what came since it was asked last."""
        if self._mode != _OUTSIDE or self._rest or not self._begun:
            return False
        for piece in self._skeleton[self._counted :]:
            bare = _STRING.sub(b"", piece)  # a piece is made of whole strings
            self._depth += bare.count(b"{") + bare.count(b"[") - bare.count(b"}") - bare.count(b"]")
        self._counted = len(self._skeleton)
        return self._depth <= 0

    def feed(self, data: bytes) -> list[Part]:
        """Take a piece of the document, give the image text that is in it.

        Raises:
            MalformedReplyError: It is no JSON, or has too much besides its images.
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

    def close(self) -> object:
        """The document ended: its values, with marks for the images (see `image_of`).

        Raises:
            TruncatedError: It is not whole.
            MalformedReplyError: It is no JSON.
        """
        if not self._begun and not self._rest.strip():
            raise TruncatedError("The answer is empty.")
        if self._mode != _OUTSIDE or self._rest:
            raise TruncatedError("The answer's JSON ends within a string.")
        try:
            return msgspec.json.decode(b"".join(self._skeleton))
        except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
            words = str(exc)[:200]
        if "truncated" in words:
            raise TruncatedError("The answer's JSON ends before it is whole.")
        raise MalformedReplyError(f"The answer is no valid JSON: {words}.")

    def _begin(self, data: bytes) -> bytes:
        """Look at the first sign of the document."""
        if data[:1] == b"{":
            self._begun = True
            return data
        text = data.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
        if not text or b"\xef\xbb\xbf".startswith(text):
            self._rest = text
            return b""
        if text[:1] not in (b"{", b"["):
            what = "an HTML page" if text[:1] == b"<" else "no JSON"
            excerpt = clean(text[:800].decode("utf-8", "replace"))
            raise MalformedReplyError(
                f'The answer is {what}: "{excerpt}".',
                hint="Did the vendor answer, or something on the way? Check the address.",
            )
        self._begun = True
        return text

    def _outside(self, data: bytes, at: int) -> int:
        """Keep what is ordinary; returns where the inside of a special string begins."""
        keys = self._keys
        from_ = at
        while True:
            at = _over(keys.plain, data, at)
            if at == len(data):
                self._keep(data[from_:])
                return at
            key = keys.key.match(data, at)
            if key is None:  # a key without its value yet, or a string without its end
                if len(data) - at <= MOST_KEPT:
                    return self._hold(data, from_, at)
                self._keep(data[from_:at])
                blank = keys.waiting.match(data, at)
                if blank is not None:
                    self._rest = blank[1] + blank[2]
                    return len(data)
                self._enter(_DROP)
                return at + 1
            mode = self._mode_of(key[1], data, key.end())
            if mode is None:
                return self._hold(data, from_, at)
            at = key.end()
            if mode != _OUTSIDE:
                self._keep(data[from_:at])
                self._enter(mode)
                return at + 1

    def _hold(self, data: bytes, from_: int, held_from: int) -> int:
        """Keep what is understood, and the rest until more is here."""
        self._keep(data[from_:held_from])
        self._rest = data[held_from:]
        return len(data)

    def _mode_of(self, key: bytes, data: bytes, at: int) -> int | None:
        """What to do with the value of a special key; None if that can't be told yet."""
        if data[at] != 0x22:
            return _OUTSIDE
        if key in self._keys.image and data[at + 1 : at + 2] in (b"", b'"'):
            # An empty string is no image: some relays send one beside a link.
            return None if at + 1 == len(data) else _OUTSIDE
        if key in self._keys.image:
            return _IMAGE
        if key in self._keys.drop:
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
            self._keep(b'%b%d"' % (_OPEN_MARK, self._image))
        else:
            self._keep(b'""')

    def _inside(self, data: bytes, at: int, parts: list[Part]) -> int:
        """Pass over a special string; returns where what follows it begins."""
        end = end_of_string(data, at)
        stop = end if end >= 0 else whole_escapes(data, at)
        if self._mode == _IMAGE and stop > at:
            text = data[at:stop]
            parts.append(ImageText(self._image, _unescape(text) if b"\\" in text else text))
        if end < 0:
            self._rest = data[stop:]
            return len(data)
        if self._mode == _IMAGE:
            parts.append(ImageEnd(self._image))
        self._mode = _OUTSIDE
        return end + 1

    def _keep(self, piece: bytes) -> None:
        if len(piece) > MOST_KEPT:  # it may have come at once and yet be too long
            piece = _STRING.sub(_unless_long, piece)
        self._size += len(piece)
        if self._size > MOST_SKELETON:
            raise MalformedReplyError("The answer has over a megabyte besides its images.")
        if piece:
            self._skeleton.append(piece)


def _over(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    """Where what matches from `at` on ends."""
    found = pattern.match(data, at)
    return found.end() if found else at


def _unless_long(string: re.Match[bytes]) -> bytes:
    return string[0] if len(string[0]) <= MOST_KEPT else b'""'


def end_of_string(data: bytes, at: int) -> int:
    """Where the quote is that ends the string whose inside begins at `at`, or -1."""
    end = data.find(b'"', at)
    if end > at and data[end - 1] == 0x5C and _backslashes(data, at, end) % 2:
        # Quotes within it: it is no base64, and may have many.
        end = _over(_TO_END, data, at)
        return end if data[end : end + 1] == b'"' else -1
    return end


def _backslashes(data: bytes, at: int, end: int) -> int:
    """How many of them stand in a row before `end`."""
    piece = data[at:end]
    return len(piece) - len(piece.rstrip(b"\\"))


def whole_escapes(data: bytes, at: int) -> int:
    """The end of `data`, or where the escape begins that is cut off by it."""
    end = len(data)
    last = data.rfind(b"\\", max(at, end - _LONGEST_ESCAPE + 1))
    if last < 0 or _backslashes(data, at, last + 1) % 2 == 0:
        return end
    return last if last + 1 == end or data[last + 1] == 0x75 else end


def _unescape(text: bytes) -> bytes:
    """Undo JSON's escapes; the common ones without a look at each."""
    if text.count(b"\\") == text.count(b"\\/"):
        return text.translate(None, b"\\")
    if b"\\\\" not in text:  # then every backslash begins an escape
        for written, meant in _COMMON:
            text = meant.join(text.split(written))  # a third faster than replace
            if b"\\" not in text:
                return text
    return _ESCAPE.sub(_meaning, text)


def _meaning(escape: re.Match[bytes]) -> bytes:
    if escape[1] is not None:
        return chr(int(escape[1], 16)).encode("utf-8", "replace")
    meant = _PLAIN.get(escape[2])
    if meant is None:
        raise MalformedReplyError("The answer has an escape in it that is none.")
    return meant
