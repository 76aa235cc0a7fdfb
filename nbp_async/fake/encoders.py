"""PNG and JPEG files of flat rectangles, much faster than encoding pixels.

A 4096x4096 image of rectangles has about twenty different rows, and only those are compressed. In a
PNG, a row can be "same as above", and deflate's blocks can be joined. In a JPEG, restart markers
make rows of 8x8 blocks independent, and a block of one colour is one number.
"""

import struct
import zlib
from functools import lru_cache

Run = tuple[int, int]
"""A colour's index, and how many pixels (or rows) in a sequence it covers."""
Colour = tuple[int, int, int]
Bands = list[tuple[int, tuple[Run, ...]]]
"""An image from top to bottom: how many equal rows, and one of them as runs of colours."""

_ADLER = 65521
_MOST_AT_ONCE = 64  # equal rows that are compressed together
_PAIR = [bytes((colour * 17,)) for colour in range(16)]  # two pixels


def chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG chunk."""
    crc = zlib.crc32(data, zlib.crc32(kind))
    return b"".join((struct.pack(">I", len(data)), kind, data, struct.pack(">I", crc)))


def png(width: int, height: int, palette: list[Colour], bands: Bands) -> bytes:
    """A PNG without its last chunk: see `Bands`.

    The palette has at most 16 colours, and every run but the last has an even width.
    """
    head = struct.pack(">IIBBBBB", width, height, 4, 3, 0, 0, 0)
    colours = b"".join(map(bytes, palette))
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", head),
            chunk(b"PLTE", colours),
            chunk(b"IDAT", _image_data(width, bands)),
        )
    )


def _image_data(width: int, bands: Bands) -> bytes:
    row_bytes = (width + 1) // 2
    squeeze = _compressor()
    known: dict[tuple[Run, ...], tuple[bytes, int]] = {}
    pieces, adler = [b"\x78\x01"], 1
    for rows, runs in bands:
        if runs not in known:
            line = b"\0" + b"".join([_PAIR[colour] * ((n + 1) // 2) for colour, n in runs])
            whole = squeeze.compress(line) + squeeze.flush(zlib.Z_FULL_FLUSH)
            known[runs] = whole, zlib.adler32(line)
        first, check = known[runs]
        same, check_of_same, length = _repeats(row_bytes, rows - 1)
        pieces += (first, same)
        adler = _joined(_joined(adler, check, row_bytes + 1), check_of_same, length)
    pieces += (b"\x03\x00", struct.pack(">I", adler))
    return b"".join(pieces)


@lru_cache(maxsize=1024)
def _repeats(row_bytes: int, rows: int) -> tuple[bytes, int, int]:
    """So many rows that equal the row above, deflated; their checksum and length."""
    if rows <= _MOST_AT_ONCE:
        data = (b"\x02" + bytes(row_bytes)) * rows
        squeeze = _compressor()
        whole = squeeze.compress(data) + squeeze.flush(zlib.Z_FULL_FLUSH)
        return whole, zlib.adler32(data), len(data)
    first, second = _repeats(row_bytes, _MOST_AT_ONCE), _repeats(row_bytes, rows - _MOST_AT_ONCE)
    return first[0] + second[0], _joined(first[1], second[1], second[2]), first[2] + second[2]


def _compressor() -> "zlib._Compress":
    """A full flush ends a deflate block that refers to nothing before it."""
    return zlib.compressobj(6, zlib.DEFLATED, -11, 4)


def _joined(first: int, second: int, length: int) -> int:
    """The Adler-32 of two pieces, from that of each; `length` is the second's."""
    a1, b1, a2, b2 = first & 0xFFFF, first >> 16, second & 0xFFFF, second >> 16
    a = (a1 + a2 - 1) % _ADLER
    b = (b1 + b2 + (a1 - 1) * length) % _ADLER
    return b << 16 | a


# JPEG: one Huffman table for the steps between blocks (category 0 is the bit 0, categories 1 to 11
# are five bits), one with nothing but "end of block" (the bit 0).
_STEP = ("0", *(format(0b10000 + n, "05b") for n in range(11)))
_SAME = "00" * 3
_TABLES = b"".join(
    (
        b"\xff\xdb\x00\x43\x00" + b"\x08" * 64,
        b"\xff\xc4\x00\x1f\x00" + bytes((1, 0, 0, 0, 11, *(0,) * 11)) + bytes(range(12)),
        b"\xff\xc4\x00\x14\x10" + bytes((1, *(0,) * 15)) + b"\x00",
    )
)
JPEG_START = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"


def jpeg(width: int, height: int, palette: list[Colour], bands: Bands) -> bytes:
    """A JPEG from its tables to its end; `JPEG_START` and comments go before it.

    Every run and band but the last of its kind is a multiple of 8.
    """
    blocks_a_row = (width + 7) // 8
    steps = [_levels(colour) for colour in palette]
    rows: list[bytes] = []
    known = {runs: _row(runs, steps) for _, runs in bands}
    for height_of, runs in bands:
        rows += [known[runs]] * ((height_of + 7) // 8)
    marked = b"".join(row + bytes((0xFF, 0xD0 + n % 8)) for n, row in enumerate(rows))[:-2]
    components = b"\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00"
    return b"".join(
        (
            _TABLES,
            b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", height, width) + components,
            b"\xff\xdd\x00\x04" + struct.pack(">H", blocks_a_row),
            b"\xff\xda\x00\x0c\x03\x01\x00\x02\x00\x03\x00\x00\x3f\x00",
            marked,
            b"\xff\xd9",
        )
    )


def _levels(colour: Colour) -> Colour:
    """Red, green, blue as the numbers of a flat block: luminance and two of colour, from -128."""
    r, g, b = colour
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return round(y - 128), round((b - y) * 0.564), round((r - y) * 0.713)


def _row(runs: tuple[Run, ...], steps: list[Colour]) -> bytes:
    """One row of blocks; its differences start from 0, as after each restart marker."""
    bits: list[str] = []
    last: Colour = (0, 0, 0)
    for colour, pixels in runs:
        levels = steps[colour]
        bits += [_difference(new - old) + "0" for new, old in zip(levels, last, strict=True)]
        bits.append(_SAME * ((pixels + 7) // 8 - 1))
        last = levels
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8).replace(b"\xff", b"\xff\x00")


def _difference(step: int) -> str:
    """A step between two blocks: its category, then its value in as many bits."""
    size = abs(step).bit_length()
    if not size:
        return _STEP[0]
    value = step if step > 0 else step + (1 << size) - 1
    return _STEP[size] + format(value, f"0{size}b")
