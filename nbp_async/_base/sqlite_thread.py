"""SQLite on one thread: operations queue up, and all that wait are committed together.

A durable commit waits for the disk, 0.1 to 30 ms, however much is in it. The event loop must not
wait that long, so a thread does. It is one thread, because SQLite has one writer at a time in any
case, and because one queue and one connection make the order of the calls the order on disk.

     callers         queue                   the thread                         callers resume

    run(a) ──┐
    post(p) ─┼──►  a p b  ──►  BEGIN  a p b  COMMIT (one wait for the disk)  ──►  a, b
    run(b) ──┘
    run(c) ──┐                    meanwhile the next batch gathers
    run(d) ──┴──►  c d    ──────────────────────────►  BEGIN  c d  COMMIT    ──►  c, d

The busier it is, the larger the batches: a thousand calls a second need no more commits than ten.
A batch settles as a whole, and the loop is woken once for it:

| what happens | its callers | its rows |
| --- | --- | --- |
| COMMIT succeeds | get their results | durable, all of them |
| an operation or COMMIT raises | all get SqliteWriteError, each an instance of its own | none |
| one caller was cancelled | that one left at once, the others notice nothing | written: what is queued is not taken back |
| `aclose` | those who called before it are answered; later ones get SqliteClosedError | written first |
"""  # noqa: E501  a table

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

import anyio

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], T]
MAX_BATCH = 200  # operations of one commit: the first one must not wait long for the last


class SqliteClosedError(Exception):
    """The thread is closed, or was never opened. Nothing was written."""


class SqliteWriteError(Exception):
    """The batch of this operation was rolled back because of `cause`."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.__cause__ = cause


class SqliteThread:
    """Runs operations on one connection, in the order in which they were called.

    Belongs to the event loop that is running when it is opened.

    Args:
        connect: Opens the connection, with `isolation_level=None`: transactions are begun here.
        name: The thread's name.
        after_commit: Called after each commit. If it raises, the batch counts as failed, although
            its rows are durable.
        after_close: Called when the connection is closed, or could not be opened.
        stop_on_error: After a failed batch nothing more is written: what was called later must not
            be on disk without what was called earlier. Otherwise the next batch is tried.
        inline: Run everything on the calling thread. For virtual time: while a real thread works,
            a simulated clock would run away.

    `connect`, `after_commit`, `after_close` and all operations run in the same thread.
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        *,
        name: str,
        after_commit: Callable[[], None] = lambda: None,
        after_close: Callable[[], None] = lambda: None,
        stop_on_error: bool = False,
        inline: bool = False,
    ) -> None:
        self._connect = connect
        self._name = name
        self._after_commit = after_commit
        self._after_close = after_close
        self._stop_on_error = stop_on_error
        self._inline = inline
        self._queue: SimpleQueue[_Command | None] = SimpleQueue()  # None: there will be no more
        self._is_open = False
        self._ended: asyncio.Future[None] | None = None  # set when the thread is about to end
        self._connection: sqlite3.Connection | None = None  # if inline
        self.failure: Exception | None = None  # the first one, if it stops on errors

    async def open(self) -> None:
        """Connect; whatever `connect` raises is raised here. If cancelled, nothing stays open."""
        self._loop = asyncio.get_running_loop()
        if self._inline:
            self._connection = self._open_connection()
            self._is_open = True
            return
        connected: asyncio.Future[None] = self._loop.create_future()
        self._ended = self._loop.create_future()
        # A daemon thread: a process that ends need not wait for a slow disk.
        thread = threading.Thread(
            target=self._main, args=(connected,), name=self._name, daemon=True
        )
        thread.start()
        self._is_open = True
        try:
            # Shielded, since the thread goes on connecting after we are cancelled. We wait for
            # its end, or the file and its lock would stay open with nobody to close them.
            await asyncio.shield(connected)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.aclose()
            raise

    async def run(self, operation: Operation[T]) -> T:
        """Run `operation` and commit; return its result when that is durable.

        If the caller is cancelled, the operation is written all the same.

        Raises:
            SqliteWriteError: It was not written.
            SqliteClosedError: This is closed.
        """
        if self.failure is not None:
            raise SqliteWriteError(self.failure)
        if not self._is_open:
            raise SqliteClosedError
        command = _Command(operation, None if self._inline else self._loop.create_future())
        if command.done is not None:
            self._queue.put(command)
            await command.done
        else:
            self._run_inline(command)
            if command.error is not None:
                raise command.error
        result: T = command.result
        return result

    def post(self, operation: Operation[object]) -> None:
        """Queue `operation` and return at once: a task that is being cancelled can call it.

        If it fails, the callers in its batch get the error; if it stops on errors, so does the
        next caller of `run`.
        """
        if self.failure is not None or not self._is_open:
            return
        command = _Command(operation, None)
        if self._inline:
            self._run_inline(command)
        else:
            self._queue.put(command)

    async def aclose(self) -> None:
        """Write what is queued, and close the connection. Safe to call more than once."""
        was_open, self._is_open = self._is_open, False
        if self._ended is not None:
            if was_open:
                self._queue.put(None)
            # Shielded, for a second caller may wait for the same end.
            await asyncio.shield(self._ended)
        elif self._connection is not None:
            connection, self._connection = self._connection, None
            self._close_connection(connection)

    def _run_inline(self, command: "_Command") -> None:
        assert self._connection is not None, "it is open"
        self._commit(self._connection, [command])

    def _main(self, connected: "asyncio.Future[None]") -> None:
        """The thread, from its connection to its end."""
        try:
            connection = self._open_connection()
        except Exception as exc:  # noqa: BLE001  it is raised by `open`
            self._on_loop(_resolve, connected, exc)
        else:
            self._on_loop(_resolve, connected, None)
            try:
                self._commit_until_closed(connection)
            finally:
                self._close_connection(connection)
        self._on_loop(_resolve, self._ended, None)

    def _open_connection(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except BaseException:
            self._after_close()
            raise

    def _close_connection(self, connection: sqlite3.Connection) -> None:
        try:
            connection.close()
        finally:
            self._after_close()

    def _commit_until_closed(self, connection: sqlite3.Connection) -> None:
        """Wait for a first command, take along what is queued behind it, commit; again."""
        is_last = False
        while not is_last:
            batch: list[_Command] = []
            command = self._queue.get()
            while command is not None:
                batch.append(command)
                if len(batch) >= MAX_BATCH or self._queue.empty():
                    break
                command = self._queue.get()
            is_last = command is None
            if batch:
                self._commit(connection, batch)
                self._on_loop(_settle, batch)

    def _commit(self, connection: sqlite3.Connection, batch: list["_Command"]) -> None:
        cause = self.failure  # of an earlier batch, while this one was queued already
        if cause is None:
            try:
                connection.execute("BEGIN IMMEDIATE")
                for command in batch:
                    command.result = command.operation(connection)
                connection.execute("COMMIT")
                self._after_commit()
            except Exception as exc:  # noqa: BLE001  every caller of the batch must hear of it
                cause = exc
                _roll_back(connection)
        if cause is not None:
            if self._stop_on_error:
                self.failure = cause
            for command in batch:
                command.error = SqliteWriteError(cause)

    def _on_loop(self, call: Callable[..., None], *args: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed: nothing waits any more
            self._loop.call_soon_threadsafe(call, *args)


class _Command:
    """An operation, its outcome, and the future of its caller; None if it was posted."""

    __slots__ = ("done", "error", "operation", "result")

    def __init__(self, operation: Operation[Any], done: "asyncio.Future[None] | None") -> None:
        self.operation = operation
        self.done = done
        self.result: Any = None
        self.error: SqliteWriteError | None = None


def _roll_back(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):  # a broken disk may refuse this, too: nothing was committed
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _settle(batch: list[_Command]) -> None:
    for command in batch:
        if command.done is not None:
            _resolve(command.done, command.error)


def _resolve(done: "asyncio.Future[None]", error: Exception | None) -> None:
    """End a future that its caller may have cancelled meanwhile."""
    if done.done():
        return
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(None)
