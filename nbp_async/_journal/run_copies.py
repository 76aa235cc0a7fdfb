"""Copy a run between PostgreSQL and a file: to read it anywhere, and to go on with it elsewhere.

Of two copies that both go on, each would buy what the other one has: `move_in` and `move_out` set
the one that they have read aside. A copy that is only read, as by `read_run`, changes nothing.
"""

import contextlib
import shutil
import sqlite3
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg

from nbp_async._base.errors import ConfigError, JournalError, NoRunError
from nbp_async._journal.base import JOURNAL
from nbp_async._journal.compatibility import (
    connect,
    create,
    is_blank,
    read_only,
    refuse_foreign,
    upgrade,
)
from nbp_async._journal.database_address import DatabaseAddress
from nbp_async._journal.database_tables import make_tables_now
from nbp_async._journal.identity import is_whole
from nbp_async._journal.postgres_schema import statements
from nbp_async._journal.run_lock import RunLock, lock_path
from nbp_async._stores.store_address import is_store

Connection = psycopg.Connection[tuple[Any, ...]]

_CHUNK = 1000  # rows that are copied at once
_UNCHANGED = "Nothing was changed."


def copy_out(address: DatabaseAddress, path: Path, *, idle: bool = False) -> str:
    """Copy a run into a new file; gives the place of its images.

    Args:
        address: Of the run, which may be worked on meanwhile.
        path: The file, which must not be there.
        idle: Refuse a run that is worked on.

    Raises:
        NoRunError: There is none.
        JournalError: It is worked on.
        psycopg.Error: The database cannot be read.
    """
    with psycopg.connect(address.url, connect_timeout=10) as database:
        database.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        database.read_only = True
        run, account, place, created = _find_run(database, address)
        if idle:
            _refuse_busy(database, address, run)
        db = connect(path, wait_for_disk=idle)
        try:
            create(db, account, created)
            db.execute("BEGIN")
            for columns, query in _OUTWARD.items():
                _copy_rows(database, statements(query, address.schema), run, db, columns)
            query = f"SELECT turn, coalesce(paused, '') FROM {address.schema}.run WHERE id = %s"
            row = database.execute(query.encode(), (run,)).fetchone()
            db.execute("UPDATE run SET turn = ?, paused = ?", row or (0, ""))
            db.execute("COMMIT")
        finally:
            db.close()
        return place


class TemporaryCopy:
    """A run in a database as it is now, in a file that goes when this goes.

    Raises:
        NoRunError: There is none.
        JournalError: The database cannot be read.

    Attributes:
        path: The file.
        place: Where the run's images are: a folder, a store, or "".
    """

    def __init__(self, address: DatabaseAddress) -> None:
        folder = tempfile.mkdtemp(prefix="nbp-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.path = Path(folder) / "run.sqlite3"
        try:
            self.place = copy_out(address, self.path)
        except psycopg.Error as exc:
            error = JournalError(f"The run {address} cannot be read: {str(exc).strip()}.")
        else:
            return
        raise error


def move_out(address: DatabaseAddress, path: Path) -> str:
    """Copy a run into a new file, and give it another name in the database, which is returned."""
    if not is_blank(path):
        raise JournalError(f"There is a journal in {path} already. {_UNCHANGED}")
    lock = RunLock(lock_path(path))
    try:
        place = copy_out(address, path, idle=True)
        if path.name != JOURNAL and not is_store(place):
            path.unlink()
            raise ConfigError(
                f"its images are files: copy it into the folder that they are in, as {JOURNAL}.",
                option="target",
                value=str(path),
            )
        aside = f"{address.run} (copied to {path})"
        with psycopg.connect(address.url, connect_timeout=10) as database:
            query = f"UPDATE {address.schema}.run SET name = %s WHERE name = %s"
            database.execute(query.encode(), (aside, address.run))
    finally:
        lock.release()
    return aside


def move_in(path: Path, address: DatabaseAddress, out: str | None) -> str:
    """Copy a run into a database, and give its file another name, which is returned."""
    if is_blank(path):
        raise NoRunError(f"There is no journal in {path}. {_UNCHANGED}")
    place = str(path.parent) if path.name == JOURNAL else out
    if place is None:
        raise ConfigError(
            "is not in the folder of its images: name their store as out.",
            option="source",
            value=str(path),
        )
    lock = RunLock(lock_path(path))
    try:
        _upgrade(path)
        db = read_only(path)
        try:
            (account, created) = db.execute("SELECT account, created FROM run").fetchone()
            with psycopg.connect(address.url, connect_timeout=10) as database:
                _insert_run(database, address, db, (account, place, created))
        finally:
            db.close()
        aside = path.with_name(f"{path.name}.copied")
        path.rename(aside)
    finally:
        lock.release()
    return str(aside)


def _upgrade(path: Path) -> None:
    """A file of an older version has not all columns that are copied."""
    with contextlib.closing(read_only(path)) as db:
        (account,) = db.execute("SELECT account FROM run").fetchone()
    refuse_foreign(path, account)
    with contextlib.closing(connect(path, wait_for_disk=True)) as db:
        upgrade(db)


def _find_run(database: Connection, address: DatabaseAddress) -> tuple[int, str, str, float]:
    query = f"SELECT id, account, place, created FROM {address.schema}.run WHERE name = %s"
    try:
        row = database.execute(query.encode(), (address.run,)).fetchone()
    except psycopg.errors.UndefinedTable:
        row = None
    if row is None:
        raise NoRunError(
            f"There is no run {address}.",
            hint="Its name comes after ?run=, and its tables may be in another schema: &schema=.",
        )
    return row[0], row[1], row[2], row[3]


def _refuse_busy(database: Connection, address: DatabaseAddress, run: int) -> None:
    query = (
        f"SELECT count(*) FROM {address.schema}.session "
        "WHERE run = %s AND ended IS NULL AND lease_end > clock_timestamp()"
    )
    row = database.execute(query.encode(), (run,)).fetchone()
    if row is not None and row[0]:
        raise JournalError(
            f"{row[0]} processes work on the run {address}. {_UNCHANGED}", hint="Stop them first."
        )


def _copy_rows(
    database: Connection, query: str, run: int, db: sqlite3.Connection, columns: str
) -> None:
    marks = ", ".join("?" * (columns.count(",") + 1))
    with database.cursor(name="nbp_copy") as cursor:
        cursor.execute(query.encode(), {"run": run})
        while rows := cursor.fetchmany(_CHUNK):
            db.executemany(f"INSERT INTO {columns} VALUES ({marks})", rows)


def _insert_run(
    database: Connection,
    address: DatabaseAddress,
    db: sqlite3.Connection,
    facts: tuple[str, str, float],
) -> None:
    """All rows of the file's run, in one transaction; then its tables are analysed.

    PostgreSQL takes tables for empty after a bulk insert: a claim read all of them, until it was
    told better.
    """
    schema = address.schema
    make_tables_now(database, schema)
    made = database.execute(
        f"INSERT INTO {schema}.run (name, account, place, created) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT (name) DO NOTHING RETURNING id".encode(),
        (address.run, *facts),
    ).fetchone()
    if made is None:
        raise JournalError(f"There is a run {address} already. {_UNCHANGED}")
    _copy_rows_in(database, schema, db, int(made[0]))
    for table in ("run", "item", "attempt"):
        database.execute(f"ANALYZE {schema}.{table}".encode())


def _copy_rows_in(database: Connection, schema: str, db: sqlite3.Connection, run: int) -> None:
    numbers = _number_items(database, schema, db)
    rows: dict[str, Iterator[Sequence[Any]]] = {
        "session (run, pid, host, started, ended)": ((run, *row) for row in db.execute(_SESSIONS)),
        _ITEM_COLUMNS: ((numbers[row[0]], run, *row[1:]) for row in _whole_items(db)),
        _ATTEMPT_COLUMNS: ((numbers[row[0]], run, *row[1:]) for row in db.execute(_ATTEMPTS)),
        "batch (run, name, record)": ((run, *row) for row in db.execute(_BATCHES)),
        "purse (run, payer, day, held, spent, maybe, images, last_turn)": (
            (run, *row) for row in db.execute(_PURSES)
        ),
        "budget (run, payer, period, dollars)": ((run, *row) for row in db.execute(_BUDGETS)),
        "reference (run, digest, data)": ((run, *row) for row in db.execute(_REFERENCES)),
        "note (run, name, text)": ((run, *row) for row in db.execute(_NOTES)),
    }
    for columns, some in rows.items():
        with (
            database.cursor() as cursor,
            cursor.copy(f"COPY {schema}.{columns} FROM STDIN".encode()) as copy,
        ):
            for row in some:
                copy.write_row(row)
    (turn, paused) = db.execute("SELECT turn, paused FROM run").fetchone()
    sums = {"run": run, "turn": turn, "paused": paused or None}
    database.execute(statements(_ADD_UP, schema).encode(), sums)


def _number_items(database: Connection, schema: str, db: sqlite3.Connection) -> dict[int, int]:
    """A new number for each item: those of the file belong to other runs here."""
    items = [row[0] for row in db.execute("SELECT id FROM item ORDER BY id")]
    cursor = database.execute(
        f"SELECT nextval('{schema}.item_id_seq') FROM generate_series(1, %s)".encode(),
        (len(items),),
    )
    return dict(zip(items, (int(row[0]) for row in cursor), strict=True))


def _whole_items(db: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    for row in db.execute(_ITEMS):
        if not is_whole(row[1]):
            raise JournalError(
                f"This journal was rebuilt, and does not know all its prompts yet. {_UNCHANGED}",
                hint="Make the same call once more where it is; then it can be copied.",
            )
        yield row


# Of equal items the next process takes those of the latest session first, and of these the lowest.
_ITEMS = """
SELECT id, identity,
    row_number() OVER (PARTITION BY identity ORDER BY session DESC, id) - 1,
    place, iif(state = 'planned' AND ticket NOT NULL, 'queued', state), nonce, asked, image, reason,
    message, links, expires, ticket, payer, coalesce(day, date(0, 'unixepoch')), priority, turn,
    datetime(not_before, 'unixepoch') || '+00', reserved, cancelled
FROM item ORDER BY id
"""
_QUEUE_COLUMNS = "ticket, payer, day, priority, turn, not_before, reserved, cancelled"
_ITEM_COLUMNS = (
    "item (id, run, identity, ordinal, place, state, nonce, asked, image, reason, message, links, "
    f"expires, {_QUEUE_COLUMNS})"
)
_ATTEMPTS = """
SELECT item, number, 0, '', price, most, armed_at, stem, links, expires, request_id, billing, cost,
    settled_at, record, handle, account FROM attempt ORDER BY item, number
"""
_ATTEMPT_COLUMNS = (
    "attempt (item, run, number, session, token, price, most, armed_at, stem, links, expires, "
    "request_id, billing, cost, settled_at, record, handle, account)"
)
_BATCHES = "SELECT name, record FROM batch ORDER BY rowid"
_SESSIONS = """
SELECT pid, host, datetime(started, 'unixepoch') || '+00',
    datetime(coalesce(ended, started), 'unixepoch') || '+00' FROM session ORDER BY id
"""
_PURSES = "SELECT payer, day, held, spent, maybe, images, last_turn FROM purse"
_BUDGETS = "SELECT payer, period, dollars FROM budget"
_NOTES = "SELECT name, text FROM note"
_REFERENCES = "SELECT digest, data FROM reference"
_ADD_UP = """
UPDATE SCHEMA.run SET turn = %(turn)s, paused = %(paused)s,
    reserved = (SELECT coalesce(sum(reserved), 0) FROM SCHEMA.item WHERE run = %(run)s),
    images = (SELECT count(*) FROM SCHEMA.item WHERE run = %(run)s AND state = 'stored'),
    (held, spent, maybe) = (
        SELECT coalesce(sum(most) FILTER (WHERE billing IS NULL), 0),
            coalesce(sum(cost) FILTER (WHERE billing = 'yes'), 0),
            coalesce(sum(cost) FILTER (WHERE billing = 'maybe'), 0)
        FROM SCHEMA.attempt WHERE run = %(run)s)
WHERE id = %(run)s
"""

# Sessions come after the numbers that stand for the order of equal items; see `_ITEMS`.
_SESSIONS_OUT = """
SELECT row_number() OVER (ORDER BY id) + 1 + (
        SELECT coalesce(max(ordinal), 0) FROM SCHEMA.item WHERE run = %(run)s),
    pid, host, extract(epoch FROM started)::float8, extract(epoch FROM ended)::float8
FROM SCHEMA.session WHERE run = %(run)s ORDER BY id
"""
_ITEMS_OUT = """
SELECT id, identity, max(ordinal) OVER () + 1 - ordinal, place, state,
    nonce, asked, image, reason, message, links, expires, ticket, payer, day::text, priority, turn,
    extract(epoch FROM not_before)::float8, reserved::text, cancelled::int
FROM SCHEMA.item WHERE run = %(run)s ORDER BY id
"""
_ATTEMPTS_OUT = """
SELECT item, number, price::text, most::text, armed_at, stem, links, expires, request_id, billing,
    cost::text, settled_at, record, handle, account
FROM SCHEMA.attempt WHERE run = %(run)s ORDER BY item, number
"""
_PURSES_OUT = """
SELECT payer, day::text, held::text, spent::text, maybe::text, images, last_turn
FROM SCHEMA.purse WHERE run = %(run)s
"""
_BUDGETS_OUT = "SELECT payer, period, dollars::text FROM SCHEMA.budget WHERE run = %(run)s"
_NOTES_OUT = "SELECT name, text FROM SCHEMA.note WHERE run = %(run)s"
_REFERENCES_OUT = "SELECT digest, data FROM SCHEMA.reference WHERE run = %(run)s"
_BATCHES_OUT = "SELECT name, record FROM SCHEMA.batch WHERE run = %(run)s ORDER BY id"

_OUTWARD = {
    "session (id, pid, host, started, ended)": _SESSIONS_OUT,
    "item (id, identity, session, place, state, nonce, asked, image, reason, message, links, "
    f"expires, {_QUEUE_COLUMNS})": _ITEMS_OUT,
    "attempt (item, number, price, most, armed_at, stem, links, expires, request_id, billing, "
    "cost, settled_at, record, handle, account)": _ATTEMPTS_OUT,
    "batch (name, record)": _BATCHES_OUT,
    "purse (payer, day, held, spent, maybe, images, last_turn)": _PURSES_OUT,
    "budget (payer, period, dollars)": _BUDGETS_OUT,
    "reference (digest, data)": _REFERENCES_OUT,
    "note (name, text)": _NOTES_OUT,
}
"""By table and columns of the file: what goes there."""
