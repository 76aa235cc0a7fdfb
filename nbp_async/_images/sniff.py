"""Recognises a stream of bytes: which image it is, its pixels, and whether it is whole.

The declared type is ignored, because vendors send JPEG as `image/png`. What is no image is refused,
and so is one that was cut off. What viewers show all the same is kept with a note: bytes after the
end of an image (a signature, the film of a motion photo), and a JPEG without its end mark.
"""

import re
from functools import lru_cache

import msgspec

from nbp_async._base.errors import NotAnImageError
from nbp_async._images.image_walks import BoxWalk, GifWalk, JpegWalk, PartWalk, PngWalk, WebpWalk
from nbp_async._models.outcomes import ImageFormat

SUFFIX: dict[ImageFormat, str] = {
    "png": ".png",
    "jpeg": ".jpg",
    "webp": ".webp",
    "avif": ".avif",
    "heic": ".heic",
    "gif": ".gif",
    "svg": ".svg",
}

MOST_PIXELS = 100_000_000  # the largest that the models draw has 23 million
_HEAD = 64  # bytes that tell every format but SVG
_SVG_HEAD = 4096  # bytes that tell an SVG, which may begin with comments
_TAIL = 12  # last bytes that are kept
_PADDING = b"\0\r\n\t "  # may follow the end: some encoders fill up, some relays add a line
_JPEG = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
_PNG = b"\x89PNG\r\n\x1a\n"
_GIFS = (b"GIF87a", b"GIF89a")
_AVIF = re.compile(rb"avi[fs]")
_HEIC = re.compile(rb"hei[cxms]|hev[cxms]|mif1|msf1")
_BEFORE_SVG = (
    rb"(?:\xef\xbb\xbf)?+"
    rb"(?:\s++|<\?xml.*?\?>|<!--.*?-->|<!DOCTYPE\s++svg[^>\[]*+(?:\[.*?\]\s*+)?+>)*+"
)
_SVG = re.compile(_BEFORE_SVG + rb"<svg(?=[\s>])([^>]*+)>", re.DOTALL | re.IGNORECASE)
_SVG_BEGINNINGS = (b"<svg", b"<?xml", b"<!--", b"<!doctype svg")
_SVG_LENGTH = re.compile(rb"\s(width|height)\s*=\s*[\"'](\d{1,5})(?:\.\d+)?(?:px)?[\"']")
_SVG_BOX = re.compile(
    rb"\sviewBox\s*=\s*[\"'][-\d.]+[ ,]+[-\d.]+[ ,]+(\d{1,5})[\d.]*[ ,]+(\d{1,5})"
)
_SVG_END = b"</svg>"


class ImageFacts(msgspec.Struct, frozen=True, gc=False):
    """What an image is, by its bytes.

    Attributes:
        width, height: Pixels; 0 where the file does not say, as an SVG may.
        notes: What is odd about it, although viewers show it.
    """

    format: ImageFormat
    width: int
    height: int
    notes: tuple[str, ...] = ()


# The images of a list have a few sizes: a million outcomes share these objects.
_known = lru_cache(maxsize=64)(ImageFacts)


class ImageSniffer:
    """Checks an image's bytes as they pass; keeps a few of the first and the last."""

    __slots__ = ("_format", "_head", "_padding", "_pixels", "_size", "_solid", "_tail", "_walk")

    def __init__(self) -> None:
        self._head = b""
        self._tail = b""  # the last bytes before what may be padding
        self._padding = b""  # the last bytes of what may be padding
        self._solid = 0  # size in bytes without it
        self._size = 0
        self._format: ImageFormat | None = None
        self._walk: PartWalk | None = None
        self._pixels: tuple[int, int] | None = None

    def feed(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            NotAnImageError: They are not an image, or its pixels are impossible.
        """
        self._size += len(data)
        solid = data.rstrip(_PADDING)
        if solid:  # then what came before it was not padding
            more = solid if len(solid) >= _TAIL else self._tail + self._padding + solid
            self._tail, self._padding = more[-_TAIL:], b""
            self._solid = self._size - len(data) + len(solid)
        if len(solid) < len(data):
            self._padding = (self._padding + data[len(solid) :][-_TAIL:])[-_TAIL:]
        if self._format is None:
            self._head += data
            self._format = _format_of(self._head)
            if self._format is None:
                return
            data, self._head = self._head, b""
            self._walk = _WALKS[self._format]() if self._format in _WALKS else None
            self._pixels = _pixels_of_svg(data) if self._walk is None else None
        if self._walk is not None:
            self._walk.feed(data)
            if self._pixels is None and self._walk.pixels is not None:
                self._pixels = _checked(*self._walk.pixels)

    def close(self, *, is_framed: bool = True) -> ImageFacts:
        """The bytes are complete: return what they are.

        Args:
            is_framed: Something said where they end. Else a JPEG without an end mark was cut off.

        Raises:
            NotAnImageError: They end too early.
        """
        if not self._size:
            raise NotAnImageError("The image is empty.")
        kind, walk = self._format, self._walk
        if kind is None and _may_become_svg(self._head):  # another XML, or a page
            raise _unknown(self._head)
        pixels = self._pixels or ((0, 0) if isinstance(walk, BoxWalk) else None)
        if kind is None or pixels is None:
            raise NotAnImageError(f"The image ends after {self._size} bytes, within its header.")
        note = self._end_of(kind, walk, is_framed=is_framed)
        if note is None:
            raise NotAnImageError(f"The image's {kind} of {self._size} bytes was cut off.")
        return _known(kind, *pixels, (note,) if note else ())

    def _end_of(self, kind: ImageFormat, walk: PartWalk | None, *, is_framed: bool) -> str | None:
        """What is odd about its end, or ""; None if it has none."""
        more = f"bytes follow the end of the image's {kind}"
        if isinstance(walk, JpegWalk):
            if walk.has_end_mark:
                return "" if self._tail.endswith(_JPEG_END) else more
            unmarked = "the image's jpeg has no end mark: its last rows may be missing"
            return unmarked if walk.has_scan and is_framed else None
        if walk is None:
            return "" if self._tail.endswith(_SVG_END) else None
        end = walk.whole_end()
        # What has an end of its own must not end in padding that stands for lost bytes.
        if end is None or end > (self._solid if kind == "png" else self._size):
            return None
        return more if self._solid > end else ""


_WALKS: dict[ImageFormat, type[PartWalk]] = {
    "png": PngWalk,
    "jpeg": JpegWalk,
    "webp": WebpWalk,
    "gif": GifWalk,
    "avif": BoxWalk,
    "heic": BoxWalk,
}


def _format_of(head: bytes) -> ImageFormat | None:
    """The format of a file that begins so; None if more is needed to tell."""
    if head.startswith(_PNG):
        return "png"
    if head.startswith(_JPEG):
        return "jpeg"
    if head.startswith(_GIFS):
        return "gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    brands = _brands_of(head)
    if brands and any(map(_AVIF.match, brands)):
        return "avif"
    if brands and any(map(_HEIC.match, brands)):
        return "heic"
    if _SVG.match(head):
        return "svg"
    if len(head) < _HEAD and not brands and _may_become_one(head):
        return None
    if len(head) < _SVG_HEAD and _may_become_svg(head):
        return None
    raise _unknown(head)


def _unknown(head: bytes) -> NotAnImageError:
    return NotAnImageError(
        f"The image begins with {head[:16]!r}: not a PNG, JPEG, WebP, AVIF, HEIC, GIF or SVG."
    )


def _may_become_one(head: bytes) -> bool:
    riff = b"RIFF".startswith(head[:4]) and b"WEBP".startswith(head[8:12])
    boxes = head[:2] == b"\0\0"[: len(head)] and b"ftyp".startswith(head[4:8])
    return riff or boxes or any(one.startswith(head) for one in (_PNG, _JPEG, *_GIFS))


def _may_become_svg(head: bytes) -> bool:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:16].lower()
    return any(start.startswith(one) or one.startswith(start) for one in _SVG_BEGINNINGS)


def _brands_of(head: bytes) -> list[bytes]:
    """The kinds that a file of boxes says to be, once its first box is here."""
    size = int.from_bytes(head[:4], "big")
    if head[4:8] != b"ftyp" or size < 16 or len(head) < min(size, _HEAD):
        return []
    return [head[8:12], *(head[at : at + 4] for at in range(16, min(size, _HEAD), 4))]


def _pixels_of_svg(head: bytes) -> tuple[int, int]:
    """Its size on the screen, as far as it says it in plain numbers."""
    match = _SVG.match(head)
    tag = match[1] if match else b""
    lengths = {name: int(value) for name, value in _SVG_LENGTH.findall(tag)}
    box = _SVG_BOX.search(tag)
    if len(lengths) == 2:
        return lengths[b"width"], lengths[b"height"]
    return (int(box[1]), int(box[2])) if box else (0, 0)


def _checked(width: int, height: int) -> tuple[int, int]:
    if not 0 < width * height <= MOST_PIXELS:
        raise NotAnImageError(f"The image claims {width}x{height} pixels.")
    return width, height
