"""An outcome as one flat row: what the manifest, `--json`, CSV, Parquet and data frames show."""

from decimal import Decimal
from typing import Any

import msgspec

from nbp_async._base.http import Billing
from nbp_async._models.outcomes import ZERO, Attempt, Image, Outcome


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One outcome. Units are in the names; a field that does not apply is None or "".

    Attributes:
        index: Place in the batch, from 0.
        row: Row of the table or the file that its prompt comes from, from 0 as data frames count,
            or None. Join by it: rows without text count, and a prompt with `n` has several images.
        ok: There is an image, or its link was kept (`links="keep"`).
        state: "stored", "answered" (paid, and a link: still, or as it was kept) or "failed"; in a
            run that has not ended, also "queued", "planned", "armed" (a request may be out) or
            "submitted" (the vendor is working on it).
        prompt: The prompt's text.
        size: As requested, or None for the model's default.
        aspect_ratio: As requested, or None.
        seed: As requested, for the first copy of a prompt, or None.
        references: Number of reference images.
        path: The image's file, or its address in a store, or "". In a manifest, files are relative
            to the manifest's folder.
        sha256: Of the file's bytes, hexadecimal, or "".
        width: Pixels, or None.
        height: Pixels, or None.
        format: "png", "jpeg", "webp", "avif", "heic", "gif" or "svg", or "".
        size_bytes: Length of the file, or None.
        billing: Whether it was charged: "no", "maybe" or "yes".
        spent_usd: What its attempts certainly cost, including earlier calls.
        maybe_usd: What they may have cost in addition.
        saved_by_batch_usd: How much more held calls would have cost.
        attempts: Number of requests for it, including earlier calls.
        waited_s: Seconds from asking for a slot to connecting, of the last attempt.
        service_s: Seconds from connecting to the last byte, all attempts together.
        request_id: The vendor's id of the last request, or "".
        account_name: Which of several accounts made it, or was asked last; "" where there is one.
        model: The version of the model that answered, as the vendor reports it.
        url: The link of the image: fetched, or still to be fetched.
        url_expires: When that link expires according to the vendor, in seconds since 1970, or None.
        mismatch: How the pixels differ from the request, or "".
        notes: What was wrong with the answer or the image's bytes, although it was kept, or "".
        unread: Where its answer is kept, because it could not be read, or "". In a manifest, files
            are relative to the manifest's folder.
        reason: Class of the error, or "".
        message: Its message, or "".
        ticket: Number of its ticket, if it was submitted to the queue of a run, or None.
        held_usd: What is set aside for it while it is queued.
    """

    index: int
    row: int | None = None
    ok: bool
    state: str
    prompt: str
    size: str | None
    aspect_ratio: str | None
    seed: int | None
    references: int
    path: str = ""
    sha256: str = ""
    width: int | None = None
    height: int | None = None
    format: str = ""
    size_bytes: int | None = None
    billing: Billing
    spent_usd: Decimal
    maybe_usd: Decimal
    saved_by_batch_usd: Decimal = ZERO
    attempts: int
    waited_s: float = 0.0
    service_s: float = 0.0
    request_id: str = ""
    account_name: str = ""
    model: str = ""
    url: str = ""
    url_expires: float | None = None
    mismatch: str = ""
    notes: str = ""
    unread: str = ""
    reason: str = ""
    message: str = ""
    ticket: int | None = None
    held_usd: Decimal = ZERO

    def json(self) -> bytes:
        """One line of JSON, without a newline. Dollars are numbers."""
        return _encoder.encode(self)


_encoder = msgspec.json.Encoder(decimal_format="number")


def row_of(outcome: Outcome, path: str | None = None, unread: str | None = None) -> Row:
    """The row of an outcome; `path` and `unread` replace the full names of its files."""
    attempts: tuple[Attempt, ...] = (*outcome.earlier, *outcome.attempts)
    last = attempts[-1] if attempts else None
    prompt = outcome.prompt
    facts: dict[str, Any] = {
        "index": outcome.index,
        "row": outcome.prompt.row,
        "ok": outcome.ok,
        "state": _state(outcome),
        "prompt": prompt.text,
        "size": prompt.size,
        "aspect_ratio": prompt.aspect_ratio,
        "seed": prompt.seed,
        "references": len(prompt.references),
        "billing": outcome.billing,
        "spent_usd": outcome.spent + outcome.spent_earlier,
        "maybe_usd": outcome.maybe_spent,
        "saved_by_batch_usd": outcome.reduced,
        "attempts": len(attempts),
        "waited_s": round(last.timings.waited, 3) if last is not None else 0.0,
        "service_s": round(sum(attempt.timings.service for attempt in attempts), 3),
        "request_id": last.request_id if last is not None else "",
        "account_name": last.account if last is not None else "",
    }
    if isinstance(outcome, Image):
        return Row(**facts, **_image_facts(outcome, path))
    return Row(
        **facts,
        url=outcome.links[0] if outcome.links else "",
        url_expires=outcome.link_expires,
        unread=outcome.unread if unread is None else unread,
        reason=type(outcome.error).__name__,
        message=str(outcome.error),
    )


def _state(outcome: Outcome) -> str:
    if outcome.links:
        return "answered"
    return "stored" if isinstance(outcome, Image) else "failed"


def _image_facts(image: Image, path: str | None) -> dict[str, Any]:
    return {
        "path": image.stored.path if path is None else path,
        "sha256": image.sha256,
        "width": None if image.links else image.width,
        "height": None if image.links else image.height,
        "format": image.format,
        "size_bytes": None if image.links else image.stored.size,
        "model": image.model,
        "url": image.url,
        "url_expires": image.url_expires,
        "mismatch": image.mismatch,
        "notes": "; ".join(image.notes),
    }
