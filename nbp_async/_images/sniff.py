"""What a stream of bytes is: PNG, JPEG or WebP, its pixels, and whether it ends as it should.

Nothing is decoded. The declared type is not believed, for vendors send JPEG as `image/png`; the
first bytes tell the format and the pixels, the last ones whether the file is whole.
"""

from functools import lru_cache
from typing import Literal

import msgspec

from nbp_async._errors import NotAnImageError

ImageFormat = Literal["png", "jpeg", "webp"]
SUFFIX: dict[ImageFormat, str] = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}

MOST_PIXELS = 100_000_000  # the largest that the models draw has 23 million
_HEAD = 64  # bytes that tell a PNG or WebP; a JPEG's frame header may come much later
_TAIL = 12  # bytes of a PNG's end, the longest
_PADDING = b"\0\r\n\t "  # may follow the end: some encoders fill up, some relays add a line
_JPEG = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\0\0\0\0IEND\xae\x42\x60\x82"
# Start-of-frame markers of a JPEG: C0 to CF but for C4, C8 and CC, which are tables.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class ImageFacts(msgspec.Struct, frozen=True, gc=False):
    """What the bytes of a whole image say."""

    format: ImageFormat
    width: int
    height: int


# The images of a list are of a few sizes: a million outcomes share their numbers.
_known = lru_cache(maxsize=64)(ImageFacts)


class ImageSniffer:
    """Look at an image's bytes as they pass; keeps some of the first and the last of them."""

    __slots__ = ("_facts", "_filling", "_frame", "_head", "_size", "_solid", "_tail")

    def __init__(self) -> None:
        self._head = b""
        self._tail = b""  # the last bytes but for what may be padding
        self._filling = b""  # the last bytes of that
        self._solid = 0  # how many bytes there are without it
        self._size = 0
        self._frame: _FrameSearch | None = None
        self._facts: ImageFacts | None = None

    def feed(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            NotAnImageError: They are no image, or one of impossible pixels.
        """
        self._size += len(data)
        solid = data.rstrip(_PADDING)
        if solid:  # then the padding before it was none
            more = solid if len(solid) >= _TAIL else self._tail + self._filling + solid
            self._tail, self._filling = more[-_TAIL:], b""
            self._solid = self._size - len(data) + len(solid)
        if len(solid) < len(data):
            self._filling = (self._filling + data[len(solid) :][-_TAIL:])[-_TAIL:]
        if self._facts is None:
            self._begin(data)

    def _begin(self, data: bytes) -> None:
        if self._frame is None:
            before = len(self._head)
            self._head += data[: _HEAD - before]
            if self._head.startswith(_JPEG):
                self._frame = _FrameSearch()
                data = data[2 - before :]
            else:
                self._facts = _facts(self._head)
        if self._frame is not None:
            self._facts = self._frame.feed(data)
        if self._facts is not None and not (
            0 < self._facts.width * self._facts.height <= MOST_PIXELS
        ):
            raise NotAnImageError(
                f"The image claims {self._facts.width}x{self._facts.height} pixels."
            )

    def close(self) -> ImageFacts:
        """The bytes are complete: say what they were.

        Raises:
            NotAnImageError: They end too early, or after more than an image.
        """
        if not self._size:
            raise NotAnImageError("The image is empty.")
        facts = self._facts
        if facts is None:
            raise NotAnImageError(f"The image ends after {self._size} bytes, within its head.")
        if facts.format == "png":
            whole = self._tail == _PNG_END
        elif facts.format == "jpeg":
            whole = self._tail.endswith(_JPEG_END)
        else:
            whole = self._solid <= int.from_bytes(self._head[4:8], "little") + 8 <= self._size
        if not whole:
            raise NotAnImageError(
                f"The image's {facts.format} of {self._size} bytes does not end as one: it is cut "
                "off, or something follows it."
            )
        return facts


def _facts(head: bytes) -> ImageFacts | None:
    """Format and pixels of a PNG or WebP from its first bytes; None if more are needed."""
    if head.startswith(_PNG):
        return _png(head)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _webp(head)
    if _PNG.startswith(head) or _JPEG.startswith(head) or _riff_may_follow(head):
        return None
    raise NotAnImageError(f"The image begins with {head[:16]!r}: no PNG, JPEG or WebP.")


def _riff_may_follow(head: bytes) -> bool:
    return b"RIFF".startswith(head[:4]) and b"WEBP".startswith(head[8:12])


def _png(head: bytes) -> ImageFacts | None:
    if len(head) < 24:
        return None
    if head[12:16] != b"IHDR":
        raise NotAnImageError("The image's PNG does not begin with its header.")
    width, height = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    return _known("png", width, height)


class _FrameSearch:
    """Walk the segments of a JPEG up to its frame header, which has the pixels.

    What the segments hold (a thumbnail, a colour profile) is skipped, not kept.
    """

    __slots__ = ("_rest", "_skip")

    def __init__(self) -> None:
        self._rest = b""
        self._skip = 0  # bytes of the segment that are still to come

    def feed(self, data: bytes) -> ImageFacts | None:
        data = self._rest + data
        at = self._skip
        while at + 4 <= len(data):
            if data[at] != 0xFF:
                raise NotAnImageError("The image's JPEG has no marker where one must be.")
            marker = data[at + 1]
            if marker == 0xFF:  # a fill byte
                at += 1
            elif marker in _FRAMES:
                if at + 9 > len(data):
                    break
                height = int.from_bytes(data[at + 5 : at + 7], "big")
                width = int.from_bytes(data[at + 7 : at + 9], "big")
                return _known("jpeg", width, height)
            elif marker in (0xD9, 0xDA):
                raise NotAnImageError("The image's JPEG has no frame.")
            else:
                at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        self._rest = data[at:]
        self._skip = max(0, at - len(data))
        return None


def _webp(head: bytes) -> ImageFacts | None:
    if len(head) < 30:
        return None
    kind = head[12:16]
    if kind == b"VP8X":
        width = 1 + int.from_bytes(head[24:27], "little")
        height = 1 + int.from_bytes(head[27:30], "little")
    elif kind == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif kind == b"VP8 ":
        width = int.from_bytes(head[26:28], "little") & 0x3FFF
        height = int.from_bytes(head[28:30], "little") & 0x3FFF
    else:
        raise NotAnImageError(f"The image's WebP begins with {kind!r}.")
    return _known("webp", width, height)
