"""Which webhooks came, kept before their sender is told so: each id counts once.

A sender tries again for days (75 hours and 35 minutes, by Standard Webhooks' own schedule), each
time with a fresh signature, so that ids are remembered for a week.

What is kept is "new" until it was handed on, and then "known". A process that is killed in between
hands it on when it starts again; that it then comes twice is better than never.
"""

import asyncio
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol

import anyio

from nbp_async._errors import ConfigError

KEPT = 7 * 86_400.0  # seconds
_MOST_IN_MEMORY = 100_000  # ids; about 20 MB
_MOST_WAITING = 1_000  # operations, before senders are told to come later
_MOST_TOGETHER = 200  # operations of one commit
_SWEEP = 3600.0  # seconds between two clearings of old ids


class FullError(Exception):
    """It cannot be kept now: its sender is told to come again."""


@dataclass(frozen=True, slots=True)
class Event:
    """A webhook that is its sender's, and came for the first time.

    Attributes:
        id: The sender's id of it, or what stands for one.
        task: The id of the task that it tells of, or "". A hint: ask the service what is true.
        state: What it says of the task, in lower case, or "".
        scheme: How it was signed.
        body: What it says, as it came.
        received_at: When it came, in seconds since 1970.
    """

    id: str
    task: str
    state: str
    scheme: str
    body: bytes = field(repr=False)
    received_at: float


class Inbox(Protocol):
    """Keeps which events came. `keep` is durable when it returns, as far as this one can be."""

    async def open(self) -> list[Event]:
        """Make it ready; the events that were kept and not handed on."""
        ...

    async def keep(self, event: Event) -> bool:
        """Keep it; False if it was there.

        Raises:
            FullError: It could not be kept.
        """
        ...

    def handed(self, event: Event) -> None:
        """It was handed on: its words are not needed any more."""
        ...

    async def aclose(self) -> None: ...


class MemoryInbox:
    """Ids in memory: they end with the process. The oldest go when there are very many."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, float] = OrderedDict()

    async def open(self) -> list[Event]:
        return []

    async def keep(self, event: Event) -> bool:
        if event.id in self._known:
            return False
        while self._known:
            oldest, at = next(iter(self._known.items()))
            if event.received_at - at < KEPT and len(self._known) < _MOST_IN_MEMORY:
                break
            del self._known[oldest]
        self._known[event.id] = event.received_at
        return True

    def handed(self, event: Event) -> None:
        pass

    async def aclose(self) -> None:
        pass


_TABLES = """
CREATE TABLE IF NOT EXISTS event (
    id TEXT PRIMARY KEY,
    task TEXT NOT NULL,
    state TEXT NOT NULL,
    scheme TEXT NOT NULL,
    body BLOB,  -- NULL once it was handed on
    received_at_s REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS event_age ON event (received_at_s);
CREATE INDEX IF NOT EXISTS event_new ON event (received_at_s) WHERE body IS NOT NULL;
"""
_APPLICATION, _VERSION = 0x6E627077, 1  # "nbpw"
_Work = Callable[[sqlite3.Connection], Any]


@dataclass(slots=True)
class _Order:
    work: _Work
    done: "asyncio.Future[Any] | None"
    result: Any = None


class SqliteInbox:
    """A file of this process alone, written by one thread; what waits is committed together.

    Args:
        path: The file; made if it is not there, readable by its owner alone.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._waiting = 0
        self._swept_at = float("-inf")

    async def open(self) -> list[Event]:
        """See `Inbox`.

        Raises:
            ConfigError: The file cannot be used: not ours, not writable, or in use by another.
        """
        self._loop = asyncio.get_running_loop()
        ready: asyncio.Future[list[Event]] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._work, args=(ready,), name="nbp-inbox")
        self._thread.daemon = True
        self._thread.start()
        try:
            return await asyncio.shield(ready)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.aclose()
            raise

    async def keep(self, event: Event) -> bool:
        if self._thread is None or self._waiting >= _MOST_WAITING:
            raise FullError("too many webhooks at once")

        def work(connection: sqlite3.Connection) -> bool:
            row = (*(getattr(event, name) for name in _COLUMNS),)
            done = connection.execute("INSERT OR IGNORE INTO event VALUES (?, ?, ?, ?, ?, ?)", row)
            if event.received_at - self._swept_at > _SWEEP:
                self._swept_at = event.received_at
                old = (event.received_at - KEPT,)
                connection.execute("DELETE FROM event WHERE received_at_s < ?", old)
            return done.rowcount == 1

        order = _Order(work, self._loop.create_future())
        self._waiting += 1
        self._orders.put(order)
        assert order.done is not None
        try:
            new: bool = await order.done
        finally:
            self._waiting -= 1
        return new

    def handed(self, event: Event) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE event SET body = NULL WHERE id = ?", (event.id,))

        self._orders.put(_Order(work, None))

    async def aclose(self) -> None:
        """Write what waits, and close the file. Safe to call more than once."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._orders.put(None)
            await asyncio.shield(self._ended)

    def _work(self, ready: "asyncio.Future[list[Event]]") -> None:
        """The thread."""
        try:
            connection = self._connect()
        except (sqlite3.Error, OSError, ConfigError) as exc:
            self._tell(_settle, ready, None, self._unusable(exc))
        else:
            try:
                new = [Event(*row) for row in connection.execute(_NEW)]
                self._tell(_settle, ready, new, None)
                self._obey(connection)
            finally:
                connection.close()
        self._tell(_settle, self._ended, None, None)

    def _connect(self) -> sqlite3.Connection:
        self.path.touch(0o600)
        connection = sqlite3.connect(self.path, timeout=1.0, isolation_level=None)
        try:
            # Held for as long as it is open: what two processes hand on would come twice.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            _check_ours(connection)
            for statement in filter(str.strip, _TABLES.split(";")):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {_VERSION}")
            connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        return connection

    def _unusable(self, exc: Exception) -> ConfigError:
        why = "another process has it open" if "locked" in str(exc) else exc.args[0]
        problem = ConfigError(f"The inbox {self.path} cannot be used: {why}.")
        problem.__cause__ = exc
        return problem

    def _obey(self, connection: sqlite3.Connection) -> None:
        ended = False
        while not ended:
            orders: list[_Order] = []
            waiting = self._orders.get()
            while waiting is not None:
                orders.append(waiting)
                if len(orders) >= _MOST_TOGETHER or self._orders.empty():
                    break
                waiting = self._orders.get()
            ended = waiting is None
            if orders:
                self._commit(connection, orders)

    def _commit(self, connection: sqlite3.Connection, orders: list[_Order]) -> None:
        """Commit these together. What fails now may work again later: disks are freed."""
        problem: Exception | None = None
        try:
            connection.execute("BEGIN IMMEDIATE")
            for order in orders:
                order.result = order.work(connection)
            connection.execute("COMMIT")
        except Exception as exc:  # noqa: BLE001  every one who waits must hear of it
            problem = FullError(f"it cannot be kept: {exc}")
            if connection.in_transaction:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
        for order in orders:
            if order.done is not None:
                self._tell(_settle, order.done, order.result, problem)

    def _tell(self, call: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more


def _check_ours(connection: sqlite3.Connection) -> None:
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if (mark, version) != (_APPLICATION, _VERSION) and (tables or mark or version):
        raise ConfigError("it is another program's, or of another version")


_COLUMNS = ("id", "task", "state", "scheme", "body", "received_at")
_NEW = (
    "SELECT id, task, state, scheme, body, received_at_s FROM event WHERE body IS NOT NULL "
    "ORDER BY received_at_s"
)


def _settle(done: "asyncio.Future[Any]", result: object, problem: Exception | None) -> None:
    if done.done():
        return
    if problem is not None:
        done.set_exception(problem)
    else:
        done.set_result(result)
