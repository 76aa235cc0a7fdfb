"""Reading a run on a machine that can hardly keep up."""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from nbp_async import JournalError
from nbp_async._journal.reader import MOST_LOST_RACES, read_again, read_run


def losing(times: int, code: int) -> Callable[[], str]:
    """A reader that fails so often with this code of SQLite, and then succeeds."""
    left = iter(range(times))

    def read() -> str:
        if next(left, None) is None:
            return "the report"
        error = sqlite3.OperationalError("locking protocol")
        error.sqlite_errorcode = code
        raise error

    return read


def test_a_lost_race_for_the_index_of_a_log_is_run_again() -> None:
    assert read_again(losing(MOST_LOST_RACES, sqlite3.SQLITE_PROTOCOL)) == "the report"


def test_a_race_that_is_always_lost_is_reported() -> None:
    with pytest.raises(sqlite3.OperationalError, match="locking protocol"):
        read_again(losing(MOST_LOST_RACES + 1, sqlite3.SQLITE_PROTOCOL))


def test_what_is_no_lost_race_is_reported_at_once() -> None:
    with pytest.raises(sqlite3.OperationalError):
        read_again(losing(1, sqlite3.SQLITE_CORRUPT))


def test_a_journal_that_is_just_being_made_is_no_run_yet(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode=wal")
        db.execute("VACUUM")
    assert path.stat().st_size
    with pytest.raises(JournalError, match="its journal is empty"):
        read_run(tmp_path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE other (name)")
    with pytest.raises(JournalError, match="not a journal of nbp_async"):
        read_run(tmp_path)
