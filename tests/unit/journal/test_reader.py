"""Reading a run on a machine that can hardly keep up."""

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from nbp_async import JournalError
from nbp_async._journal.compatibility import is_blank, refuse_foreign
from nbp_async._journal.reader import MOST_LOST_RACES, read_again, read_run
from nbp_async._journal.sqlite import SqliteJournal
from tests.unit.journal.made import job


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


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 55, 56, 600])
async def test_a_log_that_a_kill_cut_off_at_any_byte_is_read(tmp_path: Path, size: int) -> None:
    """One of a header alone, with its index, would be read again and again for ten seconds."""
    run, killed = tmp_path / "run", tmp_path / "killed"
    journal = await SqliteJournal.open(
        run / "journal.sqlite3", account="me", folder=run, wall_clock=lambda: 0.0
    )
    await journal.claim(job(), bytes(32))
    with contextlib.closing(sqlite3.connect(run / "journal.sqlite3")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    await journal.claim(job("b", 1), bytes(31) + b"b")
    shutil.copytree(run, killed)
    await journal.aclose()
    with (killed / "journal.sqlite3-wal").open("r+b") as log:
        assert log.truncate(size) == size
    assert len(list(read_run(killed).rows())) == 1
    path = killed / "journal.sqlite3"
    assert not is_blank(path)
    refuse_foreign(path, "me")
