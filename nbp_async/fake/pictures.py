"""The images: a mirrored quilt in one hue and one accent, drawn from the prompt's hash.

Two prompts look different even as thumbnails; one prompt looks the same in every size and format.
No pixels are drawn: an image is a few rectangles (see `encoders`). The padding that makes a file as
heavy as a real one is shared by all images of that weight.
"""

import colorsys
import random
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

import msgspec
import pybase64

from nbp_async.fake.encoders import JPEG_START, Bands, Colour, Run, chunk, jpeg, png
from nbp_async.fake.seeded_random import digest

Kind = Literal["png", "jpeg"]
Weight = int | Mapping[str, int] | Literal["real"] | None
"""The least bytes of a file: for all files, by size, or about what real ones have."""

REAL: dict[str, int] = {"1K": 1_500_000, "2K": 4_000_000, "4K": 6_000_000}
MIME = {"png": "image/png", "jpeg": "image/jpeg"}
_GRAIN = 12288  # bytes of a piece of padding; a multiple of three
# Paddings are multiples of it, so that images of one weight share one. It fits into one comment.
_SHARED_GRAIN = 5 * _GRAIN
_CACHED = 128


class DrawnImage(msgspec.Struct, frozen=True):
    """One image file in three pieces, where base64 can be joined; others share `pad`."""

    kind: Kind
    width: int
    height: int
    head: bytes
    pad: bytes
    tail: bytes

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.head) + len(self.pad) + len(self.tail)

    def data(self) -> bytes:
        """The whole file."""
        return b"".join((self.head, self.pad, self.tail))

    def base64(self) -> tuple[bytes, bytes, bytes]:
        """The whole file as base64, in pieces."""
        return _base64(self.head), _base64_of_pad(self.pad), _base64(self.tail)


def weight_of(weight: Weight, tier: str) -> int:
    """Bytes that a file of this size is padded to."""
    if weight == "real":
        weight = REAL
    if isinstance(weight, Mapping):
        return weight.get(tier, 0)
    return weight or 0


@lru_cache(maxsize=_CACHED)
def draw(seed: bytes, width: int, height: int, kind: Kind, weight: int = 0) -> DrawnImage:
    """The image of a seed (16 bytes, see `seed_of`) in these pixels, of `weight` bytes or more.

    Head and pad are multiples of three bytes, so that base64 can be joined there. The whole file
    is not, so that its base64 ends in "=".
    """
    palette = _palette(seed)
    bands = _quilt(seed, width, height)
    if kind == "png":
        body = png(width, height, palette, bands)
        end = chunk(b"noIs", b"\0") + chunk(b"IEND", b"")
        size = len(body) + len(end) + 12  # a chunk of filling, empty
        pad = _shared(weight - size)
        spare = max(0, weight - size - pad)
        spare += -(len(body) + 12 + spare) % 3
        head = body + chunk(b"noIs", _noise(spare))
        return DrawnImage(kind, width, height, head, _png_pad(pad), end)
    tail = jpeg(width, height, palette, bands)
    tail = _comment(bytes((-len(tail)) % 3)) + tail  # with its head, no multiple of three
    size = len(JPEG_START) + 4 + len(tail)
    pad = _shared(weight - size)
    spare = max(0, weight - size - pad)
    spare += -(len(JPEG_START) + 4 + spare) % 3
    return DrawnImage(
        kind, width, height, JPEG_START + _comment(_noise(spare)), _jpeg_pad(pad), tail
    )


def seed_of(prompt: str, copy: int = 0) -> bytes:
    """The seed of a prompt's image; further copies look different."""
    return digest("picture", prompt, copy)


def other(kind: Kind) -> Kind:
    """The other format."""
    return "jpeg" if kind == "png" else "png"


def _palette(seed: bytes) -> list[Colour]:
    """A light background, four tones of a hue, two of an accent."""
    hue, turn = seed[0] / 256, (0.42 + seed[1] / 256 * 0.16)
    tones = [
        (hue, 0.955, 0.55),
        (hue, 0.86, 0.50),
        (hue, 0.68, 0.48),
        (hue, 0.50, 0.50),
        (hue, 0.31, 0.50),
        (hue + turn, 0.72, 0.72),
        (hue + turn, 0.56, 0.70),
        (hue, 0.99, 0.6),
    ]
    colours = (colorsys.hls_to_rgb(h % 1.0, light, depth) for h, light, depth in tones)
    return [(round(r * 255), round(g * 255), round(b * 255)) for r, g, b in colours]


_GROUND = 0
_OUTER = (1, 1, 2, 2, 3, 3, 4, 5, 6, 0, 0, 0)
_INNER = (2, 3, 4, 7, 7, 6, 5, 1)


def _quilt(seed: bytes, width: int, height: int) -> Bands:
    """Patches in rows and columns, each with a smaller one inside, mirrored both ways."""
    unit = min(width, height) // 56 * 8
    if not unit:
        return [(height, ((2, width),))]
    columns, rows = width // unit - 2, height // unit - 2
    rng = random.Random(seed)
    half = [
        [
            (rng.choice(_OUTER), rng.choice(_INNER), rng.random() < 0.6)
            for _ in range((columns + 1) // 2)
        ]
        for _ in range((rows + 1) // 2)
    ]
    left, top = _margin(width, columns * unit), _margin(height, rows * unit)
    inset = unit // 32 * 8
    lines: list[tuple[tuple[Run, ...], tuple[Run, ...]]] = []
    for patches in half:
        across = [patches[min(c, columns - 1 - c)] for c in range(columns)]
        rim = [[(outer, unit)] for outer, _, _ in across]
        middle = [
            [(outer, inset), (inner if has else outer, unit - 2 * inset), (outer, inset)]
            for outer, inner, has in across
        ]
        lines.append((_line(rim, left, width), _line(middle, left, width)))
    bands: Bands = [(top, ((_GROUND, width),))]
    for row in range(rows):
        edge, core = lines[min(row, rows - 1 - row)]
        bands += [(inset, edge), (unit - 2 * inset, core), (inset, edge)]
    bands.append((height - top - rows * unit, ((_GROUND, width),)))
    return [band for band in bands if band[0] > 0]


def _margin(whole: int, covered: int) -> int:
    return (whole - covered) // 16 * 8


def _line(patches: list[list[Run]], left: int, width: int) -> tuple[Run, ...]:
    runs = [(_GROUND, left), *(run for patch in patches for run in patch)]
    runs.append((_GROUND, width - sum(pixels for _, pixels in runs)))
    return tuple(run for run in runs if run[1] > 0)


def _shared(missing: int) -> int:
    """How many of the missing bytes come from a shared pad."""
    return max(0, missing // _SHARED_GRAIN * _SHARED_GRAIN)


@lru_cache(maxsize=64)
def _noise(size: int) -> bytes:
    """Bytes that do not compress."""
    return random.Random(size).randbytes(size)


def _comment(data: bytes) -> bytes:
    return b"\xff\xfe" + (len(data) + 2).to_bytes(2) + data


@lru_cache(maxsize=32)
def _png_pad(size: int) -> bytes:
    return chunk(b"noIs", _noise.__wrapped__(size - 12)) if size else b""


@lru_cache(maxsize=32)
def _jpeg_pad(size: int) -> bytes:
    noise = random.Random(size).randbytes
    return b"".join(_comment(noise(_GRAIN - 4)) for _ in range(size // _GRAIN))


@lru_cache(maxsize=_CACHED)
def _base64(data: bytes) -> bytes:
    return pybase64.b64encode(data)


@lru_cache(maxsize=32)
def _base64_of_pad(data: bytes) -> bytes:
    return pybase64.b64encode(data)
