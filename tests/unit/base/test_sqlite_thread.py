"""One thread for SQLite: what is committed together, and what each caller hears of it.

The thread is held inside an operation by a lock of the test's own, so that it is certain what is
queued behind it: nothing here sleeps.
"""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from nbp_async._base.sqlite_thread import (
    MAX_BATCH,
    Operation,
    SqliteClosedError,
    SqliteThread,
    SqliteWriteError,
)


class Log:
    """A thread on one table of numbers, and what happened to it."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.path = path
        self.commits = 0
        self.closings = 0
        self.thread = SqliteThread(
            self.connect,
            name="test-sqlite",
            after_commit=self.count_commit,
            after_close=self.count_closing,
            **options,
        )

    def connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        connection.execute("CREATE TABLE IF NOT EXISTS number (n INTEGER PRIMARY KEY)")
        return connection

    def count_commit(self) -> None:
        self.commits += 1

    def count_closing(self) -> None:
        self.closings += 1

    def numbers(self) -> list[int]:
        """What is on disk, as another connection sees it."""
        connection = sqlite3.connect(self.path)
        try:
            return [n for (n,) in connection.execute("SELECT n FROM number ORDER BY n")]
        finally:
            connection.close()

    @contextmanager
    def held(self) -> Iterator[None]:
        """The thread is in an operation, and leaves it at the end of this block."""
        inside, leave = threading.Event(), threading.Event()

        def wait(_: sqlite3.Connection) -> None:
            inside.set()
            assert leave.wait(10)

        self.thread.post(wait)
        assert inside.wait(10)
        try:
            yield
        finally:
            leave.set()


@asynccontextmanager
async def opened(folder: Path, **options: Any) -> AsyncIterator[Log]:
    log = Log(folder / "log.sqlite3", **options)
    await log.thread.open()
    try:
        yield log
    finally:
        await log.thread.aclose()


def insert(number: int) -> Operation[int]:
    def operation(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO number VALUES (?)", (number,))
        return number * 10

    return operation


async def queued(log: Log, *numbers: int) -> "list[asyncio.Task[int]]":
    """Callers whose operations are in the queue, in this order."""
    tasks = [asyncio.ensure_future(log.thread.run(insert(number))) for number in numbers]
    await asyncio.sleep(0)  # one turn of the loop: each has queued its operation
    return tasks


@pytest.fixture(params=[False, True], ids=["thread", "inline"])
def inline(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def test_a_result_is_given_back_when_its_row_is_on_disk(tmp_path: Path, inline: bool) -> None:
    async with opened(tmp_path, inline=inline) as log:
        assert await log.thread.run(insert(7)) == 70
        assert log.numbers() == [7]


async def test_what_waits_is_committed_together_in_the_order_of_the_calls(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        with log.held():
            tasks = await queued(log, 1, 2)
            log.thread.post(insert(3))
            tasks += await queued(log, 4)
        assert await asyncio.gather(*tasks) == [10, 20, 40]
        assert log.commits == 2, "the one that held it, and one for all that waited"
        assert log.numbers() == [1, 2, 3, 4]


async def test_a_batch_has_an_end(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        with log.held():
            tasks = await queued(log, *range(MAX_BATCH + 1))
        await asyncio.gather(*tasks)
        assert log.commits == 3


@pytest.mark.parametrize("stop_on_error", [False, True])
async def test_one_that_fails_takes_its_batch_with_it(tmp_path: Path, stop_on_error: bool) -> None:
    async with opened(tmp_path, stop_on_error=stop_on_error) as log:
        with log.held():
            tasks = await queued(log, 1, 2, 2, 3)
        errors = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(error, SqliteWriteError) for error in errors)
        assert len({id(error) for error in errors}) == 4, "one each: a traceback belongs to a task"
        assert all("UNIQUE" in str(error) for error in errors)
        assert log.numbers() == []


async def test_a_later_batch_is_tried_again(tmp_path: Path, inline: bool) -> None:
    async with opened(tmp_path, inline=inline) as log:
        await log.thread.run(insert(1))
        with pytest.raises(SqliteWriteError, match="UNIQUE"):
            await log.thread.run(insert(1))
        assert await log.thread.run(insert(2)) == 20
        assert log.numbers() == [1, 2]


async def test_where_the_order_counts_nothing_is_written_after_an_error(
    tmp_path: Path, inline: bool
) -> None:
    async with opened(tmp_path, inline=inline, stop_on_error=True) as log:
        await log.thread.run(insert(1))
        log.thread.post(insert(1))
        with pytest.raises(SqliteWriteError, match="UNIQUE"):
            await log.thread.run(insert(2))
        with pytest.raises(SqliteWriteError, match="UNIQUE"):
            await log.thread.run(insert(3))
        log.thread.post(insert(4))
    assert log.numbers() == [1]
    assert isinstance(log.thread.failure, sqlite3.IntegrityError)


async def test_a_batch_that_was_queued_before_the_error_is_not_written_either(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, stop_on_error=True) as log:
        with log.held():
            tasks = await queued(log, *range(MAX_BATCH - 1), 0, MAX_BATCH)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(results[-1], SqliteWriteError), "it was in the next batch"
        assert log.numbers() == []


async def test_a_caller_that_is_cancelled_leaves_at_once_and_its_row_is_written(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as log:
        with log.held():
            one, other = await queued(log, 1, 2)
            one.cancel()
            with pytest.raises(asyncio.CancelledError):
                await one  # while the thread is still held
        assert await other == 20
        assert log.numbers() == [1, 2]


async def test_its_end_writes_what_is_queued_and_refuses_the_rest(
    tmp_path: Path, inline: bool
) -> None:
    async with opened(tmp_path, inline=inline) as log:
        tasks = await queued(log, 1)
        log.thread.post(insert(2))
        await log.thread.aclose()
        assert await tasks[0] == 10
        assert (log.numbers(), log.closings) == ([1, 2], 1)
        with pytest.raises(SqliteClosedError):
            await log.thread.run(insert(3))
        log.thread.post(insert(4))
        await log.thread.aclose()
        assert (log.numbers(), log.closings) == ([1, 2], 1)


async def test_two_that_close_it_wait_for_the_same_end(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.sqlite3")
    await log.thread.open()
    with log.held():
        first = asyncio.ensure_future(log.thread.aclose())
        second = asyncio.ensure_future(log.thread.aclose())
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        assert not second.done()
    await second
    assert log.closings == 1


async def test_a_connection_that_cannot_be_opened_is_told_to_whoever_opens(
    tmp_path: Path, inline: bool
) -> None:
    log = Log(tmp_path / "no" / "folder", inline=inline)
    with pytest.raises(sqlite3.OperationalError):
        await log.thread.open()
    assert log.closings == 1
    await log.thread.aclose()
    with pytest.raises(SqliteClosedError):
        await log.thread.run(insert(1))


async def test_an_opening_that_is_cancelled_leaves_nothing_open(tmp_path: Path) -> None:
    inside, leave = threading.Event(), threading.Event()

    class Slow(Log):
        def connect(self) -> sqlite3.Connection:
            inside.set()
            assert leave.wait(10)
            return super().connect()

    log = Slow(tmp_path / "log.sqlite3")
    opening = asyncio.ensure_future(log.thread.open())
    await asyncio.sleep(0)
    assert inside.wait(10)
    opening.cancel()
    await asyncio.sleep(0)
    assert not opening.done(), "the thread may still open the file: it is waited for"
    leave.set()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert log.closings == 1
    with pytest.raises(SqliteClosedError):
        await log.thread.run(insert(1))


async def test_a_commit_that_cannot_be_told_of_fails_its_callers(
    tmp_path: Path, inline: bool
) -> None:
    class Deaf(Log):
        def count_commit(self) -> None:
            raise OSError("no room for the manifest")

    log = Deaf(tmp_path / "log.sqlite3", inline=inline)
    await log.thread.open()
    with pytest.raises(SqliteWriteError, match="no room"):
        await log.thread.run(insert(1))
    await log.thread.aclose()
    assert log.numbers() == [1]


def test_a_loop_that_ended_does_not_keep_the_thread(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.sqlite3")
    ended = threading.Event()
    log.thread._after_close = ended.set
    leave = threading.Event()

    def wait(_: sqlite3.Connection) -> None:
        assert leave.wait(10)

    async def abandon() -> None:
        await log.thread.open()
        log.thread.post(wait)
        log.thread.post(insert(1))
        log.thread._queue.put(None)

    asyncio.run(abandon())
    leave.set()
    assert ended.wait(10)
    assert log.numbers() == [1]
