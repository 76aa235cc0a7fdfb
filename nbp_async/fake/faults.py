"""What can go wrong at a vendor, as values; how it is done to a socket is told elsewhere.

Fault
├── Refuse    an answer that is no success, instead of the image or after it was made
├── Break     the connection ends, or nothing ever comes
├── Cut       the connection ends within what is handed in
├── Raw       exactly these bytes
├── Travel    the right answer, and something happens to it on the way
└── Spoil     the answer arrives whole and is not what it should be

"Before" means before the work: nothing is rendered and nothing billed. What comes after the work
is billed, as a vendor does it, whether or not the client hears of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import msgspec

Framing = Literal["length", "chunked", "close"]
"""What tells a client where a body ends: its length, a last chunk, the end of the connection."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Nothing goes wrong. `download` makes it a matter of the image store."""

    download: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Refuse(Fault):
    """See `status`."""

    code: int
    retry_after: float | str | None = None
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()
    billed: bool = False
    early: bool = False


@dataclass(frozen=True, slots=True)
class Break(Fault):
    """See `disconnect`, `reset` and `hang`."""

    how: Literal["close", "reset", "hang"]
    before: bool = False
    unread: bool = False


@dataclass(frozen=True, slots=True)
class Mixed(Fault):
    """See `mixed_results`."""

    missing: int = 0
    unknown: int = 0
    twice: int = 0


@dataclass(frozen=True, slots=True)
class Cut(Fault):
    """See `cut_upload`."""

    at: float = 0.5


@dataclass(frozen=True, slots=True)
class Raw(Fault):
    """See `raw`."""

    data: bytes
    before: bool = False
    keep_open: bool = False


@dataclass(frozen=True, slots=True)
class Travel(Fault):
    """See `slow_body`, `cut_body`, `no_terminator` and `gzipped`."""

    pace: float | None = None
    chunk: int = 1024
    at: float = 1.0
    framing: Framing = "length"
    silent: bool = False
    gzip: bool = False


@dataclass(frozen=True, slots=True)
class Spoil(Fault):
    """See the functions from `bad_json` on. `kind` is its variety, `count` its amount."""

    what: str
    kind: str = ""
    count: int = 0
    text: str = ""


def ok() -> Fault:
    """No fault: a place in a script that goes well."""
    return Fault()


def download(fault: Fault) -> Fault:
    """The same for the next download from the image store instead of the next paid call."""
    if isinstance(fault, Spoil):
        raise ValueError(  # noqa: TRY004  the type is right, the choice is not
            "an image store has no answers to spoil: use a fault of the connection"
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
    """An answer of this status.

    Args:
        code: HTTP status.
        retry_after: Seconds, said as the vendor says it (a header, or RetryInfo in the body); a
            text goes into the header as it is, "http-date" or "http-date:7" as the date in 5 or
            7 s. Said exactly so, whatever the server's speed.
        body: Instead of the vendor's own words.
        headers: More of them.
        billed: The work was done first, and is billed.
        early: Before the request's body is read.
    """
    if billed and early:
        raise ValueError("what is said before the body is read cannot be billed")
    if isinstance(body, Mapping):
        body = msgspec.json.encode(dict(body))
    elif isinstance(body, str):
        body = body.encode()
    more = tuple((headers or {}).items())
    return Refuse(code, retry_after, body, more, billed=billed, early=early)


def rate_limited(retry_after: float | str | None = 1.0) -> Fault:
    """429: too many requests."""
    return status(429, retry_after)


def overloaded(retry_after: float | str | None = None) -> Fault:
    """503: more demand than the vendor can serve."""
    return status(503, retry_after)


def disconnect(*, before: bool = False) -> Fault:
    """The connection is closed instead of an answer."""
    return Break("close", before)


def reset(*, before: bool = False) -> Fault:
    """The connection is reset instead of an answer."""
    return Break("reset", before)


def hang(*, before: bool = False, unread: bool = False) -> Fault:
    """No answer ever comes. With `unread`, the request's body is not even read (nor billed)."""
    return Break("hang", before or unread, unread)


def raw(data: bytes, *, before: bool = False, keep_open: bool = False) -> Fault:
    """Exactly these bytes, head and all; then the connection is closed unless `keep_open`."""
    return Raw(data, before, keep_open)


def slow_body(bytes_per_second: float, chunk: int = 1024) -> Fault:
    """The body comes slowly: `chunk` bytes at a time, at so many bytes per simulated second."""
    if bytes_per_second <= 0 or chunk < 1:
        raise ValueError("a slow body still moves: bytes_per_second and chunk are above 0")
    return Travel(pace=bytes_per_second, chunk=chunk)


def cut_body(at: float = 0.6, framing: Framing = "length") -> Fault:
    """The connection ends within the body, after the share `at` of it."""
    if not 0 <= at <= 1:
        raise ValueError(f"a body is cut at a share of it, from 0 to 1, not at {at:g}")
    return Travel(at=at, framing=framing)


def no_terminator() -> Fault:
    """The whole body in chunks; the last, empty one never comes, and the connection stays open."""
    return Travel(framing="chunked", silent=True)


def gzipped(at: float = 1.0) -> Fault:
    """The body compressed, asked for or not; only the share `at` of it, under its right length."""
    return Travel(at=at, gzip=True)


def cut_download(at: float = 0.6) -> Fault:
    """The next download ends after the share `at` of the image."""
    return download(cut_body(at))


def cut_upload(at: float = 0.5) -> Fault:
    """The connection is reset within a piece of an upload; the share `at` of it has arrived."""
    if not 0 <= at <= 1:
        raise ValueError(f"an upload is cut at a share of a piece, from 0 to 1, not at {at:g}")
    return Cut(at=at)


def bad_json(kind: Literal["cut", "garbage", "empty", "deep", "digits", "utf8"] = "cut") -> Fault:
    """A body of the right length that is no JSON, or such as breaks a careless reader."""
    return Spoil("json", kind)


def bad_base64(
    kind: Literal["junk", "nopad", "overpad", "newlines", "data-uri", "urlsafe"] = "junk",
) -> Fault:
    """Image text that is wrong ("junk", "overpad"), or right in a way that nobody promised."""
    return Spoil("base64", kind)


def bad_image(
    kind: Literal["text", "truncated", "tiny", "empty", "huge", "mislabelled"] = "truncated",
) -> Fault:
    """An image that is none: words, no end, 1x1, no bytes, 65535x65535, or of another type."""
    return Spoil("image", kind)


def html_page() -> Fault:
    """A web page with status 200."""
    return Spoil("html")


def wrong_size() -> Fault:
    """An image of half the width and height that were asked."""
    return Spoil("size")


def thought_only() -> Fault:
    """Every image is marked as a thought (Gemini; the images API has no thoughts, and no image)."""
    return Spoil("thought")


def no_image(reason: str = "NO_IMAGE", text: str = "") -> Fault:
    """A success without an image, perhaps with words; `reason` is Gemini's finishReason."""
    return Spoil("none", reason, text=text)


def blocked(reason: str = "PROHIBITED_CONTENT") -> Fault:
    """The prompt is refused: by Gemini's blockReason; by the images API with a 400, at no cost."""
    return Spoil("blocked", reason)


def extra_images(count: int = 1) -> Fault:
    """More images than were asked."""
    return Spoil("extra", count=count)


def long_signature(size: int = 1 << 20) -> Fault:
    """A thought signature of `size` characters beside the image (Gemini)."""
    return Spoil("signature", count=size)


def mixed_results(missing: int = 0, unknown: int = 0, twice: int = 0) -> Fault:
    """A batch job's results miss so many lines, have others that nobody asked, or some twice."""
    return Mixed(missing=missing, unknown=unknown, twice=twice)
