"""A batch job and its lines, and the addresses that jobs have."""

import asyncio
import re
from typing import Literal

from nbp_async.fake.asks import Ask
from nbp_async.fake.bank import Account, Row
from nbp_async.fake.belt import Belt
from nbp_async.fake.faults import Fault, Mixed

State = Literal["PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"]
_OVER = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"})
_CREATE = re.compile(r"/v1(?:beta)?/models/([^/:]+):batchGenerateContent")
_BATCH = re.compile(r"/v1(?:beta)?/batches(?:/([\w\-]+))?(?::(cancel|delete))?")


class Line:
    """One request of a job, and what came of it: `size` bytes, once they are counted."""

    __slots__ = ("ask", "error", "fault", "key", "row", "size")

    def __init__(self, key: object, ask: Ask | None, error: bytes, fault: Fault | None) -> None:
        self.key = key
        self.ask = ask
        self.error = error
        self.fault = fault
        self.row: Row | None = None
        self.size = 0


class Job:
    """A batch job; times are of the loop's clock."""

    __slots__ = (
        "account", "belt", "created", "display", "due", "ended", "failure", "file", "hook", "id",
        "inline",
        "lines", "made", "mixed", "model", "results", "state", "timer",
    )  # fmt: skip

    def __init__(
        self, name: str, account: Account, model: str, display: str, lines: list[Line], *,
        inline: bool, file: str, made: float, due: float, created: float,
    ) -> None:  # fmt: skip
        self.id = name
        self.account = account
        self.model = model
        self.display = display
        self.lines = lines
        self.inline = inline
        self.file = file
        self.made = made
        self.due = due
        self.created = created
        self.state: State = "PENDING"
        self.ended: float | None = None
        self.failure = ""
        self.results = ""
        self.belt: Belt[Line] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.mixed: Mixed | None = None
        self.hook = ""

    @property
    def over(self) -> bool:
        return self.state in _OVER


def create_of(path: str) -> str | None:
    """The model that a job is to be made for; None if this path makes none."""
    found = _CREATE.fullmatch(path)
    return None if found is None else found[1]


def batch_of(path: str) -> tuple[str, str] | None:
    """The job that this path is about ("" for all), and what is to be done with it."""
    found = _BATCH.fullmatch(path)
    return None if found is None else (found[1] or "", found[2] or "")
