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

from nbp_async._errors import JournalError

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]
MOST_TOGETHER = 200  # operations of one commit

_WHAT_TO_DO = {
    "full": "Free space on that disk, then run again: nothing that is stored is bought twice.",
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
    """Runs operations in order, in transactions. `after` is called after each commit."""

    def __init__(
        self, connect: Callable[[], sqlite3.Connection], after: Callable[[], None], *, inline: bool
    ) -> None:
        self._connect = connect
        self._after = after
        self._inline = inline
        self._loop = asyncio.get_running_loop()
        self._orders: SimpleQueue[Order | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed: asyncio.Future[None] | None = None
        self._connection: sqlite3.Connection | None = None
        self.broken: JournalError | None = None

    async def open(self) -> None:
        """Connect; what `connect` raises comes out here."""
        if self._inline:
            self._connection = self._connect()
            return
        ready = self._loop.create_future()
        self._closed = self._loop.create_future()
        self._thread = threading.Thread(target=self._work, args=(ready,), name="nbp-journal")
        self._thread.daemon = True  # a process that is told to end need not wait for a disk
        self._thread.start()
        await asyncio.shield(ready)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run it and commit; returns when that is durable.

        Raises:
            JournalError: It could not be written.
        """
        if self.broken is not None:
            raise _again(self.broken)
        if self._inline:
            return self._run_now(work)
        done: asyncio.Future[T] = self._loop.create_future()
        self._orders.put(Order(work, done))
        return await done

    def post(self, work: Work) -> None:
        """Run it in its turn; nobody waits for it."""
        if self.broken is not None:
            return
        if self._inline:
            self._run_now(work)
        else:
            self._orders.put(Order(work, None))

    async def aclose(self) -> None:
        """Write what waits, and disconnect."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._orders.put(None)
            assert self._closed is not None, "it was opened"
            await asyncio.shield(self._closed)
        elif self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run_now(self, work: Callable[[sqlite3.Connection], T]) -> T:
        assert self._connection is not None, "it is open"
        order = Order(work, None)
        self._commit(self._connection, [order])
        if order.problem is not None:
            raise order.problem
        result: T = order.result
        return result

    def _work(self, ready: "asyncio.Future[None]") -> None:
        """The thread."""
        try:
            connection = self._connect()
        except Exception as exc:  # noqa: BLE001  it belongs to whoever opens the journal
            self._tell(_fail, ready, exc)
            return
        self._tell(_succeed, ready)
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
        connection.close()
        self._tell(_succeed, self._closed)

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
    return JournalError(
        f"The run's journal cannot be written: {words}. Nothing more is sent.", hint=hint
    )


def _again(problem: JournalError) -> JournalError:
    """The same error for another one who waits: each has a traceback of its own."""
    return JournalError(str(problem.args[0]), hint=problem.hint)


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
