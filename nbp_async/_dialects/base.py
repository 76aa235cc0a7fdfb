"""How one API writes a request and its answer. Synchronous, no I/O, no clock.

Encode a job, then feed the body of a successful response to a decoder, piece by piece. The decoder
returns parts: more text of an image, or the end of one. Long strings never gather in memory.
Whether an image is the one that was asked for is known only when the answer is whole, so each
image has a number, and `close` names the ones that count.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec

from nbp_async._base.errors import RefusedError
from nbp_async._base.http import HttpRequest, ReplyHead, Usage
from nbp_async._base.task_handle import Handle
from nbp_async._models.outcomes import Job, Reference
from nbp_async._vendors.profiles import Profile


class ImageText(msgspec.Struct, frozen=True, gc=False):
    """More of image number `image`: base64 text without JSON escapes, perhaps a `data:` prefix."""

    image: int
    text: bytes


class ImageEnd(msgspec.Struct, frozen=True, gc=False):
    """The text of image number `image` is complete."""

    image: int


Part = ImageText | ImageEnd

Clean = Callable[[bytes], bytes]
"""Gives the same text without what nobody may see."""


class Answer(msgspec.Struct, frozen=True):
    """The content of a whole successful response.

    Attributes:
        images: Numbers of the images that count, the wanted one first. All others (drafts) are to
            be discarded.
        links: Links to images that count, the wanted one first; used where `images` is empty.
        text: What the model said as well, at most 500 characters.
        usage: Tokens as the vendor counted them, or None.
        model: The version of the model that answered, or "".
        tier: The service tier that was given, where the body names it, or "".
        quality: The quality that was given, where the body names it, or "".
        request_id: The vendor's id of the response, where the body has one, or "".
        handle: There is no image yet, because the vendor works on it as a task: poll it by this.
        eta: Seconds until the next poll is worthwhile, if the vendor says so; else None.
        notes: What was wrong with the response, which was read all the same.
    """

    images: tuple[int, ...] = ()
    links: tuple[str, ...] = ()
    text: str = ""
    usage: Usage | None = None
    model: str = ""
    tier: str = ""
    quality: str = ""
    request_id: str = ""
    handle: Handle | None = None
    eta: float | None = None
    notes: tuple[str, ...] = ()


class Decoder(Protocol):
    """Decodes the body of one successful response, in pieces of any length."""

    def read_through(self, clean: Clean) -> None:
        """Read what is kept of the body, apart from its images, through a filter.

        It hides the key before any of the body is cut, or quoted in an error.
        """
        ...

    @property
    def complete(self) -> bool:
        """The JSON document has closed: nothing that matters can follow."""
        ...

    def feed(self, data: bytes) -> list[Part]:
        """Take a piece of the body, and return the parts that are in it.

        Raises:
            MalformedReplyError: It is not JSON, or larger than the JSON of this API can be.
        """
        ...

    def close(self) -> Answer:
        """The body ended: return its answer.

        Raises:
            TruncatedError: The JSON is not whole.
            MalformedReplyError: It is whole and has another shape.
            NoImageError: It has no image; `reason` and `text` say why, `usage` what it cost.
            ContentBlockedError: The same, because of what was asked or drawn.
        """
        ...


SUCCESS = frozenset({200, 201})


class Dialect(Protocol):
    """One API: its requests, responses and refusals. Holds no state."""

    @property
    def statuses(self) -> frozenset[int]:
        """HTTP statuses of a response to decode; any other is a refusal."""
        ...

    def encode(
        self, job: Job, profile: Profile, references: tuple[Reference, ...], key: str
    ) -> HttpRequest:
        """Encode the request for one image. The key goes into a header, and nowhere else.

        Raises:
            ConfigError: The job has something that this API has no place for.
        """
        ...

    def decoder(self) -> Decoder:
        """A fresh decoder for the body of one successful response."""
        ...

    def refusal(self, head: ReplyHead, body: bytes, profile: Profile) -> RefusedError:
        """The error for any other status. Never raises, whatever the body is.

        The error's message names the profile, the status and the vendor's own words (at most
        200 characters); `retry_after` is None here unless the body gives it (RetryInfo).
        """
        ...
