"""What came in, as it came: headers and raw bytes; and the words for turning it away."""

from collections.abc import Iterable
from dataclasses import dataclass, field

_LONGEST = 8192  # characters of a header's value


class Forged(Exception):  # noqa: N818  it is an answer, 401, and no fault of ours
    """It is not proved to be the sender's. The words are for a log, never for the sender."""


class UnknownKey(Forged):
    """The same, and the sender's public keys may have changed since we read them."""


class Unreadable(Exception):  # noqa: N818  it is an answer, 400
    """The sender's, and no JSON."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One webhook, raw.

    Attributes:
        headers: Values by lower-case name, in the order they came.
        body: The bytes, before anybody looked into them.
    """

    headers: dict[str, list[str]]
    body: bytes = field(repr=False)

    @classmethod
    def of(cls, headers: Iterable[tuple[str, str]], body: bytes) -> "Letter":
        kept: dict[str, list[str]] = {}
        for name, value in headers:
            kept.setdefault(name.lower(), []).append(value)
        return cls(kept, body)

    def one(self, name: str) -> str:
        """The value of a header that must be there once, in printable ASCII.

        Two of a kind are refused: which of them counts is how others were deceived.

        Raises:
            Forged: It is not there, or not so.
        """
        values = self.headers.get(name, [])
        if len(values) != 1:
            raise Forged(f"{len(values)} headers {name}")
        value = values[0].strip(" \t")
        if not value or len(value) > _LONGEST or not (value.isascii() and value.isprintable()):
            raise Forged(f"header {name} is not plain text")
        return value
