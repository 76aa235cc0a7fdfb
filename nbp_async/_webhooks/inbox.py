"""Which webhooks came, kept before their sender is answered: each id counts once.

A sender tries again for days (75 hours and 35 minutes, by Standard Webhooks' own schedule), each
time with a fresh signature, so ids are remembered for a week.

    add ──► row with its body ──► 200 to the sender ──► dispatched ──► row without its body
              │                                              │
              └─ a process that is killed in between: `open` gives the event to the next one

Dispatching an event twice after a crash is better than never.
"""

import sqlite3
from collections import OrderedDict
from pathlib import Path
from typing import Protocol

import anyio

from nbp_async._base.errors import ConfigError
from nbp_async._base.sqlite_thread import SqliteClosedError, SqliteThread, SqliteWriteError
from nbp_async._webhooks.webhook_message import RetryLaterError, WebhookEvent

RETENTION = 7 * 86_400.0  # seconds
_MAX_IN_MEMORY = 100_000  # ids; about 20 MB
_MAX_WAITING = 1_000  # events that wait for the disk, before senders must try later
_CLEANUP_INTERVAL = 3600.0  # seconds between two deletions of old ids


class InboxFullError(RetryLaterError):
    """It cannot be kept now."""


class Inbox(Protocol):
    """Keeps which events came. What `add` has returned for is as durable as this inbox can be."""

    async def open(self) -> list[WebhookEvent]:
        """Make it ready; returns the events that were kept but not dispatched."""
        ...

    async def add(self, event: WebhookEvent) -> bool:
        """Keep an event; False if its id is known.

        Raises:
            InboxFullError: It could not be kept.
        """
        ...

    def mark_dispatched(self, event: WebhookEvent) -> None:
        """It was dispatched: its body is not needed any more. Does not wait."""
        ...

    async def aclose(self) -> None: ...


class MemoryInbox:
    """Ids in memory: they end with the process. The oldest go when there are very many."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, float] = OrderedDict()

    async def open(self) -> list[WebhookEvent]:
        return []

    async def add(self, event: WebhookEvent) -> bool:
        if event.id in self._known:
            return False
        while self._known:
            oldest, at = next(iter(self._known.items()))
            if event.received_at - at < RETENTION and len(self._known) < _MAX_IN_MEMORY:
                break
            del self._known[oldest]
        self._known[event.id] = event.received_at
        return True

    def mark_dispatched(self, event: WebhookEvent) -> None:
        pass

    async def aclose(self) -> None:
        pass


_TABLES = """
CREATE TABLE IF NOT EXISTS event (
    id TEXT PRIMARY KEY,
    task TEXT NOT NULL,
    state TEXT NOT NULL,
    scheme TEXT NOT NULL,
    body BLOB,  -- NULL once it was dispatched
    received_at_s REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS event_age ON event (received_at_s);
CREATE INDEX IF NOT EXISTS event_new ON event (received_at_s) WHERE body IS NOT NULL;
"""
_APPLICATION, _VERSION = 0x6E627077, 1  # "nbpw"


class SqliteInbox:
    """Ids in a file, which only one process may use at a time.

    Args:
        path: The file; made if it is missing, readable by its owner only.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        # It goes on after an error: a full disk is freed some day, and until then each sender is
        # told to try again.
        self._thread = SqliteThread(self._connect, name="nbp-inbox")
        self._waiting = 0
        self._cleaned_at = float("-inf")

    async def open(self) -> list[WebhookEvent]:
        """See `Inbox`.

        Raises:
            ConfigError: The file cannot be used: not ours, not writable, or in use by another.
        """
        try:
            await self._thread.open()
            return await self._thread.run(_not_dispatched)
        except (sqlite3.Error, OSError, ConfigError) as exc:
            error = self._unusable(exc)
        except SqliteWriteError as exc:
            error = self._unusable(exc.cause)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.aclose()
            raise
        await self.aclose()
        raise error

    async def add(self, event: WebhookEvent) -> bool:
        if self._waiting >= _MAX_WAITING:
            raise InboxFullError("too many webhooks at once")

        def insert(connection: sqlite3.Connection) -> bool:
            row = (*(getattr(event, name) for name in _COLUMNS),)
            done = connection.execute("INSERT OR IGNORE INTO event VALUES (?, ?, ?, ?, ?, ?)", row)
            if event.received_at - self._cleaned_at > _CLEANUP_INTERVAL:
                self._cleaned_at = event.received_at
                old = (event.received_at - RETENTION,)
                connection.execute("DELETE FROM event WHERE received_at_s < ?", old)
            return done.rowcount == 1

        self._waiting += 1
        try:
            return await self._thread.run(insert)
        except SqliteWriteError as exc:
            error = InboxFullError(f"the inbox cannot be written: {exc}")
        except SqliteClosedError:
            error = InboxFullError("the inbox is closed")
        finally:
            self._waiting -= 1
        raise error

    def mark_dispatched(self, event: WebhookEvent) -> None:
        def update(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE event SET body = NULL WHERE id = ?", (event.id,))

        self._thread.post(update)

    async def aclose(self) -> None:
        """Write what is queued, and close the file. Safe to call more than once."""
        await self._thread.aclose()

    def _connect(self) -> sqlite3.Connection:
        self.path.touch(0o600)
        connection = sqlite3.connect(self.path, timeout=1.0, isolation_level=None)
        try:
            # Locked for as long as it is open: two processes would each dispatch what is kept.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            _refuse_foreign(connection)
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
        why = str((isinstance(exc, OSError) and exc.strerror) or exc.args[0])
        if "locked" in why:
            why = "another process has it open"
        error = ConfigError(f"The inbox {self.path} cannot be used: {why}.")
        error.__cause__ = exc
        return error


def _refuse_foreign(connection: sqlite3.Connection) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    is_blank = not (tables or application or version)
    if (application, version) != (_APPLICATION, _VERSION) and not is_blank:
        raise ConfigError("it belongs to another program, or to another version")


_COLUMNS = ("id", "task", "state", "scheme", "body", "received_at")
_SELECT_NOT_DISPATCHED = (
    "SELECT id, task, state, scheme, body, received_at_s FROM event WHERE body IS NOT NULL "
    "ORDER BY received_at_s"
)


def _not_dispatched(connection: sqlite3.Connection) -> list[WebhookEvent]:
    return [WebhookEvent(*row) for row in connection.execute(_SELECT_NOT_DISPATCHED)]
