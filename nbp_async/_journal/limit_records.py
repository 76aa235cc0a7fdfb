"""Learned limits as notes in a journal: one for each endpoint, account and model."""

import contextlib
from collections.abc import Iterator, Mapping

import msgspec

FIRST_WITH_NOTES = 4  # version of a journal


class LimitRecord(msgspec.Struct, frozen=True):
    """How many requests a vendor held (`max_in_flight="auto"`).

    Attributes:
        endpoint: Its name or address.
        account: Who pays.
        model: The model that was asked.
        limit: Requests in flight.
        written: When that was known last, in seconds since 1970.
        is_searching: Nothing was refused: it may be more.
    """

    endpoint: str
    account: str
    model: str
    limit: int
    written: float
    is_searching: bool = False

    @property
    def name(self) -> str:
        """What its note is called."""
        return " ".join((_START, self.endpoint, self.account, self.model))

    def text(self) -> str:
        """What its note says."""
        return msgspec.json.encode(self).decode()


def read_limits(notes: Mapping[str, str]) -> Iterator[LimitRecord]:
    """The learned limits among the notes of a journal; what cannot be read is left out."""
    for name, text in notes.items():
        if name.startswith(f"{_START} "):
            with contextlib.suppress(msgspec.MsgspecError):
                yield _decoder.decode(text)


def is_newer(text: str, other: str) -> bool:
    """The note with this text was written after the other one."""
    return _decoder.decode(text).written > _decoder.decode(other).written


_START = "limit"
_decoder = msgspec.json.Decoder(LimitRecord)
