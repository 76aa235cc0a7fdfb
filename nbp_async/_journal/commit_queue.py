"""PostgreSQL on one connection: statements queue up, and all that wait are committed together.

What `_base/sqlite_thread.py` does on a thread, without one: a commit waits for a disk and a
network, and one round trip carries up to 200 statements. Claims of a batch are committed by
themselves, before the rest and in the order of their keys: two workers that claim the same items
then never wait for each other in a circle, nor for money.

A connection that is lost is opened again, and the batch is sent once more, even if it was
committed already: all statements may be run twice (see `postgres_schema`).
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import AsyncConnection, AsyncCursor

log = logging.getLogger("nbp_async")

MAX_BATCH = 200  # statements of one commit: the first one must not wait long for the last
PATIENCE = 60.0  # seconds for which a lost connection is opened again
MOST_SILENT = 20.0  # seconds after which a batch without an answer counts as a lost connection
_PAUSE = 0.5  # seconds between two attempts to connect

Row = tuple[Any, ...]


class CommitError(Exception):
    """The batch of this statement was not committed, or nobody knows, because of `cause`."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.__cause__ = cause


class QueueClosedError(Exception):
    """The queue is closed. Nothing was written."""


class CommitQueue:
    """Runs statements in the order in which they were called. Belongs to one event loop.

    After a failed batch nothing more is written: what was called later must not be there without
    what was called earlier.

    Args:
        url: Of the database, as libpq takes it.
        patience: Seconds for which a lost connection is opened again.
    """

    def __init__(self, url: str, *, patience: float = PATIENCE) -> None:
        self._url = url
        self._patience = patience
        self._queue: deque[_Statement] = deque()
        self._filled = asyncio.Event()
        self._connection: AsyncConnection[Row] | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self.failure: Exception | None = None

    async def open(self) -> AsyncConnection[Row]:
        """Connect; the connection may be used until the first statement is queued.

        Raises:
            psycopg.Error: It cannot be reached.
        """
        self._connection = await self._connect()
        return self._connection

    def start(self) -> None:
        """Begin to write what is queued."""
        self._task = asyncio.get_running_loop().create_task(self._write_until_closed())

    async def run(self, query: str, values: Sequence[object], order: bytes = b"") -> list[Row]:
        """Run a statement and commit; returns its rows when they are durable.

        If the caller is cancelled, it is written all the same.

        Args:
            query: Names a function that may be run twice.
            values: Its arguments.
            order: Key of a claim; b"" for everything else.

        Raises:
            CommitError: It was not written.
            QueueClosedError: This is closed.
        """
        self._check()
        done: asyncio.Future[list[Row]] = asyncio.get_running_loop().create_future()
        self._add(_Statement(query, values, order, done))
        return await done

    def post(self, query: str, values: Sequence[object]) -> None:
        """Queue a statement and return at once. If it fails, the next caller of `run` hears it."""
        if self.failure is None and not self._closing:
            self._add(_Statement(query, values, b"", None))

    async def aclose(self) -> None:
        """Write what is queued, and close the connection. Safe to call more than once."""
        self._closing = True
        self._filled.set()
        if self._task is not None:
            await asyncio.shield(self._task)
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def _check(self) -> None:
        if self.failure is not None:
            raise CommitError(self.failure)
        if self._closing:
            raise QueueClosedError

    def _add(self, statement: "_Statement") -> None:
        self._queue.append(statement)
        self._filled.set()

    async def _connect(self) -> AsyncConnection[Row]:
        connection = await AsyncConnection.connect(
            self._url, autocommit=True, connect_timeout=10, application_name="nbp_async"
        )
        # A process that is stopped in the middle of a batch must not stop all others with it.
        await connection.execute("SET idle_in_transaction_session_timeout = '5s'")
        return connection

    async def _write_until_closed(self) -> None:
        while not (self._closing and not self._queue):
            await self._filled.wait()
            self._filled.clear()
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(MAX_BATCH, len(self._queue)))]
                await self._settle(batch)
            if self._closing:
                self._filled.set()

    async def _settle(self, batch: "list[_Statement]") -> None:
        claims = sorted((one for one in batch if one.order), key=lambda one: one.order)
        others = [one for one in batch if not one.order]
        for part in filter(None, (claims, others)):
            if self.failure is None:
                try:
                    await self._commit_patiently(part)
                except Exception as exc:  # noqa: BLE001  every caller of the batch must hear of it
                    self.failure = exc
            for one in part:
                one.settle(self.failure)

    async def _commit_patiently(self, batch: "list[_Statement]") -> None:
        """Commit; after a lost connection or a deadlock once more, as long as patience lasts."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._patience
        while True:
            try:
                async with asyncio.timeout(MOST_SILENT):
                    if self._connection is None or self._connection.closed:
                        self._connection = await self._connect()
                    await _commit(self._connection, batch)
            except (psycopg.OperationalError, TimeoutError, OSError) as exc:
                if loop.time() > until:
                    raise
                log.warning("The database of the run did not answer, trying again: %s", exc)
            else:
                return
            await self._drop_connection()
            await asyncio.sleep(_PAUSE)

    async def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                await connection.close()


class _Statement:
    """A statement, its rows, and the future of its caller; None if it was posted."""

    __slots__ = ("done", "order", "query", "rows", "values")

    def __init__(
        self,
        query: str,
        values: Sequence[object],
        order: bytes,
        done: "asyncio.Future[list[Row]] | None",
    ) -> None:
        self.query = query
        self.values = values
        self.order = order
        self.done = done
        self.rows: list[Row] = []

    def settle(self, failure: Exception | None) -> None:
        """End the future, which its caller may have cancelled meanwhile."""
        if self.done is None or self.done.done():
            return
        if failure is None:
            self.done.set_result(self.rows)
        else:
            self.done.set_exception(CommitError(failure))


async def _commit(connection: AsyncConnection[Row], batch: "list[_Statement]") -> None:
    """One transaction, and one round trip for all of its statements."""
    cursors: list[AsyncCursor[Row]] = []
    async with connection.pipeline(), connection.transaction():
        for one in batch:
            cursors.append(await connection.execute(one.query.encode(), one.values))  # noqa: PERF401
    for one, cursor in zip(batch, cursors, strict=True):
        one.rows = await cursor.fetchall() if cursor.description else []
