"""JSON that arrives in pieces, with the images led past memory on their way to the sink.

The scanner copies ordinary values to a small skeleton, which is decoded when the document ends. The
text of an image string leaves it piece by piece; strings that nobody wants, such as thought
signatures of megabytes, are dropped. Memory is one chunk, however large the answer is.

    body      {"data":[{"b64_json":"iVBORw0K ... 20 MB ... ="}],"usage":{...}}
    parts                            ImageText ImageText ImageEnd
    skeleton  {"data":[{"b64_json":"image-<nonce>-0"}],"usage":{...}}

A string is an image by its key, or under any key by how it begins: as base64 of an image file does.
A `data:image/...;base64,` address within a text is lifted out of it:

    body      {"text":"Here: ![a](data:image/png;base64,iVBORw0K ... 20 MB ... =) Done."}
    skeleton  {"text":"Here: ![a](image-<nonce>-0) Done."}

Outside of image strings one compiled expression passes over everything up to the next key that
matters; inside one, the only work is to find its end.

A chunk may end anywhere. What cannot be understood yet is kept in `_rest` and joined to the next
chunk: a key without its colon, `da` of `data:`, half an escape. So a document gives the same parts
however it is cut. One that is cut short ends in TruncatedError: a rest or an open string is left
over, or the JSON decoder finds the skeleton open.
"""

import re

from nbp_async._base.errors import MalformedReplyError, TruncatedError
from nbp_async._dialects.base import Clean, ImageEnd, ImageText, Part
from nbp_async._dialects.image_strings import (
    ADDRESS,
    ADDRESS_HEAD,
    BASE64,
    BASE64_IMAGE,
    IMAGE_BEGINS,
    LONGEST_BEGINNING,
    LONGEST_HEAD,
    length_of_cut_address,
    mark_of,
)
from nbp_async._dialects.json_escapes import INSIDE, end_of_string, unescape, whole_escapes
from nbp_async._dialects.json_repair import read_documents
from nbp_async._dialects.reply_fields import sanitize

MOST_KEPT = 8 * 1024  # bytes of an ordinary string with its quotes; a longer string is dropped
MOST_SKELETON = 1024 * 1024  # bytes

_STRING = re.compile(b'"' + INSIDE + b'"', re.DOTALL)
_DATA = b"data:"
_HTTP = re.compile(rb"https?:", re.IGNORECASE)

_OUTSIDE, _IMAGE, _DROP, _TEXT, _IN_TEXT = range(5)


class Keys:
    """The keys whose strings matter, compiled once for all answers of a dialect.

    Args:
        image: Keys whose string is the base64 text of an image.
        link: Keys whose string is an image if it begins with `data:`, whatever its media type.
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
        special_or_image = rb"(?:" + special + rb')"\s*+(?::|\Z)|' + BASE64_IMAGE
        # Everything that is no such key, and does not begin like an image. A string at the very
        # end may become a key by its colon.
        self.plain = re.compile(
            # `(?>` and not the possessive repeat alone: before Python 3.11.5 that passes over keys
            # which the lookahead forbids (python/cpython#100061, #106052).
            rb'(?:(?>[^"]++|"(?!' + special_or_image + rb")" + INSIDE + rb'"))*+',
            re.DOTALL,
        )
        self.key = re.compile(rb'"(' + special + rb')"\s*+:\s*+(?=[^\s])', re.DOTALL)
        self.waiting = re.compile(rb'("(?:' + special + rb')")\s*+(:?)\s*+\Z', re.DOTALL)


class JsonScan:
    """Scan one JSON document for the strings of `keys`.

    Attributes:
        clean: What is kept is read through it; see `base.Decoder`.
        later: Further documents that followed it; known when it is closed, as are the next two.
        notes: What was wrong with its JSON, which was read all the same; see `json_repair`.
        is_cut: What follows it is not whole.
    """

    __slots__ = (
        "_begun",
        "_counted",
        "_depth",
        "_image",
        "_keys",
        "_mode",
        "_rest",
        "_segment",
        "_size",
        "_skeleton",
        "_string",
        "clean",
        "is_cut",
        "later",
        "notes",
    )

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self.clean: Clean = bytes  # which changes nothing
        self._rest = b""  # what cannot be understood before more is here
        self._skeleton: list[bytes] = []
        self._size = 0
        self._begun = False
        self._mode = _OUTSIDE
        self._image = -1
        self._string: list[bytes] = []  # of a text with images: what is kept of it
        self._segment = b""  # and its words since the last image
        self._counted = 0  # pieces of the skeleton that `_depth` includes
        self._depth = 0  # objects and arrays that are open
        self.later: list[object] = []
        self.notes: tuple[str, ...] = ()
        self.is_cut = False

    @property
    def complete(self) -> bool:
        """The document has closed. Each call counts only what came since the last one."""
        if self._mode != _OUTSIDE or self._rest or not self._begun:
            return False
        for piece in self._skeleton[self._counted :]:
            bare = _STRING.sub(b"", piece)  # a piece never ends within a string
            self._depth += bare.count(b"{") + bare.count(b"[") - bare.count(b"}") - bare.count(b"]")
        self._counted = len(self._skeleton)
        return self._depth <= 0

    def feed(self, data: bytes) -> list[Part]:
        """Take a piece of the document, give the image text that is in it.

        Raises:
            MalformedReplyError: It is not JSON, or too large apart from its images.
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
            elif self._mode == _TEXT:
                at = self._text(data, at)
            elif self._mode == _IN_TEXT:
                at = self._image_in_text(data, at, parts)
            else:
                at = self._inside(data, at, parts)
        return parts

    def close(self) -> object:
        """The document ended: its values, with marks for the images (see `image_strings`).

        What follows it is in `later`, and what was wrong with it in `notes`.

        Raises:
            TruncatedError: It is not whole.
            MalformedReplyError: It is not JSON.
        """
        if not self._begun and not self._rest.strip():
            raise TruncatedError("The response is empty.")
        text = b"".join(self._skeleton)
        is_open = self._mode != _OUTSIDE or bool(self._rest)
        try:
            text = text if self._mode != _OUTSIDE else text + self._rest
            found = read_documents(self.clean(text))
        except MalformedReplyError:
            if not is_open:
                raise
        else:
            self.later, self.notes = found.later, found.notes
            self.is_cut = found.is_cut or is_open
            return found.first
        problem = TruncatedError("The JSON of the response ends within a string.")
        raise problem

    def _begin(self, data: bytes) -> bytes:
        """Check the first byte of the document, which a byte order mark may precede."""
        if data[:1] == b"{":
            self._begun = True
            return data
        text = data.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
        if b"\xef\xbb\xbf".startswith(text):  # nothing yet, or half a byte order mark
            self._rest = text
            return b""
        if text[:1] not in (b"{", b"["):
            what = "an HTML page" if text[:1] == b"<" else "not JSON"
            excerpt = sanitize(self.clean(text[:800]).decode("utf-8", "replace"))
            error = MalformedReplyError(
                f'The response is {what}: "{excerpt}".',
                hint="Did the vendor send it, or a proxy on the way? Check the address.",
            )
            error.billing = "maybe"  # nobody knows who wrote it
            raise error
        self._begun = True
        return text

    def _outside(self, data: bytes, at: int) -> int:
        """Keep ordinary values; returns where the inside of a special string begins.

        {"id":1,"data":"iVBO      the key is here, its string begins: enter it
        {"id":1,"data":           the value is not here yet: hold `"data":`
        ["iVBORw0KGgo             it begins like an image: enter it
        {"text":"data:image       a text with an image in it: enter it
        {"id":1,"text":"aaa...    over MOST_KEPT and no end: a text, dropped but for its images
        """
        keys = self._keys
        from_ = at
        while True:
            at = self._pass_plain(data, at)
            if at == len(data):
                self._keep(data[from_:])
                return at
            key = keys.key.match(data, at)
            if key is None:  # an image, a text with one, a string without its end or its value
                mode = self._mode_of_value(data, at)
                if mode is not None:
                    self._keep(data[from_:at])
                    self._enter(mode)
                    return at + 1
                if len(data) - at <= MOST_KEPT:
                    return self._hold(data, from_, at)
                self._keep(data[from_:at])
                waiting = keys.waiting.match(data, at)
                if waiting is not None:  # a key and kilobytes of blanks: keep the key alone
                    self._rest = waiting[1] + waiting[2]
                    return len(data)
                self._enter(_TEXT)
                return at + 1
            mode = self._mode_of(key[1], data, key.end())
            if mode is None:
                return self._hold(data, from_, at)
            at = key.end()
            if mode != _OUTSIDE:
                self._keep(data[from_:at])
                self._enter(mode)
                return at + 1

    def _pass_plain(self, data: bytes, at: int) -> int:
        """The next key that matters, or string that is an image or may have one in it."""
        end = _over(self._keys.plain, data, at)
        address = data.find(ADDRESS, at, end)
        if address >= 0:
            # With the end put there, the string that it stands in has no end, and is not passed.
            match = self._keys.plain.match(data, at, address)
            stop = match.end() if match else at
            if data[stop : stop + 1] == b'"':
                return stop
        return end

    def _mode_of_value(self, data: bytes, at: int) -> int | None:
        """How to enter the string that begins at `at`; None if that is not known, or not needed."""
        if IMAGE_BEGINS.match(data, at + 1):
            return _IMAGE
        end = end_of_string(data, at + 1)
        return _TEXT if data.find(ADDRESS, at, end) >= 0 and end >= 0 else None

    def _hold(self, data: bytes, from_: int, held_from: int) -> int:
        """Keep what is understood, and hold the rest until more is here."""
        self._keep(data[from_:held_from])
        self._rest = data[held_from:]
        return len(data)

    def _mode_of(self, key: bytes, data: bytes, at: int) -> int | None:
        """What to do with the value of a special key; None while that cannot be known."""
        if data[at] != 0x22:
            return _OUTSIDE
        if key in self._keys.drop:
            return _DROP
        start = data[at + 1 : at + 1 + LONGEST_BEGINNING]
        ends = b'"' in start or len(start) == LONGEST_BEGINNING
        if key in self._keys.image:
            if not start or (not ends and b"https:".startswith(start.lower())):
                return None
            # An empty string is not an image: some relays send one next to a link, or the link.
            return _OUTSIDE if start[:1] == b'"' or _HTTP.match(start) else _IMAGE
        if start[: len(_DATA)].lower() == _DATA or IMAGE_BEGINS.match(start):
            return _IMAGE
        return _OUTSIDE if ends else None

    def _enter(self, mode: int) -> None:
        """A special string begins; it leaves a mark in the skeleton."""
        self._mode = mode
        if mode == _IMAGE:
            self._image += 1
            self._keep(f'"{mark_of(self._image)}"'.encode())
        elif mode == _TEXT:
            self._string, self._segment = [b'"'], b""
        else:
            self._keep(b'""')

    def _text(self, data: bytes, at: int) -> int:
        """Pass over a text up to its end, or to the next image in it; returns where that begins."""
        end = end_of_string(data, at)
        stop = end if end >= 0 else whole_escapes(data, at)
        address = data.find(ADDRESS, at, stop)
        if address >= 0:
            head = ADDRESS_HEAD.match(data, address, stop)
            if head is None and end < 0 and len(data) - address < LONGEST_HEAD:
                return self._hold_text(data, at, address)
            if head is None:
                self._segment += data[at : address + len(ADDRESS)]
                return address + len(ADDRESS)
            self._segment += data[at:address]
            self._image += 1
            self._end_segment(mark_of(self._image).encode())
            self._mode = _IN_TEXT
            return head.end()
        if end < 0:
            return self._hold_text(data, at, stop - length_of_cut_address(data[at:stop]))
        self._segment += data[at:end]
        self._end_segment(b'"')
        self._append(b"".join(self._string))
        self._mode = _OUTSIDE
        return end + 1

    def _hold_text(self, data: bytes, at: int, held_from: int) -> int:
        """Keep the text up to there, and hold the rest until more is here."""
        self._segment += data[at:held_from][: MOST_KEPT + 1 - len(self._segment)]
        self._rest = data[held_from:]
        return len(data)

    def _end_segment(self, then: bytes) -> None:
        """The text between two images is complete; one that is too long is dropped."""
        kept = self._segment if len(self._segment) + 2 <= MOST_KEPT else b""
        self._string += [kept, then]
        self._segment = b""

    def _image_in_text(self, data: bytes, at: int, parts: list[Part]) -> int:
        """Pass over base64 within a text; returns where the text goes on."""
        end = _over(BASE64, data, at)
        if end > at:
            text = data[at:end]
            parts.append(ImageText(self._image, unescape(text) if b"\\" in text else text))
        if end == len(data):
            return end
        if whole_escapes(data, end) == end:  # an escape that is cut, perhaps of base64
            self._rest = data[end:]
            return len(data)
        parts.append(ImageEnd(self._image))
        self._mode = _TEXT
        return end

    def _inside(self, data: bytes, at: int, parts: list[Part]) -> int:
        """Pass over an image, or what is dropped; returns where what follows it begins."""
        end = end_of_string(data, at)
        stop = end if end >= 0 else whole_escapes(data, at)
        if self._mode == _IMAGE and stop > at:
            text = data[at:stop]
            parts.append(ImageText(self._image, unescape(text) if b"\\" in text else text))
        if end < 0:
            self._rest = data[stop:]
            return len(data)
        if self._mode == _IMAGE:
            parts.append(ImageEnd(self._image))
        self._mode = _OUTSIDE
        return end + 1

    def _keep(self, piece: bytes) -> None:
        if len(piece) > MOST_KEPT:  # a string that came whole may be too long as well
            piece = _STRING.sub(_unless_long, piece)
        self._append(piece)

    def _append(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > MOST_SKELETON:
            raise MalformedReplyError("The response has over a megabyte apart from its images.")
        if piece:
            self._skeleton.append(piece)


def _over(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    """The end of the match that begins at `at`."""
    match = pattern.match(data, at)
    return match.end() if match else at


def _unless_long(string: re.Match[bytes]) -> bytes:
    return string[0] if len(string[0]) <= MOST_KEPT else b'""'
