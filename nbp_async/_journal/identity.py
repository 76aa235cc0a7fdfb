"""Who a job is: a hash of what was asked, never of when, nor of its place."""

import hashlib

import msgspec

from nbp_async._models import Job

_encoder = msgspec.json.Encoder(order="deterministic")


def identity(job: Job, account: str, digests: tuple[bytes, ...]) -> bytes:
    """32 bytes that equal jobs share. `digests` are the SHA-256 of the references' contents."""
    canvas = job.canvas
    asked = (
        1,  # of this spelling
        account,
        job.model,
        job.prompt.text,
        (canvas.tier, canvas.ratio, canvas.pixels),
        job.seed,
        dict(job.prompt.extra or {}),
        [digest.hex() for digest in digests],
    )
    return hashlib.sha256(_encoder.encode(asked)).digest()
