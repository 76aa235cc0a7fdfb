"""Write the rows of a rebuilt journal."""

import sqlite3

import msgspec

from nbp_async._journal import records
from nbp_async._journal.rebuilt_items import RebuiltItem, unclear_attempt
from nbp_async._journal.records import RequestRecord
from nbp_async._journal.salvage import ColumnValues
from nbp_async._models.outcomes import Attempt


def insert_row(db: sqlite3.Connection, table: str, row: ColumnValues) -> None:
    """Insert a row of the old journal; columns that it lacks get their defaults."""
    columns = [info[1] for info in db.execute(f"PRAGMA table_info({table})")]
    named = [name for name in columns if name in row]
    marks = ", ".join("?" * len(named))
    db.execute(
        f"INSERT OR IGNORE INTO {table} ({', '.join(named)}) VALUES ({marks})",
        [row[name] for name in named],
    )


def insert_item(db: sqlite3.Connection, item: RebuiltItem, session: int, ended_at: float) -> None:
    """Insert an item with its attempts, as claimed by this session."""
    columns: ColumnValues = {**item.columns, "session": session}
    if item.number is not None:
        columns["id"] = item.number
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    made = db.execute(f"INSERT INTO item ({names}) VALUES ({marks})", [*columns.values()])
    assert made.lastrowid is not None
    stem = item.stem or f"{int(str(columns['place'])):06d}"
    for attempt in item.attempts:
        _insert_attempt(db, made.lastrowid, attempt, stem, ended_at)


def name_lost_items(db: sqlite3.Connection) -> None:
    """Give the attempts of items that could not be read an item, which keeps their dollars."""
    request = msgspec.json.encode(RequestRecord(text="(the prompt is not known)", model=""))
    db.execute(
        "INSERT INTO item (id, identity, session, place, state, nonce, asked, reason, message) "
        "SELECT DISTINCT item, CAST('lost:' || item AS BLOB), 0, 0, 'failed', '', ?, "
        "'JournalError', 'the journal was damaged' FROM attempt "
        "WHERE NOT EXISTS (SELECT 1 FROM item WHERE item.id = attempt.item)",
        (request.decode(),),
    )


def _insert_attempt(
    db: sqlite3.Connection, item: int, attempt: Attempt, stem: str, ended_at: float
) -> None:
    cost = str(attempt.cost)
    db.execute(
        "INSERT INTO attempt (item, number, price, most, armed_at, stem, request_id, billing, "
        "cost, settled_at, record, account) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            item,
            attempt.number,
            cost,
            cost,
            ended_at,
            stem,
            attempt.request_id,
            attempt.billing,
            cost,
            ended_at,
            records.encode_attempt(attempt),
            attempt.account,
        ),
    )


def mark_unread_attempts(db: sqlite3.Connection, ended_at: float) -> None:
    """What was sent, and has no attempt that can be read, is unclear."""
    for item, place in db.execute(_WITHOUT_ATTEMPTS).fetchall():
        _insert_attempt(db, item, unclear_attempt(1), f"{place:06d}", ended_at)


_WITHOUT_ATTEMPTS = """
SELECT id, place FROM item WHERE state <> 'planned'
AND NOT EXISTS (SELECT 1 FROM attempt WHERE attempt.item = item.id)
"""
