"""A webhook as it came, the event that it becomes, and the errors that turn it away."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import msgspec
from multidict import MultiMapping

from nbp_async._dialects.reply_fields import as_array

_MAX_HEADER = 8192  # characters of a header's value


class WebhookError(Exception):
    """A webhook is not accepted. The message is for a log; the sender sees the class's facts alone.

    Attributes:
        status: HTTP status of the response.
        answer: Text of the response.
    """

    status: ClassVar[int]
    answer: ClassVar[str]


class InvalidSignatureError(WebhookError):
    """Its signature does not prove that it is the sender's."""

    status, answer = 401, "Invalid signature"


class UnknownKeyError(InvalidSignatureError):
    """The same; but the sender may have new public keys since we read them."""


class InvalidBodyError(WebhookError):
    """It is the sender's, but not JSON."""

    status, answer = 400, "Invalid JSON"


class WebhookTooLargeError(WebhookError):
    """It has more bytes than `Webhook.max_body`."""

    status, answer = 413, "Too large"


class RetryLaterError(WebhookError):
    """It cannot be verified or kept now: the sender is asked to send it again."""

    status, answer = 503, "Try again later"


@dataclass(frozen=True)
class WebhookMessage:
    """One webhook, raw.

    Attributes:
        headers: As they came; their names are case-insensitive.
        body: The bytes, before anybody parsed them.
    """

    headers: MultiMapping[str] = field(repr=False)
    body: bytes = field(repr=False)

    def header(self, name: str) -> str:
        """The value of a header that must be there exactly once, in printable ASCII.

        Two headers of one name are refused: an attacker could have us check the one and use the
        other.

        Raises:
            InvalidSignatureError: It is missing, repeated or not plain text.
        """
        values = self.headers.getall(name, [])
        if len(values) != 1:
            raise InvalidSignatureError(f"{len(values)} headers {name}")
        value = values[0].strip(" \t")
        if not value or len(value) > _MAX_HEADER or not (value.isascii() and value.isprintable()):
            raise InvalidSignatureError(f"header {name} is not plain text")
        return value

    @cached_property
    def document(self) -> object:
        """The body, parsed when first asked for and only then; of an array its first element.

        Raises:
            InvalidBodyError: It is not JSON.
        """
        try:
            document: object = msgspec.json.decode(self.body)
        except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
            raise InvalidBodyError("the body is not JSON") from exc
        array = as_array(document)
        return array[0] if array else document

    @cached_property
    def sha256(self) -> str:
        """Of the body, hexadecimal."""
        return hashlib.sha256(self.body).hexdigest()


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """A verified webhook.

    Attributes:
        id: The sender's id of it, the same for every try; or a hash of it where it has none.
        task: The id of the task that it is about, or "". A hint: ask the service what is true.
        state: What it says of the task, in lower case, or "".
        scheme: How it was signed.
        body: Its bytes as they came, without the keys that the receiver was told to hide.
        received_at: When it came, in seconds since 1970.
    """

    id: str
    task: str
    state: str
    scheme: str
    body: bytes = field(repr=False)
    received_at: float
