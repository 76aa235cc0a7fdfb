"""What the server counted: an independent witness of what a client says it did."""

from collections import Counter, deque
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from nbp_async.fake.bank import Bank

_KEPT = 1000
_SHORT = 200  # characters of a long text that are kept in a recorded body
_LONG = 4000
_SECRET = frozenset({"authorization", "x-goog-api-key", "cookie"})


class Stats(msgspec.Struct, frozen=True):
    """A snapshot.

    Attributes:
        requests: Paid calls that arrived.
        in_flight: Paid calls in work, or whose answer is being sent.
        peak_in_flight: The most there were at once.
        connections: Connections that were accepted so far.
        open_connections: Connections that are open now.
        peak_connections: The most there were at once.
        peak_carrying: The most of them that carried a request at once.
        connection_seconds: How long connections carried a request, from its head to the end of its
            answer; the sum of all, on the loop's clock.
        downloads: Requests to the image store.
        bytes_out: Bytes of bodies that were written to connections.
        dollars: Sum of the ledger.
        images: Images that were rendered.
        lost: Answers that were billed and did not reach the client whole.
        by_status: Paid calls by the status of their answer; 0 for calls without an answer.
        tasks: Tasks that were accepted.
        open_tasks: Tasks that are in work now.
        looks: Polls of tasks, known or not.
        peak_looks_per_second: The most polls in any second, on the loop's clock.
        webhooks: Attempts to deliver a webhook.
        webhooks_delivered: Webhooks that a receiver accepted.
        webhooks_failed: Webhooks that were abandoned.
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


class RecordedRequest(msgspec.Struct, frozen=True):
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


class WebhookAttempt(msgspec.Struct, frozen=True):
    """One attempt to deliver a webhook.

    Attributes:
        id: The message's id.
        task: The id of the task that it is about.
        url: Where it went.
        attempt: Counts from 1; 0 for a forged one.
        status: HTTP status of the receiver's answer; 0 if there was none.
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
        self.connections = 0
        self.open_connections = 0
        self.peak_connections = 0
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
        self.webhook_attempts: deque[WebhookAttempt] = deque(maxlen=_KEPT)
        self._busy = 0
        self._peak_busy = 0
        self._busy_seconds = 0.0
        self._busy_until = 0.0
        self._polls: deque[float] = deque()
        self._received: deque[tuple[str, Mapping[str, str], object, float]] = deque(maxlen=_KEPT)

    def begin_request(self) -> None:
        """A paid call begins."""
        self.requests += 1
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)

    def end_request(self, status: int) -> None:
        """A paid call ends with this status; 0 if it got no answer."""
        self.in_flight -= 1
        self.by_status[status] += 1

    def open_connection(self) -> None:
        """A connection was accepted."""
        self.connections += 1
        self.open_connections += 1
        self.peak_connections = max(self.peak_connections, self.open_connections)

    def close_connection(self) -> None:
        """A connection has ended."""
        self.open_connections -= 1

    def change_busy(self, now: float, change: int) -> None:
        """From now on so many more connections carry a request; or fewer, or as many."""
        self._busy_seconds += self._busy * (now - self._busy_until)
        self._busy_until = now
        self._busy += change
        self._peak_busy = max(self._peak_busy, self._busy)

    def record_poll(self, now: float) -> None:
        """A task is polled."""
        self.looks += 1
        polls = self._polls
        polls.append(now)
        while polls[0] <= now - 1.0:
            polls.popleft()
        self.peak_looks = max(self.peak_looks, len(polls))

    def record(self, path: str, headers: Mapping[str, str], body: object, at: float) -> None:
        """Keep what a paid call asked."""
        self._received.append((path, headers, body, at))

    @property
    def received(self) -> list[RecordedRequest]:
        """The last thousand paid calls that could be read, oldest first."""
        return [
            RecordedRequest(path, _without_key(headers), body, at)
            for path, headers, body, at in self._received
        ]

    def stats(self, bank: Bank, now: float | None) -> Stats:
        """A snapshot; `now` is None before the server has started."""
        if now is not None:
            self.change_busy(now, 0)
        return Stats(
            requests=self.requests,
            in_flight=self.in_flight,
            peak_in_flight=self.peak_in_flight,
            connections=self.connections,
            open_connections=self.open_connections,
            peak_connections=self.peak_connections,
            peak_carrying=self._peak_busy,
            connection_seconds=self._busy_seconds,
            downloads=self.downloads,
            bytes_out=self.bytes_out,
            dollars=bank.billed,
            images=bank.images,
            lost=bank.lost,
            by_status=dict(self.by_status),
            tasks=self.tasks,
            open_tasks=self.open_tasks,
            looks=self.looks,
            peak_looks_per_second=self.peak_looks,
            webhooks=self.webhooks,
            webhooks_delivered=self.webhooks_delivered,
            webhooks_failed=self.webhooks_failed,
        )


def shortened(body: object) -> object:
    """The same document with long texts cut: reference images would fill the memory."""
    if isinstance(body, str) and len(body) > _LONG:
        return f"{body[:_SHORT]}… ({len(body)} characters)"
    if isinstance(body, dict):
        return {name: shortened(value) for name, value in body.items()}
    if isinstance(body, list):
        return [shortened(value) for value in body]
    return body


def _without_key(headers: Mapping[str, str]) -> dict[str, str]:
    return {k.lower(): v for k, v in headers.items() if k.lower() not in _SECRET}
