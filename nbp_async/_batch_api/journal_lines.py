"""The batch jobs of a run, read without changing or locking anything."""

import sqlite3
from decimal import Decimal
from pathlib import Path

import msgspec

from nbp_async._base.errors import JournalError
from nbp_async._journal.compatibility import read_only, version_of
from nbp_async._models.outcomes import ZERO


class BatchLines(msgspec.Struct):
    """A batch job, and how its lines stand here.

    Attributes:
        record: All that is known of the job, as it was kept.
        waiting: Lines without an outcome yet.
        done: Lines whose image came.
        failed: Lines that ended without one.
        most: US dollars that those which wait may cost.
    """

    record: str
    waiting: int = 0
    done: int = 0
    failed: int = 0
    most: Decimal = ZERO


def batches_of(path: Path) -> dict[str, BatchLines]:
    """Every batch job by the name that we gave it, in the order in which they were made.

    Raises:
        JournalError: It cannot be read.
    """
    db = read_only(path)
    try:
        return _read(db)
    except (sqlite3.Error, ArithmeticError) as exc:
        raise JournalError(f"{path} cannot be read: {exc}.") from exc
    finally:
        db.close()


def _read(db: sqlite3.Connection) -> dict[str, BatchLines]:
    if version_of(db) < 2:
        return {}
    db.execute("BEGIN")  # one look: a job and its lines agree
    made = db.execute("SELECT name, record FROM batch ORDER BY rowid")
    found = {name: BatchLines(record) for name, record in made}
    for name, settled, error, most in db.execute(_LINES):
        job = found.get(name)
        if job is None:
            continue
        if not settled:
            job.waiting += 1
            job.most += Decimal(str(most))
        elif error:
            job.failed += 1
        else:
            job.done += 1
    return found


_LINES = """
SELECT json_extract(handle, '$.id'), record IS NOT NULL,
    coalesce(json_extract(record, '$.error'), ''), most
FROM attempt WHERE handle IS NOT NULL AND json_extract(handle, '$.kind') = 'batch'
"""
