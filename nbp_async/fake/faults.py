"""What can go wrong at a vendor, as values; `wire` does it to a socket.

Fault
├── ErrorReply     an error status, instead of the image or after it was made
├── Disconnect     the connection ends, or no answer ever comes
├── UploadCut      the connection ends within an upload
├── RawReply       exactly these bytes
├── BadTransfer    the right answer, damaged or slowed down on the way
├── BadPayload     a whole answer with the wrong content
└── MixedResults   a batch job's results that do not match its requests

"Before" means before the work: nothing is rendered, and nothing is billed. A fault after the work
is billed, as vendors do it, whether or not the client gets the answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeGuard

import msgspec

Framing = Literal["length", "chunked", "close"]
"""What marks the end of a body: its length, a last chunk, or the end of the connection."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Nothing goes wrong. `download`: it is for the image store."""

    download: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class ErrorReply(Fault):
    """See `status`."""

    code: int
    retry_after: float | str | None = None
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()
    billed: bool = False
    early: bool = False


@dataclass(frozen=True, slots=True)
class Disconnect(Fault):
    """See `disconnect`, `reset` and `hang`."""

    how: Literal["close", "reset", "hang"]
    before: bool = False
    unread: bool = False


@dataclass(frozen=True, slots=True)
class MixedResults(Fault):
    """See `mixed_results`."""

    missing: int = 0
    unknown: int = 0
    twice: int = 0
    changed: int = 0
    broken: int = 0
    keyless: bool = False


@dataclass(frozen=True, slots=True)
class UploadCut(Fault):
    """See `cut_upload`."""

    at: float = 0.5


@dataclass(frozen=True, slots=True)
class RawReply(Fault):
    """See `raw`."""

    data: bytes
    before: bool = False
    keep_open: bool = False


@dataclass(frozen=True, slots=True)
class BadTransfer(Fault):
    """See `slow_body`, `cut_body`, `no_terminator` and `gzipped`."""

    pace: float | None = None
    chunk: int = 1024
    at: float = 1.0
    framing: Framing = "length"
    silent: bool = False
    gzip: bool = False


@dataclass(frozen=True, slots=True)
class BadPayload(Fault):
    """See the functions from `bad_json` on. `kind` is its variety, `count` its amount."""

    what: str
    kind: str = ""
    count: int = 0
    text: str = ""


NoAnswer = ErrorReply | Disconnect | RawReply
"""Faults that replace the right answer."""


def precedes_work(fault: Fault | None) -> TypeGuard[NoAnswer]:
    """The fault comes before the work: nothing is rendered, and nothing is billed."""
    if isinstance(fault, ErrorReply):
        return not fault.billed
    return isinstance(fault, Disconnect | RawReply) and fault.before


def precedes_reading(fault: Fault) -> TypeGuard[NoAnswer]:
    """The fault comes before the request's body is read."""
    if isinstance(fault, ErrorReply):
        return fault.early
    return isinstance(fault, Disconnect) and fault.unread


def ok() -> Fault:
    """No fault: this request goes well."""
    return Fault()


def download(fault: Fault) -> Fault:
    """The same fault for the next download from the image store, not for the next paid call."""
    if isinstance(fault, BadPayload):
        raise ValueError(  # noqa: TRY004  the type is right, the choice is not
            "a download has no JSON to damage: use a fault of the connection"
        )
    return replace(fault, download=True)


def status(
    code: int,
    retry_after: float | str | None = None,
    body: str | bytes | Mapping[str, object] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    billed: bool = False,
    early: bool = False,
) -> Fault:
    """An answer with this status.

    Args:
        code: HTTP status.
        retry_after: Seconds, written as the vendor writes it (a header, or RetryInfo in the
            body). A text goes into the header as it is; "http-date" or "http-date:7" becomes the
            date in 5 or 7 s. The server's speed does not change it.
        body: Replaces the vendor's own body.
        headers: More headers.
        billed: The work is done first, and billed.
        early: Before the request's body is read.
    """
    if billed and early:
        raise ValueError("an answer before the body is read cannot be billed")
    if isinstance(body, Mapping):
        body = msgspec.json.encode(dict(body))
    elif isinstance(body, str):
        body = body.encode()
    more = tuple((headers or {}).items())
    return ErrorReply(code, retry_after, body, more, billed=billed, early=early)


def rate_limited(retry_after: float | str | None = 1.0) -> Fault:
    """429: too many requests."""
    return status(429, retry_after)


def overloaded(retry_after: float | str | None = None) -> Fault:
    """503: more demand than the vendor can serve."""
    return status(503, retry_after)


def disconnect(*, before: bool = False) -> Fault:
    """The connection is closed; there is no answer."""
    return Disconnect("close", before)


def reset(*, before: bool = False) -> Fault:
    """The connection is reset; there is no answer."""
    return Disconnect("reset", before)


def hang(*, before: bool = False, unread: bool = False) -> Fault:
    """No answer ever comes. `unread`: the request's body is not read, nothing is billed."""
    return Disconnect("hang", before or unread, unread)


def raw(data: bytes, *, before: bool = False, keep_open: bool = False) -> Fault:
    """Exactly these bytes, head and all; then the connection is closed unless `keep_open`."""
    return RawReply(data, before, keep_open)


def slow_body(bytes_per_second: float, chunk: int = 1024) -> Fault:
    """The body comes slowly: `chunk` bytes at a time, at so many bytes per simulated second."""
    if bytes_per_second <= 0 or chunk < 1:
        raise ValueError("bytes_per_second and chunk must be above 0")
    return BadTransfer(pace=bytes_per_second, chunk=chunk)


def cut_body(at: float = 0.6, framing: Framing = "length") -> Fault:
    """The connection ends within the body, after the share `at` of it."""
    if not 0 <= at <= 1:
        raise ValueError(f"at must be a share of the body from 0 to 1, not {at:g}")
    return BadTransfer(at=at, framing=framing)


def no_terminator() -> Fault:
    """The whole body in chunks, without the last, empty chunk; the connection stays open."""
    return BadTransfer(framing="chunked", silent=True)


def gzipped(at: float = 1.0) -> Fault:
    """The body compressed, requested or not; only the share `at` of it, with a matching length."""
    return BadTransfer(at=at, gzip=True)


def cut_download(at: float = 0.6) -> Fault:
    """The next download ends after the share `at` of the image."""
    return download(cut_body(at))


def cut_upload(at: float = 0.5) -> Fault:
    """The connection is reset within a piece of an upload; the share `at` of it has arrived."""
    if not 0 <= at <= 1:
        raise ValueError(f"at must be a share of the piece from 0 to 1, not {at:g}")
    return UploadCut(at=at)


def bad_json(kind: Literal["cut", "garbage", "empty", "deep", "digits", "utf8"] = "cut") -> Fault:
    """A body of the right length that is not JSON, or JSON that breaks a careless reader."""
    return BadPayload("json", kind)


def bad_base64(
    kind: Literal["junk", "nopad", "overpad", "newlines", "data-uri", "urlsafe"] = "junk",
) -> Fault:
    """Base64 that is wrong ("junk", "overpad"), or readable but not as documented."""
    return BadPayload("base64", kind)


def bad_image(
    kind: Literal["text", "truncated", "tiny", "empty", "huge", "mislabelled"] = "truncated",
) -> Fault:
    """Not an image: text, no end, 1x1, no bytes, 65535x65535, or of another type."""
    return BadPayload("image", kind)


def html_page() -> Fault:
    """A web page with status 200."""
    return BadPayload("html")


def wrong_size() -> Fault:
    """An image of half the requested width and height."""
    return BadPayload("size")


def thought_only() -> Fault:
    """Every image is marked as a thought (Gemini). The images API has no thoughts: no image."""
    return BadPayload("thought")


def no_image(reason: str = "NO_IMAGE", text: str = "") -> Fault:
    """A success without an image, perhaps with a text; `reason` is Gemini's finishReason."""
    return BadPayload("none", reason, text=text)


def blocked(reason: str = "PROHIBITED_CONTENT") -> Fault:
    """The prompt is refused: by Gemini's blockReason; by the images API with a 400, at no cost."""
    return BadPayload("blocked", reason)


def foreign() -> Fault:
    """The images are in the other API's form: Google's for the images API, and its for Google's."""
    return BadPayload("foreign")


def unfinished() -> Fault:
    """A stream of events that ends with its drafts, although the image was made (images API)."""
    return BadPayload("unfinished")


def extra_images(count: int = 1) -> Fault:
    """More images than requested."""
    return BadPayload("extra", count=count)


def downgraded() -> Fault:
    """An urgent call is served and billed as a standard one, as the answer's head says (Gemini)."""
    return BadPayload("downgrade")


def long_signature(size: int = 1 << 20) -> Fault:
    """A thought signature of `size` characters beside the image (Gemini)."""
    return BadPayload("signature", count=size)


def mixed_results(
    missing: int = 0,
    unknown: int = 0,
    twice: int = 0,
    *,
    changed: int = 0,
    broken: int = 0,
    keyless: bool = False,
) -> Fault:
    """A batch job's results lack so many lines, have unknown ones, or have some twice.

    `changed` come twice with another image, and the last `broken` ones end in the middle. With
    `keyless` the results have no keys, and are in the order of the requests.
    """
    return MixedResults(missing, unknown, twice, changed, broken, keyless)
