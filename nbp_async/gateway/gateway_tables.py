"""The gateway's own tables: users, tokens, webhooks that are owed. In SQLite, or beside the run.

One connection, used in a thread of its own turn. Statements are written with `?`, and are the same
for both databases.
"""

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from nbp_async import ConfigError

_TABLES = """
CREATE TABLE IF NOT EXISTS gateway_user (
    name TEXT PRIMARY KEY, role TEXT NOT NULL, created DOUBLE PRECISION NOT NULL,
    revoked DOUBLE PRECISION, hook_secret TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS gateway_token (
    hash TEXT PRIMARY KEY, name TEXT NOT NULL REFERENCES gateway_user, created DOUBLE PRECISION
);
CREATE TABLE IF NOT EXISTS gateway_budget (
    name TEXT NOT NULL REFERENCES gateway_user, period TEXT NOT NULL, dollars TEXT NOT NULL,
    PRIMARY KEY (name, period)
);
CREATE TABLE IF NOT EXISTS gateway_webhook (
    task BIGINT PRIMARY KEY, url TEXT NOT NULL, owner TEXT NOT NULL, message TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0, next_try DOUBLE PRECISION NOT NULL, done DOUBLE PRECISION,
    error TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS gateway_webhook_owed ON gateway_webhook (next_try) WHERE done IS NULL;
CREATE TABLE IF NOT EXISTS gateway_secret (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""

Row = tuple[Any, ...]


class Connection(Protocol):
    """What both drivers have."""

    def execute(self, query: Any, values: Any = ..., /) -> Any:
        """Run a statement."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class GatewayTables:
    """Runs statements, each a transaction of its own.

    Args:
        where: A file, or the address of the run in PostgreSQL, whose schema it uses.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._connection: Connection | None = None
        self._turn = threading.Lock()
        self._is_shared = where.startswith(("postgresql://", "postgres://"))

    def open(self) -> None:
        """Connect, and make the tables if there are none. Blocks.

        Raises:
            ConfigError: The database cannot be used.
        """
        with self._turn:
            if self._connection is not None:
                return
            try:
                self._connection = self._connect()
                for statement in filter(str.strip, _TABLES.split(";")):
                    self._connection.execute(statement)
            except Exception as exc:  # noqa: BLE001  of whichever driver
                problem = ConfigError(f"The gateway's tables cannot be used: {exc}")
            else:
                return
        raise problem

    async def rows(self, query: str, *values: object) -> list[Row]:
        """Run a statement in a thread; gives its rows."""
        return await asyncio.to_thread(self.rows_now, query, *values)

    def rows_now(self, query: str, *values: object) -> list[Row]:
        """The same for plain code. Blocks."""
        self.open()
        with self._turn:
            assert self._connection is not None, "it was opened"
            text = query.replace("?", "%s") if self._is_shared else query
            cursor = self._connection.execute(text, values)
            return list(cursor.fetchall()) if cursor.description else []

    def close(self) -> None:
        """Close the connection."""
        with self._turn:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _connect(self) -> Connection:
        if not self._is_shared:
            Path(self._where).parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(self._where, isolation_level=None, check_same_thread=False)
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA busy_timeout=5000")
            Path(self._where).chmod(0o600)
            return db
        try:
            import psycopg
        except ImportError:
            raise ConfigError(
                'a run in PostgreSQL needs pip install "nbp-async[postgres]".'
            ) from None
        url, schema = _split(self._where)
        connection = psycopg.connect(url, autocommit=True, connect_timeout=10)
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}".encode())
        connection.execute(f"SET search_path TO {schema}".encode())
        return connection


def _split(address: str) -> tuple[str, str]:
    """The address as libpq takes it, and the schema, which the run has checked."""
    parts = urlsplit(address)
    query = parse_qsl(parts.query)
    schema = dict(query).get("schema", "nbp")
    if not schema.replace("_", "a").isalnum():
        raise ConfigError(f"{schema!r} is no schema.")
    rest = urlencode([pair for pair in query if pair[0] not in ("run", "schema")])
    return urlunsplit((parts.scheme, parts.netloc, parts.path, rest, "")), schema
