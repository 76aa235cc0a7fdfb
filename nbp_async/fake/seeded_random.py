"""Chance that can be repeated: drawn from what a job is, never from when it arrives.

Two runs with one seed give each job the same latency and the same faults, in whatever order the
network brings the requests.
"""

from hashlib import blake2b

_ALL = 2.0**64


def digest(*parts: object) -> bytes:
    """Sixteen bytes that stand for `parts`."""
    text = "\0".join(map(str, parts))
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def seeded_uniform(*parts: object) -> float:
    """A number in [0, 1) that is always the same for the same `parts`."""
    return int.from_bytes(digest(*parts)[:8]) / _ALL
