"""A request and the head of its reply, as values; and what a vendor counts and charges.

Nothing here does I/O.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Literal, TypeVar, overload

import msgspec

T = TypeVar("T")

Billing = Literal["no", "maybe", "yes"]
"""What the vendor charges for an attempt: nothing, perhaps, certainly."""


class HttpRequest(msgspec.Struct, frozen=True, gc=False):
    """One request, ready to leave. Its repr shows neither headers nor body: the key is in them."""

    method: Literal["GET", "POST", "PUT"]
    url: str
    headers: dict[str, str] = {}
    body: bytes = b""

    def __repr__(self) -> str:
        return f"HttpRequest({self.method} {self.url}, {len(self.body)} bytes)"


class ReplyHead(msgspec.Struct, frozen=True):
    """Status line and headers of a reply.

    Attributes:
        status: HTTP status code, as sent.
        headers: Case-insensitive; of a repeated header, the first value.
    """

    status: int
    headers: Mapping[str, str]

    @property
    def request_id(self) -> str:
        """The vendor's id of this request, or "": what their support asks for."""
        headers = self.headers
        return headers.get("x-request-id") or headers.get("request-id") or ""

    @property
    def service_tier(self) -> str:
        """The service tier that was given, or "" where the vendor does not say."""
        return self.headers.get("x-gemini-service-tier", "").lower()

    @property
    def length(self) -> int | None:
        """Content-Length in bytes, or None if the body is not framed by one."""
        text = self.headers.get("content-length")
        return int(text) if text is not None and text.isascii() and text.isdigit() else None


class CleanHeaders(Mapping[str, str]):
    """Headers whose values are read through a filter."""

    __slots__ = ("_clean", "_headers")

    def __init__(self, headers: Mapping[str, str], clean: Callable[[str], str]) -> None:
        self._headers = headers
        self._clean = clean

    def __getitem__(self, name: str) -> str:
        return self._clean(self._headers[name])

    @overload
    def get(self, name: str, /) -> str | None: ...
    @overload
    def get(self, name: str, /, default: str | T) -> str | T: ...
    def get(self, name: str, /, default: object = None) -> object:
        """The header, or the default; most that are asked for are not there."""
        value = self._headers.get(name)
        return default if value is None else self._clean(value)

    def __iter__(self) -> Iterator[str]:
        return iter(self._headers)

    def __len__(self) -> int:
        return len(self._headers)


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens as the vendor counted them; 0 where it said nothing.

    `input_image_tokens` are those of `input_tokens` that reference images took.
    """

    input_tokens: int = 0
    image_tokens: int = 0
    text_tokens: int = 0
    total_tokens: int = 0
    input_image_tokens: int = 0
