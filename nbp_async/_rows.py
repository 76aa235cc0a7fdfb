"""An outcome as one flat row: what the manifest, `--json`, CSV, Parquet and data frames show."""

from decimal import Decimal
from typing import Any

import msgspec

from nbp_async._http import Billing
from nbp_async._models import ZERO, Attempt, Image, Outcome


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One outcome. Units are in the names; a field that does not apply is None or "".

    Attributes:
        index: Place in the batch, from 0.
        ok: There is an image.
        state: "stored", "answered" (paid, but still a link), "failed", or for a run that is not at
            its end "planned", "armed" (a request may be out) and "submitted" (the vendor works on
            it).
        prompt: The prompt's text.
        size: As it was asked, or None for the model's default.
        aspect_ratio: As it was asked, or None.
        seed: As it was asked, for the first copy of a prompt, or None.
        references: How many images it was to work from.
        path: The image's file, or its address in a store, or "". In a manifest a file is relative
            to the manifest's folder.
        sha256: Of the file's bytes, hexadecimal, or "".
        width: Pixels, or None.
        height: Pixels, or None.
        format: "png", "jpeg" or "webp", or "".
        size_bytes: Length of the file, or None.
        billing: Who pays: "no", "maybe" or "yes".
        spent_usd: What its attempts certainly cost, earlier calls included.
        maybe_usd: What they may have cost besides.
        saved_by_batch_usd: How much more the same would have cost by held calls.
        attempts: Requests that were made for it, earlier calls included.
        waited_s: Seconds from asking for a slot to connecting, of the last attempt.
        service_s: Seconds from connecting to the last byte, all attempts together.
        request_id: The vendor's id of the last request, or "".
        model: The version of the model that answered, as it said.
        url: The link that the image came by, or is still behind.
        url_expires: When that link is said to end, in seconds since 1970, or None.
        mismatch: How the pixels differ from what was asked, or "".
        reason: Class of the error, or "".
        message: What it says, or "".
    """

    index: int
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
    model: str = ""
    url: str = ""
    url_expires: float | None = None
    mismatch: str = ""
    reason: str = ""
    message: str = ""

    def json(self) -> bytes:
        """One line of JSON, without its end. Dollars are numbers."""
        return _encoder.encode(self)


_encoder = msgspec.json.Encoder(decimal_format="number")


def row_of(outcome: Outcome, path: str | None = None) -> Row:
    """The row of an outcome; `path` is what to call its file instead of its full name."""
    tried: tuple[Attempt, ...] = (*outcome.earlier, *outcome.attempts)
    last = tried[-1] if tried else None
    prompt = outcome.prompt
    facts: dict[str, Any] = {
        "index": outcome.index,
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
        "attempts": len(tried),
        "waited_s": round(last.timings.waited, 3) if last is not None else 0.0,
        "service_s": round(sum(attempt.timings.service for attempt in tried), 3),
        "request_id": last.request_id if last is not None else "",
    }
    facts |= _of_image(outcome, path) if isinstance(outcome, Image) else {
        "url": outcome.links[0] if outcome.links else "",
        "url_expires": outcome.link_expires,
        "reason": type(outcome.error).__name__,
        "message": str(outcome.error),
    }  # fmt: skip
    return Row(**facts)


def _state(outcome: Outcome) -> str:
    if isinstance(outcome, Image):
        return "stored"
    return "answered" if outcome.links else "failed"


def _of_image(image: Image, path: str | None) -> dict[str, Any]:
    return {
        "path": image.stored.path if path is None else path,
        "sha256": image.sha256,
        "width": image.width,
        "height": image.height,
        "format": image.format,
        "size_bytes": image.stored.size,
        "model": image.model,
        "url": image.url,
        "url_expires": image.url_expires,
        "mismatch": image.mismatch,
    }
