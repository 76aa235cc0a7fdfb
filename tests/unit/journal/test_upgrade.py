"""A journal that an earlier version wrote is read as it is, and goes on in today's."""

import sqlite3
from pathlib import Path

from nbp_async._base.task_handle import Handle
from nbp_async._journal.identity import identity
from nbp_async._journal.reader import read_run
from nbp_async._journal.schema import APPLICATION, VERSION
from nbp_async._journal.sqlite import SqliteJournal
from tests.unit.journal.made import MOST, PRICE, job

FIRST = """
CREATE TABLE run (account TEXT NOT NULL, created REAL NOT NULL);
CREATE TABLE session (
    id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, host TEXT NOT NULL,
    started REAL NOT NULL, ended REAL
);
CREATE TABLE item (
    id INTEGER PRIMARY KEY, identity BLOB NOT NULL, session INTEGER NOT NULL,
    place INTEGER NOT NULL, state TEXT NOT NULL, nonce TEXT NOT NULL, asked TEXT NOT NULL,
    image TEXT, reason TEXT NOT NULL DEFAULT '', message TEXT NOT NULL DEFAULT '', links TEXT,
    expires REAL
);
CREATE INDEX item_claim ON item (identity, session, id);
CREATE INDEX item_open ON item (state) WHERE state IN ('armed', 'answered');
CREATE TABLE attempt (
    item INTEGER NOT NULL, number INTEGER NOT NULL,
    price TEXT NOT NULL, most TEXT NOT NULL, armed_at REAL NOT NULL, stem TEXT NOT NULL,
    links TEXT, expires REAL, request_id TEXT NOT NULL DEFAULT '',
    billing TEXT, cost TEXT, settled_at REAL, record TEXT, PRIMARY KEY (item, number)
) WITHOUT ROWID;
"""


def write_first_version(path: Path) -> None:
    """A run whose process was killed while its one request was out."""
    db = sqlite3.connect(path)
    db.executescript(FIRST)
    db.execute("INSERT INTO run VALUES ('vendor:me', 1.0)")
    db.execute("INSERT INTO session VALUES (1, 7, 'here', 1.0, NULL)")
    db.execute(
        "INSERT INTO item (id, identity, session, place, state, nonce, asked) "
        "VALUES (1, ?, 1, 0, 'armed', ?, ?)",
        (identity(job(), "vendor:me", ()), "0" * 32, '{"text":"a","model":"nano-banana-pro"}'),
    )
    db.execute(
        "INSERT INTO attempt (item, number, price, most, armed_at, stem) "
        "VALUES (1, 1, ?, ?, 1.0, '000000')",
        (str(PRICE), str(MOST)),
    )
    db.execute(f"PRAGMA application_id={APPLICATION}")
    db.execute("PRAGMA user_version=1")
    db.commit()
    db.close()


def test_the_first_version_can_be_read_without_being_changed(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    write_first_version(path)
    before = path.read_bytes()
    report = read_run(tmp_path)
    assert (report.problem, report.totals.maybe) == ("", MOST)
    assert [row.state for row in report.rows()] == ["armed"]
    assert report.accounts() == {}
    assert path.read_bytes() == before


async def test_the_first_version_goes_on_in_this_one(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    write_first_version(path)
    journal = await SqliteJournal.open(
        path, account="vendor:me", folder=tmp_path, wall_clock=lambda: 9.0
    )
    (entry,) = await journal.unsettled()
    assert (entry.state, entry.handle, entry.pending[0].most) == ("armed", None, MOST)
    handle = Handle("task", "t-1")
    await journal.record_submission(1, 1, handle, "")
    await journal.save_batch("one", "{}")
    assert (await journal.unsettled())[0].handle == handle
    await journal.aclose()
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)
    db.close()
