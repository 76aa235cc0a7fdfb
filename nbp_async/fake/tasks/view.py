"""Tasks as they are ordered and as they are shown."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from nbp_async.fake.answers import Body
from nbp_async.fake.asks import Ask

State = Literal["pending", "processing", "completed", "failed", "cancelled"]


class Order(msgspec.Struct, frozen=True):
    """What a submit asks for.

    Attributes:
        ask: The work.
        callback: Where its webhook goes, or "".
        events: Which events go there; None for the service's own choice.
        note: What the service gives back with its events, untouched.
        kept: The document or form, fit to be kept.
    """

    ask: Ask
    callback: str = ""
    events: tuple[str, ...] | None = None
    note: object = None
    kept: object = None


class View(msgspec.Struct, frozen=True):
    """A task as it is shown: services put this into their words.

    Attributes:
        id: Its id, or the one that is told.
        order: What was asked.
        state: Where it stands.
        name: The state's name, where it is to be another than the service's own.
        progress: Percent.
        body: The result as a held call would answer it, when it is completed.
        links: Where its images are; none where they are in `body`.
        code: Why it failed, in a word; or "".
        message: Why it failed.
        made: Seconds since 1970.
        ended: The same; None while it runs.
        root: The server's own address.
    """

    id: str
    order: Order
    state: State
    name: str | None
    progress: int
    body: Body | None
    links: Sequence[str]
    code: str
    message: str
    made: float
    ended: float | None
    root: str

    @property
    def over(self) -> bool:
        """It has ended, well or badly."""
        return self.state in ("completed", "failed", "cancelled")
