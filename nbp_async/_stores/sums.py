"""Checksums of an object, and whether a service's own agree with them."""

import base64
import hashlib
import re
from typing import NamedTuple

_MD5 = re.compile(r'"?([0-9a-fA-F]{32})"?')


class Sums(NamedTuple):
    """Of the same bytes. MD5 is what services compare with; SHA-256 is what we do."""

    sha256: bytes
    md5: bytes


def sums_of(data: bytes, sha256: bytes) -> Sums:
    """Add what is missing. Takes some 2 ms a megabyte: for use in a thread."""
    return Sums(sha256, hashlib.md5(data, usedforsecurity=False).digest())


def confirmed(sums: Sums, etag: str | None, content_md5: str | None) -> bool:
    """A checksum that the service made says that the bytes are the same.

    False is no proof that they differ: an ETag may be another sum, as of what is encrypted.
    """
    tag = _MD5.fullmatch(etag or "")
    if tag is not None and bytes.fromhex(tag[1]) == sums.md5:
        return True
    return content_md5 == base64.b64encode(sums.md5).decode()
