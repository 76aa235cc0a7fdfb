"""Answers to measure with."""

import base64
import json
import random
import struct
import zlib


def answer_with(image: bytes) -> bytes:
    """The answer of an OpenAI images endpoint."""
    data = [{"b64_json": base64.b64encode(image).decode()}]
    return json.dumps({"created": 1, "data": data}).encode()


def png(weight: int) -> bytes:
    """A PNG of 1024x1024 with `weight` bytes, most of them in a chunk that decoders skip."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1024, 1024, 8, 0, 0, 0, 0))
    tail = chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")
    padding = max(0, weight - len(head) - len(tail) - 12)
    return head + chunk(b"noIs", random.Random(7).randbytes(padding)) + tail
