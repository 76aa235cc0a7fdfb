"""Checksums of an object, and whether those of a service agree with them."""

import base64
import hashlib
import re
from typing import NamedTuple

_MD5 = re.compile(r'"?([0-9a-fA-F]{32})"?')


class Checksums(NamedTuple):
    """Of the same bytes: services report MD5; we compare by SHA-256."""

    sha256: bytes
    md5: bytes


def compute_checksums(data: bytes, sha256: bytes) -> Checksums:
    """Add the MD5. Takes about 2 ms per MB: call it in a thread."""
    return Checksums(sha256, hashlib.md5(data, usedforsecurity=False).digest())


def is_confirmed(ours: Checksums, etag: str | None, content_md5: str | None) -> bool:
    """A checksum of the service proves that its bytes are ours.

    False does not prove that they differ: an ETag may be something else than an MD5, as it is for
    encrypted objects.
    """
    tag = _MD5.fullmatch(etag or "")
    if tag is not None and bytes.fromhex(tag[1]) == ours.md5:
        return True
    return content_md5 == base64.b64encode(ours.md5).decode()
