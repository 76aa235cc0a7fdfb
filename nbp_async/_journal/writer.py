"""One connection in one thread; whatever waits is committed together.

A commit costs a trip to the disk, however much is in it. While one is under way the next
operations gather, so that a thousand calls a second need no more trips than ten.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

import anyio

from nbp_async._errors import JournalError

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]
MOST_TOGETHER = 200  # operations of one commit

_WHAT_TO_DO = {
    "full": "Free space on that disk, then run again: nothing that is stored is bought twice.",
    "disk I/O": "Look at that disk (space, quota, health), then run again: nothing that is stored "
    "is bought twice.",
    "readonly": "Its folder is read-only: change that, then run again.",
    "locked": "Something else holds it open for writing: close that, then run again.",
}


class Order:
    """An operation, and who waits for it."""

    __slots__ = ("done", "problem", "result", "work")

    def __init__(self, work: Work, done: "asyncio.Future[Any] | None") -> None:
        self.work = work
        self.done = done
        self.result: Any = None
        self.problem: Exception | None = None


class Writer:
    """Runs operations in order, in transactions.

    `connect` and, when all is over or `connect` has failed, `disconnected` are called where the
    operations run; `after` is called there after each commit.
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        after: Callable[[], None],
        disconnected: Callable[[], None],
        *,
        inline: bool,
    ) -> None:
        self._connect = connect
        self._after = after
        self._disconnected = disconnected
        self._inline = inline
        self._loop = asyncio.get_running_loop()
        self._orders: SimpleQueue[Order | None] = SimpleQueue()
        self._open = False
        self._ended: asyncio.Future[None] | None = None  # of the thread
        self._connection: sqlite3.Connection | None = None  # where there is none
        self.broken: JournalError | None = None

    async def open(self) -> None:
        """Connect; what `connect` raises comes out here. Cancelled, it leaves nothing open."""
        if self._inline:
            try:
                self._connection = self._connect()
            except BaseException:
                self._disconnected()
                raise
            self._open = True
            return
        ready = self._loop.create_future()
        self._ended = self._loop.create_future()
        thread = threading.Thread(target=self._work, args=(ready,), name="nbp-journal")
        thread.daemon = True  # a process that is told to end need not wait for a disk
        thread.start()
        self._open = True
        try:
            await asyncio.shield(ready)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.aclose()
            raise

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run it and commit; returns when that is durable.

        Raises:
            JournalError: It could not be written.
        """
        if self.broken is not None:
            raise _again(self.broken)
        if not self._open:
            raise JournalError("The run's journal is closed: nothing more is written or sent.")
        if self._connection is not None:
            order = Order(work, None)
            self._commit(self._connection, [order])
            if order.problem is not None:
                raise order.problem
            result: T = order.result
            return result
        done: asyncio.Future[T] = self._loop.create_future()
        self._orders.put(Order(work, done))
        return await done

    def post(self, work: Work) -> None:
        """Run it in its turn; if it fails, the next one who waits is told."""
        if self.broken is not None or not self._open:
            return
        if self._connection is not None:
            self._commit(self._connection, [Order(work, None)])
        else:
            self._orders.put(Order(work, None))

    async def aclose(self) -> None:
        """Write what waits, and disconnect. Safe to call more than once."""
        was_open, self._open = self._open, False
        if self._ended is not None:
            if was_open:
                self._orders.put(None)
            await asyncio.shield(self._ended)
        elif self._connection is not None:
            connection, self._connection = self._connection, None
            self._disconnect(connection)

    def _work(self, ready: "asyncio.Future[None]") -> None:
        """The thread."""
        try:
            connection = self._connect()
        except Exception as exc:  # noqa: BLE001  it belongs to whoever opens the journal
            self._disconnected()
            self._tell(_fail, ready, exc)
        else:
            self._tell(_succeed, ready)
            try:
                self._obey(connection)
            finally:
                self._disconnect(connection)
        self._tell(_succeed, self._ended)

    def _disconnect(self, connection: sqlite3.Connection) -> None:
        try:
            connection.close()
        finally:
            self._disconnected()

    def _obey(self, connection: sqlite3.Connection) -> None:
        """Commit what comes, until there is nothing more to come."""
        ended = False
        while not ended:
            orders: list[Order] = []
            waiting = self._orders.get()
            while waiting is not None:
                orders.append(waiting)
                if len(orders) >= MOST_TOGETHER or self._orders.empty():
                    break
                waiting = self._orders.get()
            ended = waiting is None
            if orders:
                self._commit(connection, orders)
                self._tell(_answer, [order for order in orders if order.done is not None])

    def _commit(self, connection: sqlite3.Connection, orders: list[Order]) -> None:
        if self.broken is not None:
            self._give_up(connection, orders, self.broken)
            return
        try:
            connection.execute("BEGIN IMMEDIATE")
            for order in orders:
                order.result = order.work(connection)
            connection.execute("COMMIT")
            self._after()
        except Exception as exc:  # noqa: BLE001  every one who waits must hear of it
            self._give_up(connection, orders, exc)

    def _give_up(self, connection: sqlite3.Connection, orders: list[Order], exc: Exception) -> None:
        """None of these was written, and nothing more will be."""
        if self.broken is None:
            self.broken = journal_error(exc)
        for order in orders:
            order.problem = _again(self.broken)
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            return  # it is as broken as that

    def _tell(self, call: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more


def journal_error(exc: Exception) -> JournalError:
    """Say in words what keeps the journal from being written."""
    if isinstance(exc, JournalError):
        return exc
    words = str(exc)
    hint = next((hint for word, hint in _WHAT_TO_DO.items() if word in words), "")
    problem = JournalError(
        f"The run's journal cannot be written: {words}. Nothing more is sent.", hint=hint
    )
    problem.__cause__ = exc
    return problem


def _again(problem: JournalError) -> JournalError:
    """The same error for another one who waits: each has a traceback of its own."""
    again = JournalError(str(problem.args[0]), hint=problem.hint)
    again.__cause__ = problem.__cause__
    return again


def _answer(orders: list[Order]) -> None:
    for order in orders:
        done = order.done
        if done is None or done.done():
            continue
        if order.problem is not None:
            done.set_exception(order.problem)
        else:
            done.set_result(order.result)


def _fail(ready: "asyncio.Future[None]", exc: Exception) -> None:
    if not ready.done():
        ready.set_exception(exc)


def _succeed(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)
