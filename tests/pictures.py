"""The smallest whole images of a given size."""

import struct
import zlib


def png(width: int, height: int, *, padding: int = 0) -> bytes:
    """A PNG whose header says width x height; `padding` bytes go into a chunk nobody draws."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    body = chunk(b"noIs", bytes(padding)) if padding else b""
    return b"\x89PNG\r\n\x1a\n" + head + body + chunk(b"IDAT", b"x") + chunk(b"IEND", b"")
