"""The identity of a job: a hash of what was requested, never of when, nor of its place."""

import hashlib

import msgspec

from nbp_async._models.outcomes import Job

SEVERAL = "accounts"
"""Who pays for a run that several accounts make: the same whoever they are."""

_encoder = msgspec.json.Encoder(order="deterministic")


def identity(job: Job, account: str, digests: tuple[bytes, ...]) -> bytes:
    """32 bytes that equal jobs share. `digests` are the SHA-256 of the references' contents."""
    canvas = job.canvas
    request: tuple[object, ...] = (
        1,  # version of this encoding
        account,
        job.model,
        job.prompt.text,
        (canvas.tier, canvas.ratio, canvas.pixels),
        job.seed,
        dict(job.prompt.extra or {}),
        [digest.hex() for digest in digests],
    )
    # They change the image; a service tier does not. Jobs without them keep the hash they had.
    chosen = {"quality": job.prompt.quality, "thinking": job.prompt.thinking}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    if chosen:
        request = (*request, chosen)
    return hashlib.sha256(_encoder.encode(request)).digest()


def is_whole(key: bytes) -> bool:
    """It is the identity of a job, and not what stands for one after a rebuild."""
    return len(key) == 32


def prompt_identity(text: str, size: str | None, ratio: str | None, references: int) -> bytes:
    """What stands for a job of which only this is known."""
    return b"prompt:" + hashlib.sha256(_encoder.encode((text, size, ratio, references))).digest()


def place_identity(place: int) -> bytes:
    """What stands for a job of which only its place in the batch is known."""
    return b"place:%d" % place


def stand_ins(job: Job) -> tuple[bytes, bytes]:
    """What may stand for this job in a rebuilt journal, the more certain one first."""
    prompt = job.prompt
    known = prompt_identity(prompt.text, prompt.size, prompt.aspect_ratio, len(prompt.references))
    return known, place_identity(job.index)
