"""A batch job at OpenAI, its lines and its files."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from nbp_async.fake.asks import Ask
from nbp_async.fake.bank import Account, Row
from nbp_async.fake.belt import Belt
from nbp_async.fake.faults import Fault
from nbp_async.fake.spool import Spool

_OVER = frozenset({"completed", "failed", "expired", "cancelled"})
Pieces = Iterable[bytes]


class File(msgspec.Struct):
    """A file that is there: `content` gives its bytes anew each time."""

    id: str
    account: str
    size: int
    created: int
    name: str
    purpose: str
    content: Callable[[], Iterator[Pieces]]
    job: "Job | None" = None
    spool: Spool | None = None

    def document(self) -> dict[str, object]:
        return {
            "id": self.id, "object": "file", "bytes": self.size, "created_at": self.created,
            "filename": self.name, "purpose": self.purpose, "status": "processed",
        }  # fmt: skip


class Line:
    """One request of a job, and what came of it: a row, or `refused` with its status.

    Attributes:
        size: Bytes of its result, once they are counted.
    """

    __slots__ = ("ask", "fault", "id", "refused", "row", "size", "status")

    def __init__(
        self, name: str, ask: Ask | None, fault: Fault | None, status: int = 200,
        refused: bytes = b"",
    ) -> None:  # fmt: skip
        self.id = name
        self.ask = ask
        self.fault = fault
        self.status = status
        self.refused = refused
        self.row: Row | None = None
        self.size = 0


class Job:
    """A batch job; `times` has when it came to which state, in seconds since 1970."""

    __slots__ = (
        "account", "belt", "endpoint", "errors", "file", "id", "lines", "metadata", "output",
        "problems", "state", "timers", "times",
    )  # fmt: skip

    def __init__(
        self, name: str, account: Account, endpoint: str, file: File, metadata: object
    ) -> None:
        self.id = name
        self.account = account
        self.endpoint = endpoint
        self.file = file
        self.metadata = metadata
        self.lines: list[Line] = []
        self.errors: list[Mapping[str, object]] = []
        self.output: str | None = None
        self.problems: str | None = None
        self.state = "validating"
        self.times: dict[str, int] = {}
        self.belt: Belt[Line] | None = None
        self.timers: list[asyncio.TimerHandle] = []

    @property
    def over(self) -> bool:
        return self.state in _OVER

    def document(self) -> dict[str, object]:
        """The job as OpenAI tells of it."""
        times = self.times
        done = sum(line.row is not None for line in self.lines)
        failed = sum(bool(line.refused) for line in self.lines) if self.over else 0
        errors = {"object": "list", "data": self.errors} if self.errors else None
        return {
            "id": self.id, "object": "batch", "endpoint": self.endpoint, "errors": errors,
            "input_file_id": self.file.id, "completion_window": "24h", "status": self.state,
            "output_file_id": self.output, "error_file_id": self.problems,
            "created_at": times["validating"], "expires_at": times["validating"] + 24 * 3600,
            "in_progress_at": times.get("in_progress"), "finalizing_at": times.get("finalizing"),
            "completed_at": times.get("completed"), "failed_at": times.get("failed"),
            "expired_at": times.get("expired"), "cancelling_at": times.get("cancelling"),
            "cancelled_at": times.get("cancelled"), "metadata": self.metadata,
            "request_counts": {"total": len(self.lines), "completed": done, "failed": failed},
        }  # fmt: skip
