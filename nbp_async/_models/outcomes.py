"""A prompt, its attempts, and how it ended: values, small enough to keep a million of them.

Those that are frozen and cannot be part of a cycle are not tracked by the garbage collector
(`gc=False`): it would walk through all of them again and again.
"""

from decimal import Decimal
from pathlib import Path
from typing import Literal

import anyio.to_thread
import msgspec

from nbp_async._base.errors import NbpError, StorageError
from nbp_async._base.folders import write_file
from nbp_async._base.html import card, link_to
from nbp_async._base.http import Billing, Usage
from nbp_async._base.text import (
    describe_billing,
    format_bytes,
    format_dollars,
    format_seconds,
    plural,
)
from nbp_async._models.attempts import ZERO as ZERO
from nbp_async._models.attempts import Attempt as Attempt
from nbp_async._models.attempts import Timings as Timings
from nbp_async._models.prompts import Prompt as Prompt
from nbp_async._models.prompts import as_prompt as as_prompt
from nbp_async._models.thumbnails import file_exists, thumbnail, why_no_thumbnail
from nbp_async._stores.open_buckets import read_bytes
from nbp_async._stores.store_address import is_store
from nbp_async._stores.stored import MemoryBytes as MemoryBytes
from nbp_async._stores.stored import MemoryCounter as MemoryCounter
from nbp_async._stores.stored import Stored as Stored
from nbp_async._vendors.price_options import STANDARD
from nbp_async._vendors.services import ResponseFormat
from nbp_async._vendors.sizes import Canvas

ImageFormat = Literal["png", "jpeg", "webp", "avif", "heic", "gif", "svg", ""]
"""Found from an image's bytes; "" of a link, whose bytes are not here."""
_EDGE = 256  # pixels of the longer side of the picture that a notebook shows


class Reference(msgspec.Struct, frozen=True, gc=False):
    """A reference image ready to send: its bytes and type, or a link that the vendor fetches."""

    mime: str
    data: bytes = b""
    uri: str = ""

    def __repr__(self) -> str:
        return f"Reference({self.mime}, {self.uri or f'{len(self.data)} bytes'})"


class Job(msgspec.Struct, frozen=True, gc=False):
    """One image to make: a prompt at its place in the run, checked against the model.

    Attributes:
        index: Place of its outcome in the batch, from 0.
        prompt: What was asked.
        copy: Which of the prompt's `n` images this is, from 0.
        model: The model's name as the endpoint spells it.
        canvas: Size and ratio, checked; the pixels to expect.
        price: US dollars that it should cost.
        most: US dollars that are set aside for it, which it should not go beyond.
        tier: The service tier that is asked for, "standard" where none was chosen.
        response_format: What the answer is asked to be, in place of what the profile says; None
            for that.
    """

    index: int
    prompt: Prompt
    copy: int
    model: str
    canvas: Canvas
    price: Decimal
    most: Decimal
    tier: str = STANDARD
    response_format: ResponseFormat | None = None

    @property
    def seed(self) -> int | None:
        """The seed of this copy, or None."""
        return None if self.prompt.seed is None else self.prompt.seed + self.copy


def _charged(attempts: tuple[Attempt, ...], billing: Billing) -> Decimal:
    return sum((a.cost for a in attempts if a.billing == billing), ZERO)


def _repeated(outcome: "Outcome") -> list[str]:
    """Facts of an outcome whose first attempt was not its last."""
    number = len(outcome.earlier) + len(outcome.attempts)
    facts = [plural(number, "attempt")] if number > 1 else []
    if outcome.maybe_spent and outcome.billing != "maybe":
        facts.append(f"perhaps {format_dollars(outcome.maybe_spent)} more")
    return facts


class _Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What an image and a failure have in common."""

    index: int
    prompt: Prompt
    attempts: tuple[Attempt, ...] = ()
    earlier: tuple[Attempt, ...] = ()

    @property
    def spent(self) -> Decimal:
        """US dollars that the attempts of this call certainly cost."""
        return _charged(self.attempts, "yes")

    @property
    def spent_earlier(self) -> Decimal:
        """US dollars that its attempts in earlier calls of the same run certainly cost."""
        return _charged(self.earlier, "yes")

    @property
    def reduced(self) -> Decimal:
        """US dollars that its attempts, earlier ones included, cost less by the batch API."""
        return sum((a.reduced for a in (*self.earlier, *self.attempts) if a.billing == "yes"), ZERO)

    @property
    def maybe_spent(self) -> Decimal:
        """US dollars that its attempts, earlier ones included, may have cost in addition."""
        return _charged(self.attempts, "maybe") + _charged(self.earlier, "maybe")

    @property
    def unread(self) -> str:
        """Where the last answer is kept that could not be read, or "": see `recover_run`."""
        attempts = (*self.earlier, *self.attempts)
        return next((a.unread for a in reversed(attempts) if a.unread), "")


class Image(_Outcome, frozen=True, kw_only=True, gc=False):
    """An image that was made and is safe.

    ```python
    image = await gen.one("a red bicycle", size="2K")
    image.save("bicycle.png")
    ```

    Attributes:
        index: Place in the batch, from 0.
        prompt: What was asked.
        attempts: Every request that this call made for it; the last one brought it. Empty if it
            was there already.
        earlier: Requests that earlier calls of the same run made for it.
        stored: Where its bytes are.
        format: Found from the bytes, whatever the vendor called it; "" of a link that was kept.
        width: Pixels, from the bytes; 0 of a link that was kept.
        height: Pixels, from the bytes; 0 of a link that was kept.
        url: The link it came by, or "".
        url_expires: When the link should end, in seconds since 1970, or None.
        model: The version of the model that answered, or "".
        usage: Tokens as the vendor counted them, or None.
        mismatch: How the pixels differ from what was asked, or "".
        extras: Further images that came in the same answer, unasked.
        notes: What was wrong with the answer or with the image's bytes, although it was kept: look
            at such an image. Usually none.
    """

    stored: Stored
    format: ImageFormat
    width: int
    height: int
    url: str = ""
    url_expires: float | None = None
    model: str = ""
    usage: Usage | None = None
    mismatch: str = ""
    extras: "tuple[Image, ...]" = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> Literal[True]:
        """There is an image."""
        return True

    @property
    def billing(self) -> Billing:
        """Always "yes": the image was made."""
        return "yes"

    @property
    def cost(self) -> Decimal:
        """US dollars of the attempt that brought it."""
        return self._bringer.cost if self._bringer is not None else ZERO

    @property
    def request_id(self) -> str:
        """The vendor's id of the request that brought it, or ""."""
        return self._bringer.request_id if self._bringer is not None else ""

    @property
    def resumed(self) -> bool:
        """It was there before this call, which sent nothing for it."""
        return bool(self.earlier) and not self.attempts

    @property
    def _bringer(self) -> Attempt | None:
        tried = self.attempts or self.earlier
        return tried[-1] if tried else None

    @property
    def links(self) -> tuple[str, ...]:
        """The links that were kept instead of its bytes (`links="keep"`), those of `extras` as
        well; empty where the bytes are here."""
        if self.stored.path or self.stored.size:  # even in memory an image has some bytes
            return ()
        return self.url, *(extra.url for extra in self.extras)

    @property
    def path(self) -> Path | None:
        """The file it is in, or None if it is in a store, in memory, or a link that was kept."""
        path = self.stored.path
        return Path(path) if path and not is_store(path) else None

    @property
    def location(self) -> str:
        """Where it is: its file, its address in a store (`s3://…`), or the link that was kept; ""
        while in memory."""
        return self.url if self.links else self.stored.path

    @property
    def pixels(self) -> tuple[int, int]:
        """Width and height, as found in the bytes."""
        return self.width, self.height

    @property
    def sha256(self) -> str:
        """Of the image's bytes, hexadecimal."""
        return self.stored.digest.hex()

    def read(self) -> bytes:
        """The image's bytes, as the vendor made them. Reads its file, or its store; blocks.

        Raises:
            StorageError: They were not downloaded (`links="keep"`), were in the memory of a process
                that has ended, were given to a sink of your own, or can't be had.
        """
        if self.links:
            raise StorageError(
                f"Image {self.index} was kept as a link: its bytes are not here.",
                hint="Download `url`; of a run, fetch_run() or `nbp fetch` gets all of them.",
            )
        held = self.stored.held
        if held is None and not self.stored.path:
            raise StorageError(
                f"The bytes of #{self.index + 1} were {self.stored.whereabouts}.",
                hint="Its link may still live: see `url`." if self.url else "",
            )
        return held.data if held is not None else read_bytes(self.stored.path)

    async def aread(self) -> bytes:
        """The same for coroutines, in a thread."""
        return await anyio.to_thread.run_sync(self.read)

    def save(self, path: str | Path, *, shared: bool = False) -> Path:
        """Write the bytes to `path`, unchanged, and return it. Blocks; replaces what is there. A
        new file is for its owner alone; with `shared`, others may read it as the umask says."""
        return write_file(Path(path), self.read(), shared=shared)

    def __repr__(self) -> str:
        where = self.location or f"{self.stored.size} bytes {self.stored.whereabouts}"
        what = "link" if self.links else f"{self.width}x{self.height} {self.format}"
        return f"Image(index={self.index}, {what}, ${self.cost}, {where})"

    def _repr_html_(self) -> str:
        """What a notebook shows: a small picture, never the original."""
        small = thumbnail(self, _EDGE)
        lines = [self.mismatch, *self.notes] if self.mismatch else [*self.notes]
        lines += [f"{plural(len(self.extras), 'more image')} in `extras`."] if self.extras else []
        lines += [why_no_thumbnail(self)] if small is None and not self.links else []
        path = self.path if self.path is not None and file_exists(self.path) else None
        return card(
            f"Image {self.index + 1}",
            self.prompt.text,
            facts=self._facts(),
            lines=lines if path is not None else [*lines, self.location],
            link=link_to(path) if path is not None else "",
            picture=small,
        )

    def _facts(self) -> list[str]:
        facts = ["kept as a link"]
        if not self.links:
            facts = [f"{self.width}×{self.height} {self.format.upper()}"]
            facts += [format_bytes(self.stored.size)]
        facts += [format_dollars(self.cost)]
        if self._bringer is not None:
            facts.append(format_seconds(self._bringer.timings.service))
        if self.resumed:
            facts.append("there already")
        return facts + _repeated(self)


class Failure(_Outcome, frozen=True, kw_only=True):
    """A prompt that brought no image; `error` says why, and `billing` whether it was billed.

    Attributes:
        error: What ended it.
        billing: "no", "maybe" or "yes": the worst of its attempts, earlier calls' included.
        links: Links of an image that was paid for and whose bytes are not here; usually none.
        link_expires: When they should end, in seconds since 1970, or None.
    """

    error: NbpError
    billing: Billing = "no"
    links: tuple[str, ...] = ()
    link_expires: float | None = None

    def __post_init__(self) -> None:
        self.error.billing, self.error.cost = self.billing, self.cost

    @property
    def cost(self) -> Decimal:
        """US dollars that were billed; where that is unknown, that may have been."""
        charged = {"no": ZERO, "maybe": self.maybe_spent, "yes": self.spent + self.spent_earlier}
        return charged[self.billing]

    @property
    def ok(self) -> Literal[False]:
        """There is no image."""
        return False

    def __repr__(self) -> str:
        error = f"{type(self.error).__name__}: {str(self.error).removesuffix('.')}"
        return f"Failure(index={self.index}, {error}, billing={self.billing!r})"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        kept = f"It is paid for and behind {plural(len(self.links), 'link')}: see `links`."
        return card(
            f"No image {self.index + 1}: {type(self.error).__name__}",
            self.prompt.text,
            facts=[describe_billing(self.billing, self.cost), *_repeated(self)],
            lines=[str(self.error), *([kept] if self.links else [])],
            lost=True,
        )


Outcome = Image | Failure
Links = Literal["fetch", "keep"]
"""What becomes of an answer that is a link: its image is downloaded, or the link is the result."""
Via = Literal["held", "poll", "webhook", "batch"]
"""How an answer reaches us: a call held open, a task that is looked at, one that a webhook tells
of, or a job of the batch API."""
FailedLines = Literal["batch", "held", "keep"]
"""What becomes of a batch job's lines that cost nothing and brought nothing."""
