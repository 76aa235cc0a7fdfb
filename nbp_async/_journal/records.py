"""What is asked and what came, as JSON in the journal and back. Money stays exact.

Paths are kept relative to the run's folder, so that it can be moved; addresses in a store as they
are.
"""

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from nbp_async._handle import Handle
from nbp_async._http import Usage
from nbp_async._journal.base import Pending
from nbp_async._models import Attempt, Image, ImageFormat, Job, Prompt, Stored
from nbp_async._stores.address import is_store


class Asked(msgspec.Struct, frozen=True, omit_defaults=True):
    """A job, as far as a person or a later call wants to know it."""

    text: str
    model: str
    size: str | None = None
    aspect_ratio: str | None = None
    seed: int | None = None
    references: tuple[str, ...] = ()
    extra: dict[str, Any] | None = None
    pixels: tuple[int, int] | None = None

    def prompt(self) -> Prompt:
        return Prompt(
            text=self.text,
            size=self.size,
            aspect_ratio=self.aspect_ratio,
            seed=self.seed,
            references=self.references,
            extra=self.extra,
        )


class ImageRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """An image: where it is and what it is."""

    path: str
    size: int
    digest: bytes
    format: ImageFormat
    width: int
    height: int
    url: str = ""
    url_expires: float | None = None
    model: str = ""
    usage: Usage | None = None
    mismatch: str = ""
    extras: "tuple[ImageRecord, ...]" = ()


_encode = msgspec.json.Encoder().encode
_asked = msgspec.json.Decoder(Asked)
_image = msgspec.json.Decoder(ImageRecord)
_attempt = msgspec.json.Decoder(Attempt)
_links = msgspec.json.Decoder(tuple[str, ...])
_handle = msgspec.json.Decoder(Handle)

PENDING = "number, price, most, armed_at, stem, links, expires, request_id, record, handle"
"""The columns of an attempt that `pending_from` takes; a journal of version 1 has no handle."""


def asked_of(job: Job) -> str:
    prompt = job.prompt
    references = tuple(
        f"{len(item)} bytes" if isinstance(item, bytes) else str(item) for item in prompt.references
    )
    extra = None if prompt.extra is None else dict(prompt.extra)
    return _encode(
        Asked(
            prompt.text, job.model, prompt.size, prompt.aspect_ratio, job.seed, references, extra,
            job.canvas.pixels,
        )
    ).decode()  # fmt: skip


def asked_from(text: str) -> Asked:
    return _asked.decode(text)


def attempt_of(attempt: Attempt) -> str:
    return _encode(attempt).decode()


def attempt_from(text: str) -> Attempt:
    return _attempt.decode(text)


def links_of(links: tuple[str, ...]) -> str | None:
    return _encode(links).decode() if links else None


def links_from(text: str | None) -> tuple[str, ...]:
    return () if text is None else _links.decode(text)


def handle_of(handle: Handle) -> str:
    return _encode(handle).decode()


def image_of(image: Image, folder: Path | None) -> str:
    return _encode(_record(image, folder)).decode()


def record_from(text: str) -> ImageRecord:
    return _image.decode(text)


def image_from(text: str, folder: Path | None, *, index: int, prompt: Prompt) -> Image:
    return _rebuilt(_image.decode(text), folder, index, prompt)


def relative(path: str, folder: Path | None) -> str:
    """The path as seen from the folder, if it lies in it."""
    if not path or folder is None or is_store(path):
        return path
    try:
        return str(Path(path).relative_to(folder))
    except ValueError:
        return path


def pending_from(row: tuple[object, ...]) -> Pending:
    number, price, most, armed_at, stem, links, expires, request_id, _, handle = row
    return Pending(
        number=int(str(number)),
        price=Decimal(str(price)),
        most=Decimal(str(most)),
        armed_at=float(str(armed_at)),
        stem=str(stem),
        links=links_from(links if isinstance(links, str) else None),
        link_expires=expires if isinstance(expires, float) else None,
        request_id=str(request_id),
        handle=_handle.decode(handle) if isinstance(handle, str) else None,
    )


def _record(image: Image, folder: Path | None) -> ImageRecord:
    return ImageRecord(
        path=relative(image.stored.path, folder),
        size=image.stored.size,
        digest=image.stored.digest,
        format=image.format,
        width=image.width,
        height=image.height,
        url=image.url,
        url_expires=image.url_expires,
        model=image.model,
        usage=image.usage,
        mismatch=image.mismatch,
        extras=tuple(_record(extra, folder) for extra in image.extras),
    )


def _rebuilt(record: ImageRecord, folder: Path | None, index: int, prompt: Prompt) -> Image:
    path = record.path
    if path and folder is not None and not is_store(path):
        path = str(folder / path)
    return Image(
        index=index,
        prompt=prompt,
        stored=Stored(record.size, record.digest, path),
        format=record.format,
        width=record.width,
        height=record.height,
        url=record.url,
        url_expires=record.url_expires,
        model=record.model,
        usage=record.usage,
        mismatch=record.mismatch,
        extras=tuple(_rebuilt(extra, folder, index, prompt) for extra in record.extras),
    )
