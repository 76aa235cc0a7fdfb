"""How one API spells a request and its answer. Synchronous, no I/O, no clock.

Encode a job, then feed the body of a successful answer to a decoder piece by piece. What leaves
it are parts: "an image begins", "more of it", "here is a link". Long strings never gather in
memory. Whether a part is the image that was wanted is known only when the answer is whole, so
each image has a number and `close` names the ones that count.
"""

from typing import Protocol

import msgspec

from nbp_async._errors import RefusedError
from nbp_async._handle import Handle
from nbp_async._http import HttpRequest, ReplyHead, Usage
from nbp_async._models import Job, Reference
from nbp_async._profiles import Profile


class ImageText(msgspec.Struct, frozen=True, gc=False):
    """More of image number `image`: base64 text, JSON escapes undone, perhaps a `data:` prefix."""

    image: int
    text: bytes


class ImageEnd(msgspec.Struct, frozen=True, gc=False):
    """The text of image number `image` is complete."""

    image: int


Part = ImageText | ImageEnd


class Answer(msgspec.Struct, frozen=True):
    """What a whole successful answer says.

    Attributes:
        images: Numbers of the images that count, the wanted one first. The others that were
            begun (drafts) are to be discarded.
        links: Links to images that count, the wanted one first; used where `images` is empty.
        text: What the model said besides, at most 500 characters.
        usage: Tokens as the vendor counted them, or None.
        model: The version of the model that answered, or "".
        request_id: The vendor's id of the answer, where the body has one, or "".
        handle: There is no image yet, for the vendor goes on alone: what to ask for it by.
        eta: Seconds until it is worth asking, as far as the vendor says; else None.
    """

    images: tuple[int, ...] = ()
    links: tuple[str, ...] = ()
    text: str = ""
    usage: Usage | None = None
    model: str = ""
    request_id: str = ""
    handle: Handle | None = None
    eta: float | None = None


class Decoder(Protocol):
    """Takes one successful body in pieces of any length; made for one answer."""

    @property
    def complete(self) -> bool:
        """The JSON document has closed: no more of it can come but white space."""
        ...

    def feed(self, data: bytes) -> list[Part]:
        """Take a piece of the body, give the parts that are in it.

        Raises:
            MalformedReplyError: It is no JSON, or not such JSON as this API sends.
        """
        ...

    def close(self) -> Answer:
        """The body ended: say what it was.

        Raises:
            TruncatedError: The JSON is not whole.
            MalformedReplyError: It is whole and of another shape.
            NoImageError: It is an answer, and has no image; `reason`, `text` and, as the
                attribute `usage`, the tokens it cost say why.
            ContentBlockedError: The same, for what was asked or drawn.
        """
        ...


SUCCESS = frozenset({200, 201})


class Dialect(Protocol):
    """One API's way of speaking. Holds no state."""

    @property
    def statuses(self) -> frozenset[int]:
        """HTTP statuses of an answer that is to be decoded; any other is a refusal."""
        ...

    def encode(
        self, job: Job, profile: Profile, references: tuple[Reference, ...], key: str
    ) -> HttpRequest:
        """Spell the request for one image.

        Raises:
            ConfigError: The job asks for something that this API cannot be asked for.
        """
        ...

    def decoder(self) -> Decoder:
        """A fresh decoder for one successful body."""
        ...

    def refusal(self, head: ReplyHead, body: bytes, profile: Profile) -> RefusedError:
        """Read the answer of a status that is no success. Never raises, whatever the body is.

        The error's message names the profile, the status and the vendor's own words (at most
        200 characters); `retry_after` is None here unless the body gives it (RetryInfo).
        """
        ...
