"""Read what a damaged journal still yields, from a copy: the files themselves do not change.

journal ──► copy ──► each table from its first row, until one cannot be read,
   │                 then from its last row, back to there
   └─ blank, and its log (-wal) is there ──► the pages of the log, up to its last commit
"""

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from nbp_async._base.errors import JournalError
from nbp_async._journal import records
from nbp_async._journal.compatibility import is_blank
from nbp_async._journal.schema import APPLICATION, VERSION

ColumnValues = dict[str, object]
_ORDER = {
    "run": "rowid",
    "session": "id",
    "item": "id",
    "attempt": "item, number",
    "batch": "rowid",
}
_LOG_HEADER, _FRAME_HEADER = 32, 24  # bytes, of a write-ahead log and before each of its pages


@dataclass
class SalvagedTables:
    """The rows that could be read, by table.

    Attributes:
        rows: Their columns by name.
        problems: What could not be read.
    """

    rows: dict[str, list[ColumnValues]] = field(
        default_factory=lambda: {name: [] for name in _ORDER}
    )
    problems: list[str] = field(default_factory=list)


def salvage(path: Path) -> SalvagedTables:
    """Read a journal in any state; a missing one gives nothing.

    Raises:
        JournalError: It is a database of somebody else, or of a newer version.
    """
    found = SalvagedTables()
    with tempfile.TemporaryDirectory(prefix="nbp-") as folder:
        copy = _copy(path, Path(folder))
        if copy is None:
            return found
        db = sqlite3.connect(copy, isolation_level=None)
        db.row_factory = sqlite3.Row
        try:
            _refuse_other(db, path)
            for table, order in _ORDER.items():
                found.rows[table] = [
                    row for row in _read(db, table, order, found.problems) if _is_sound(table, row)
                ]
        except sqlite3.DatabaseError as exc:
            found.problems.append(str(exc))
        finally:
            db.close()
    return found


def _copy(path: Path, folder: Path) -> Path | None:
    """A copy with its log, or made from the log alone; None if there is nothing to read."""
    copy, log = folder / "journal", path.with_name(f"{path.name}-wal")
    if not is_blank(path):
        shutil.copyfile(path, copy)
        if log.exists():
            shutil.copyfile(log, folder / "journal-wal")
        return copy
    pages = _pages_of(log) if log.exists() else b""
    if not pages:
        return None
    copy.write_bytes(pages)
    return copy


def _pages_of(log: Path) -> bytes:
    """The database as of the log's last commit. SQLite reads no log without its database."""
    content = memoryview(log.read_bytes())
    size = int.from_bytes(content[8:12], "big")
    generation = content[16:24]  # frames of an earlier one may follow
    pages: dict[int, memoryview] = {}
    waiting: dict[int, memoryview] = {}
    count, at = 0, _LOG_HEADER
    while size and at + _FRAME_HEADER + size <= len(content):
        frame, at = content[at : at + _FRAME_HEADER], at + _FRAME_HEADER + size
        if frame[8:16] != generation:
            break
        waiting[int.from_bytes(frame[:4], "big")] = content[at - size : at]
        if any(frame[4:8]):
            count = int.from_bytes(frame[4:8], "big")
            pages |= waiting
            waiting = {}
    return b"".join(bytes(pages.get(number, bytes(size))) for number in range(1, count + 1))


def _refuse_other(db: sqlite3.Connection, path: Path) -> None:
    application = db.execute("PRAGMA application_id").fetchone()[0]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if application not in (0, APPLICATION):
        raise JournalError(
            f"{path} is a database, but not a journal of nbp_async. Nothing was changed.",
            hint="Name the folder of a run, or its journal.",
        )
    if version > VERSION:
        raise JournalError(
            f"{path} was written by a newer nbp_async (schema {version}, ours is {VERSION}). "
            "Nothing was changed.",
            hint="Install the newer version to rebuild it.",
        )


def _read(
    db: sqlite3.Connection, table: str, order: str, problems: list[str]
) -> list[ColumnValues]:
    """Its rows, from both ends up to what cannot be read."""
    first: list[ColumnValues] = []
    try:
        for row in db.execute(f"SELECT * FROM {table} ORDER BY {order}"):
            first.append(dict(row))  # noqa: PERF401  the next one may raise
    except sqlite3.DatabaseError as exc:
        problems.append(f"{table}: {exc}")
        return first + _read_backwards(db, table, order, first)
    return first


def _read_backwards(
    db: sqlite3.Connection, table: str, order: str, first: list[ColumnValues]
) -> list[ColumnValues]:
    last: list[ColumnValues] = []
    backwards = ", ".join(f"{column} DESC" for column in order.split(", "))
    with contextlib.suppress(sqlite3.DatabaseError):
        for row in db.execute(f"SELECT * FROM {table} ORDER BY {backwards}"):
            if first and dict(row) == first[-1]:
                break
            last.append(dict(row))
    return last[::-1]


def _is_sound(table: str, row: ColumnValues) -> bool:
    """What is in it can be read. An attempt whose end cannot be read counts as out."""
    try:
        if table == "item":
            records.decode_request(str(row["asked"]))
            if row["image"] is not None:
                records.decode_image_record(str(row["image"]))
            return isinstance(row["identity"], bytes)
        if table == "attempt" and row["record"] is not None:
            records.decode_attempt(str(row["record"]))
    except (msgspec.MsgspecError, ValueError, KeyError):
        if table == "attempt":
            row |= dict.fromkeys(("billing", "cost", "settled_at", "record"))
        return table == "attempt"
    return True


def image_records(rows: list[ColumnValues]) -> Iterator[records.ImageRecord]:
    """The images of these rows of items, with their extras."""
    for row in rows:
        if row["image"] is not None:
            image = records.decode_image_record(str(row["image"]))
            yield image
            yield from image.extras
