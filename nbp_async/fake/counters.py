"""What the server saw: an independent witness of what a client says it did."""

from collections import Counter, deque
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

_KEPT = 1000
_SHORT = 200  # characters of a long text that are kept in a recorded body
_LONG = 4000
_SECRET = frozenset({"authorization", "x-goog-api-key", "cookie"})


class Stats(msgspec.Struct, frozen=True):
    """A snapshot.

    Attributes:
        requests: Paid calls that arrived.
        in_flight: Paid calls in work or on their way out now.
        peak_in_flight: The most there were at once.
        connections: Connections that were accepted.
        open_connections: Connections that stand now.
        peak_connections: The most there were at once.
        peak_carrying: The most of them that carried a request at once.
        connection_seconds: How long connections carried a request, from its head to the end of its
            answer, all together, on the loop's clock.
        downloads: Requests to the image store.
        bytes_out: Bytes of bodies that were handed to connections.
        dollars: Sum of the ledger.
        images: Images that were rendered.
        lost: Answers that cost something and did not reach the client whole.
        by_status: Paid calls by the status of their answer; 0 for those that got none.
        tasks: Tasks that were taken in.
        open_tasks: Tasks that are in work now.
        looks: Looks at tasks, known or not.
        peak_looks_per_second: The most looks in any second, on the loop's clock.
        webhooks: Tries to deliver a webhook.
        webhooks_delivered: Webhooks that were taken.
        webhooks_failed: Webhooks that were given up.
    """

    requests: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0
    connections: int = 0
    open_connections: int = 0
    peak_connections: int = 0
    peak_carrying: int = 0
    connection_seconds: float = 0.0
    downloads: int = 0
    bytes_out: int = 0
    dollars: Decimal = Decimal(0)
    images: int = 0
    lost: int = 0
    by_status: dict[int, int] = {}
    tasks: int = 0
    open_tasks: int = 0
    looks: int = 0
    peak_looks_per_second: int = 0
    webhooks: int = 0
    webhooks_delivered: int = 0
    webhooks_failed: int = 0


class Received(msgspec.Struct, frozen=True):
    """A paid call as it arrived.

    Attributes:
        path: Path of the request, without its query.
        headers: Names in lower case; without the key.
        body: The JSON, or the fields of a form (of files, how many bytes); texts of more than
            4,000 characters are shortened.
        at: When its body was read, in seconds on the loop's clock.
    """

    path: str
    headers: dict[str, str]
    body: Any
    at: float


class Posted(msgspec.Struct, frozen=True):
    """One try to deliver a webhook.

    Attributes:
        id: The message's id.
        task: The id of the task that it is about.
        url: Where it went.
        attempt: Which try, from 1; 0 for a forged one.
        status: What the receiver answered; 0 if nothing came.
        forged: What was wrong with it, or "".
        at: When it was answered, in seconds on the loop's clock.
        headers: As they were sent.
        body: As it was sent.
    """

    id: str
    task: str
    url: str
    attempt: int
    status: int
    forged: str
    at: float
    headers: dict[str, str]
    body: bytes


class Counters:
    """Counts, and keeps the last thousand requests."""

    def __init__(self) -> None:
        self.requests = 0
        self.in_flight = 0
        self.peak_in_flight = 0
        self.accepted = 0
        self.open = 0
        self.peak_open = 0
        self._carried = 0.0
        self._carried_until = 0.0
        self._carrying = 0
        self._peak_carrying = 0
        self.downloads = 0
        self.bytes_out = 0
        self.by_status: Counter[int] = Counter()
        self.tasks = 0
        self.open_tasks = 0
        self.looks = 0
        self.peak_looks = 0
        self.webhooks = 0
        self.webhooks_delivered = 0
        self.webhooks_failed = 0
        self.posted: deque[Posted] = deque(maxlen=_KEPT)
        self._looked: deque[float] = deque()
        self._received: deque[tuple[str, Mapping[str, str], object, float]] = deque(maxlen=_KEPT)

    def arrived(self) -> None:
        """A paid call began."""
        self.requests += 1
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)

    def opened(self) -> None:
        """A connection was accepted."""
        self.accepted += 1
        self.open += 1
        self.peak_open = max(self.peak_open, self.open)

    def closed(self) -> None:
        """A connection ended."""
        self.open -= 1

    def carries(self, now: float, change: int) -> None:
        """So many more (or fewer) connections carry a request from now on."""
        self._carried += self._carrying * (now - self._carried_until)
        self._carried_until = now
        self._carrying += change
        self._peak_carrying = max(self._peak_carrying, self._carrying)

    def looked(self, now: float) -> None:
        """Somebody looked at a task."""
        self.looks += 1
        looked = self._looked
        looked.append(now)
        while looked[0] <= now - 1.0:
            looked.popleft()
        self.peak_looks = max(self.peak_looks, len(looked))

    def record(self, path: str, headers: Mapping[str, str], body: object, at: float) -> None:
        """Keep what a paid call asked."""
        self._received.append((path, headers, body, at))

    @property
    def received(self) -> list[Received]:
        """The last thousand paid calls that could be read, oldest first."""
        return [
            Received(path, _without_key(headers), body, at)
            for path, headers, body, at in self._received
        ]

    def stats(self, now: float | None, *, dollars: Decimal, images: int, lost: int) -> Stats:
        """A snapshot; what the bank knows is given to it."""
        if now is not None:
            self.carries(now, 0)
        return Stats(
            self.requests, self.in_flight, self.peak_in_flight, self.accepted, self.open,
            self.peak_open, self._peak_carrying, self._carried, self.downloads, self.bytes_out,
            dollars, images, lost, dict(self.by_status),
            self.tasks, self.open_tasks, self.looks, self.peak_looks, self.webhooks,
            self.webhooks_delivered, self.webhooks_failed,
        )  # fmt: skip


def shortened(body: object) -> object:
    """The same document without its long texts: what would fill the memory with references."""
    if isinstance(body, str) and len(body) > _LONG:
        return f"{body[:_SHORT]}… ({len(body)} characters)"
    if isinstance(body, dict):
        return {name: shortened(value) for name, value in body.items()}
    if isinstance(body, list):
        return [shortened(value) for value in body]
    return body


def _without_key(headers: Mapping[str, str]) -> dict[str, str]:
    return {k.lower(): v for k, v in headers.items() if k.lower() not in _SECRET}
