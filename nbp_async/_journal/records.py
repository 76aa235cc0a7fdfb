"""Jobs, attempts and images as JSON in the journal, and back. Money stays exact.

Paths are relative to the run's folder, so that it can be moved; addresses in a store stay as they
are.
"""

from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import msgspec

from nbp_async._base.http import Usage
from nbp_async._base.task_handle import Handle
from nbp_async._journal.base import JournalEntry, PendingAttempt, Standing, State
from nbp_async._models.outcomes import (
    Attempt,
    Image,
    ImageFormat,
    Job,
    Outcome,
    Prompt,
    Stored,
)
from nbp_async._stores.store_address import is_store
from nbp_async._stores.stored import FreedMemory
from nbp_async._vendors.price_options import STANDARD


class RequestRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was requested of a job, as far as people and later calls need to know."""

    text: str
    model: str
    size: str | None = None
    aspect_ratio: str | None = None
    quality: str | None = None
    thinking: str | None = None
    seed: int | None = None
    row: int | None = None
    references: tuple[str, ...] = ()
    extra: dict[str, Any] | None = None
    pixels: tuple[int, int] | None = None
    tier: str = STANDARD
    digests: tuple[str, ...] = ()  # of references that are stored beside the queue
    note: str = ""  # of the submitter

    def prompt(self) -> Prompt:
        return Prompt(
            text=self.text,
            size=self.size,
            aspect_ratio=self.aspect_ratio,
            quality=self.quality,
            thinking=self.thinking,
            seed=self.seed,
            row=self.row,
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
    notes: tuple[str, ...] = ()
    in_memory: bool = False


Row = tuple[object, ...]
_encode = msgspec.json.Encoder().encode
_request = msgspec.json.Decoder(RequestRecord)
_image = msgspec.json.Decoder(ImageRecord)
_attempt = msgspec.json.Decoder(Attempt)
_links = msgspec.json.Decoder(tuple[str, ...])
_handle = msgspec.json.Decoder(Handle)

ITEM_COLUMNS = "id, place, state, nonce, asked, image, reason, message, links, expires"
"""The columns that `entry_of` takes."""

ATTEMPT_COLUMNS = (
    "number, price, most, armed_at, stem, links, expires, request_id, record, handle, account"
)
"""The columns that `decode_pending` takes; older journals have no handle, or no account."""


def encode_request(job: Job, digests: tuple[bytes, ...] = (), note: str = "") -> str:
    prompt = job.prompt
    references = tuple(
        f"{len(item)} bytes" if isinstance(item, bytes) else str(item) for item in prompt.references
    )
    extra = None if prompt.extra is None else dict(prompt.extra)
    record = RequestRecord(
        text=prompt.text,
        model=job.model,
        size=prompt.size,
        aspect_ratio=prompt.aspect_ratio,
        quality=prompt.quality,
        thinking=prompt.thinking,
        seed=job.seed,
        row=prompt.row,
        references=references,
        extra=extra,
        pixels=job.canvas.pixels,
        tier=job.tier,
        digests=tuple(digest.hex() for digest in digests),
        note=note,
    )
    return _encode(record).decode()


def decode_request(text: str) -> RequestRecord:
    return _request.decode(text)


def encode_attempt(attempt: Attempt, folder: Path | None = None) -> str:
    return _encode(_with_unread(attempt, relative_to(attempt.unread, folder))).decode()


def decode_attempt(text: str, folder: Path | None = None) -> Attempt:
    attempt = _attempt.decode(text)
    return _with_unread(attempt, absolute_in(attempt.unread, folder))


def settled_attempts(rows: list[Row], folder: Path | None) -> tuple[Attempt, ...]:
    """Those of these rows, which have `ATTEMPT_COLUMNS`, that have ended."""
    return tuple(decode_attempt(str(row[8]), folder) for row in rows if row[8] is not None)


def pending_attempts(rows: list[Row]) -> tuple[PendingAttempt, ...]:
    """The others."""
    return tuple(decode_pending(row) for row in rows if row[8] is None)


def unrecorded_attempt(state: object, rows: list[Row]) -> PendingAttempt | None:
    """See `JournalEntry.unrecorded`."""
    is_open = state in ("armed", "submitted") and bool(rows)
    return decode_pending(rows[-1]) if is_open and not pending_attempts(rows) else None


def entry_of(
    row: Row, attempts: list[Row], folder: Path | None, *, index: int, standing: Standing = "ours"
) -> JournalEntry:
    """The item of a row, which has `ITEM_COLUMNS`, with its attempts."""
    item, _, state, nonce, asked, image, reason, message, links, expires = row
    record = decode_request(str(asked))
    prompt = record.prompt()
    has_image = state in ("stored", "answered") and isinstance(image, str)
    return JournalEntry(
        item=int(str(item)),
        index=index,
        prompt=prompt,
        pixels=record.pixels,
        state=cast("State", state),
        nonce=str(nonce),
        attempts=settled_attempts(attempts, folder),
        pending=pending_attempts(attempts),
        image=decode_image(str(image), folder, index=index, prompt=prompt) if has_image else None,
        error=f"{reason}: {message}" if reason else "",
        links=decode_links(links if isinstance(links, str) else None),
        link_expires=expires if isinstance(expires, float) else None,
        model=record.model,
        unrecorded=unrecorded_attempt(state, attempts),
        standing=standing,
    )


def end_of_item(outcome: Outcome, folder: Path | None) -> Row:
    """How an item ended: its state, image, reason, message, links and when these expire."""
    links = encode_links(outcome.links)
    if isinstance(outcome, Image):  # with links, if only these were kept
        state = "stored" if links is None else "answered"
        expires = None if links is None else outcome.url_expires
        return state, encode_image(outcome, folder), "", "", links, expires
    state = "failed" if links is None else "answered"
    error = outcome.error
    return state, None, type(error).__name__, str(error), links, outcome.link_expires


def _with_unread(attempt: Attempt, unread: str) -> Attempt:
    same = unread == attempt.unread
    return attempt if same else msgspec.structs.replace(attempt, unread=unread)


def encode_links(links: tuple[str, ...]) -> str | None:
    return _encode(links).decode() if links else None


def decode_links(text: str | None) -> tuple[str, ...]:
    return () if text is None else _links.decode(text)


def encode_handle(handle: Handle) -> str:
    return _encode(handle).decode()


def encode_image(image: Image, folder: Path | None) -> str:
    return _encode(_image_record(image, folder)).decode()


def decode_image_record(text: str) -> ImageRecord:
    return _image.decode(text)


def decode_image(text: str, folder: Path | None, *, index: int, prompt: Prompt) -> Image:
    return _image_of(_image.decode(text), folder, index, prompt)


def relative_to(path: str, folder: Path | None) -> str:
    """The path relative to the folder, if it lies in it; else as it is."""
    if not path or folder is None or is_store(path):
        return path
    try:
        return str(Path(path).relative_to(folder))
    except ValueError:
        return path


def absolute_in(path: str, folder: Path | None) -> str:
    """The full name of what `relative_to` made relative."""
    if not path or folder is None or is_store(path):
        return path
    return str(folder / path)


def decode_pending(row: Row) -> PendingAttempt:
    number, price, most, armed_at, stem, links, expires, request_id, _, handle, account = row
    return PendingAttempt(
        number=int(str(number)),
        price=Decimal(str(price)),
        most=Decimal(str(most)),
        armed_at=float(str(armed_at)),
        stem=str(stem),
        links=decode_links(links if isinstance(links, str) else None),
        link_expires=expires if isinstance(expires, float) else None,
        request_id=str(request_id),
        handle=_handle.decode(handle) if isinstance(handle, str) else None,
        account=str(account),
    )


def _image_record(image: Image, folder: Path | None) -> ImageRecord:
    return ImageRecord(
        path=relative_to(image.stored.path, folder),
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
        notes=image.notes,
        in_memory=image.stored.was_in_memory,
        extras=tuple(_image_record(extra, folder) for extra in image.extras),
    )


def _image_of(record: ImageRecord, folder: Path | None, index: int, prompt: Prompt) -> Image:
    return Image(
        index=index,
        prompt=prompt,
        stored=Stored(
            record.size,
            record.digest,
            FreedMemory() if record.in_memory else absolute_in(record.path, folder),
        ),
        format=record.format,
        width=record.width,
        height=record.height,
        url=record.url,
        url_expires=record.url_expires,
        model=record.model,
        usage=record.usage,
        mismatch=record.mismatch,
        notes=record.notes,
        extras=tuple(_image_of(extra, folder, index, prompt) for extra in record.extras),
    )
