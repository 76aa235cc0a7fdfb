"""Walks through the parts of an image file while it arrives, to find its pixels and its end.

A file is a chain of parts, each of which says how long it is. What a part contains is passed over,
not kept, and no pixels are decoded.

| format | its parts | its end |
| --- | --- | --- |
| PNG | chunks | after the chunk IEND |
| JPEG | segments, then the scan, whose length nobody says | the mark FFD9 |
| WebP | one RIFF chunk | where it says |
| GIF | blocks, and blocks of 255 bytes within them | the byte 3B |
| AVIF, HEIC | boxes | after the last whole one |
"""

from abc import ABC, abstractmethod
from typing import Literal

from nbp_async._base.errors import NotAnImageError

Pixels = tuple[int, int]

_LONGEST_META = 256 * 1024  # bytes of the box that has the pixels; it is kept until it is whole
# Boxes that a file may have after its picture (ISO/IEC 14496-12 and 23008-12), at its top level.
_LATER_BOXES = frozenset(
    b"ftyp styp free skip uuid meta meco moov moof mfra mdat imda idat sidx ssix prft jumb".split()
)
_JPEG_END = b"\xff\xd9"
# Start-of-frame markers of a JPEG: C0 to CF except C4, C8 and CC, which are tables.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class PartWalk(ABC):
    """Goes from part to part; a format says how long the part is that begins somewhere.

    Attributes:
        pixels: Width and height, once they are known.
        end: Where the image ends, in bytes from its start, once that is known.
    """

    def __init__(self) -> None:
        self.pixels: Pixels | None = None
        self.end: int | None = None
        self._at = 0  # where the next part begins
        self._skip = 0  # bytes of a part that are still to come
        self._rest = b""  # the beginning of a part whose length is not known yet

    def whole_end(self) -> int | None:
        """Where the image ends; None if that did not come yet."""
        return self.end

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the file.

        Raises:
            NotAnImageError: They are not of this format.
        """
        if self.end is not None:
            return
        data = self._rest + data
        at = self._skip
        while at < len(data) and self.end is None:
            size = self._part(data, at)
            if not size:
                break
            at += size
            self._at += size
        self._rest = data[at:] if self.end is None else b""
        self._skip = max(0, at - len(data))

    @abstractmethod
    def _part(self, data: bytes, at: int) -> int:
        """The length of the part that begins at `at`; 0 until enough of it is here."""


class PngWalk(PartWalk):
    def _part(self, data: bytes, at: int) -> int:
        if not self._at:
            return 8  # the signature, which told the format
        if len(data) < at + 8:
            return 0
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if self.pixels is None:
            if kind != b"IHDR":
                raise NotAnImageError("The image's PNG does not begin with its header.")
            if len(data) < at + 16:
                return 0
            self.pixels = _two(data, at + 8, 4)
        if kind == b"IEND":
            self.end = self._at + size + 12
        return size + 12


class JpegWalk(PartWalk):
    """The scan has no length: in it, only its end mark is looked for.

    Attributes:
        has_scan: The pixels have begun.
        has_end_mark: An end mark came after them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.has_scan = False
        self.has_end_mark = False
        self._last = b""

    def feed(self, data: bytes) -> None:
        if not self.has_scan:
            super().feed(data)
            data = self._rest
        if self.has_scan and not self.has_end_mark:
            # rfind: for two bytes it is twice as fast as find.
            self.has_end_mark = (self._last + data).rfind(_JPEG_END) >= 0
            self._last = data[-1:] or self._last
            self._rest = b""

    def _part(self, data: bytes, at: int) -> int:
        if not self._at:
            return 2  # the start mark, which told the format
        if self.has_scan or len(data) < at + 4:
            return 0
        if data[at] != 0xFF:
            raise NotAnImageError("The image's JPEG has no marker where one must be.")
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            return 1
        if marker in _FRAMES and self.pixels is None:
            if len(data) < at + 9:
                return 0
            height, width = _two(data, at + 5, 2)
            self.pixels = width, height
        if marker == 0xD9 or (marker == 0xDA and self.pixels is None):
            raise NotAnImageError("The image's JPEG has no frame.")
        self.has_scan = marker == 0xDA
        return 2 + int.from_bytes(data[at + 2 : at + 4], "big")


class WebpWalk(PartWalk):
    def _part(self, data: bytes, at: int) -> int:
        if len(data) < at + 30:
            return 0
        head = data[at : at + 30]
        self.pixels = _pixels_of_webp(head)
        size = int.from_bytes(head[4:8], "little") + 8
        self.end = self._at + size
        return size


class GifWalk(PartWalk):
    def __init__(self) -> None:
        super().__init__()
        self._in_blocks = False

    def _part(self, data: bytes, at: int) -> int:
        if not self._at:
            if len(data) < at + 13:
                return 0
            self.pixels = _two(data, at + 6, 2, "little")
            return 13 + _colours(data[at + 10])
        kind = data[at]
        if self._in_blocks:
            self._in_blocks = kind != 0
            return 1 + kind
        if kind == 0x3B:
            self.end = self._at + 1
            return 1
        if kind == 0x21:  # an extension
            self._in_blocks = True
            return 2
        if kind != 0x2C:
            raise NotAnImageError("The image's GIF has a block of an unknown kind.")
        if len(data) < at + 10:
            return 0
        self._in_blocks = True
        return 11 + _colours(data[at + 9])


class BoxWalk(PartWalk):
    """AVIF and HEIC, which nothing ends but the end of the last box.

    A last box may say that it goes on to the end of the file.
    """

    def __init__(self) -> None:
        super().__init__()
        self._met: set[bytes] = set()

    def whole_end(self) -> int | None:
        has_all = b"mdat" in self._met and not self._met.isdisjoint((b"meta", b"moov"))
        return self._at if has_all else None

    def _part(self, data: bytes, at: int) -> int:
        if len(data) < at + 16:
            return 0
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if not kind.isalnum() or size in range(2, 8):
            if b"mdat" not in self._met:
                raise NotAnImageError("The image has no picture in its boxes.")
            self.end = self._at  # what follows is no box
            return 0
        if self.whole_end() is not None and kind not in _LATER_BOXES:
            self.end = self._at  # a foreign tail: the length that it seems to tell means nothing
            return 0
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if kind == b"meta" and 0 < size <= _LONGEST_META:
            if len(data) < at + size:
                return 0
            self.pixels = _pixels_of_boxes(data[at : at + size])
        self._met.add(kind)
        if not size:
            self.end = self._at
            return 0
        return size


def _two(data: bytes, at: int, size: int, order: Literal["big", "little"] = "big") -> Pixels:
    """Two numbers of `size` bytes each, one after the other."""
    one, other = data[at : at + size], data[at + size : at + 2 * size]
    return int.from_bytes(one, order), int.from_bytes(other, order)


def _colours(flags: int) -> int:
    """Bytes of a GIF's colour table."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _pixels_of_webp(head: bytes) -> Pixels:
    kind = head[12:16]
    if kind == b"VP8X":
        width, height = _two(head, 24, 3, "little")
        return 1 + width, 1 + height
    if kind == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = _two(head, 26, 2, "little")
        return width & 0x3FFF, height & 0x3FFF
    raise NotAnImageError(f"The image's WebP begins with {kind!r}.")


def _pixels_of_boxes(meta: bytes) -> Pixels | None:
    """The largest of the pictures, which may be tiles or thumbnails: each has a box `ispe`."""
    found: list[Pixels] = []
    at = meta.find(b"ispe")
    while 0 <= at <= len(meta) - 16:
        found.append(_two(meta, at + 8, 4))
        at = meta.find(b"ispe", at + 4)
    return max(found, key=lambda pixels: pixels[0] * pixels[1], default=None)
