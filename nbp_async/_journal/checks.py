"""Look before touching: what is not ours, not whole, or not this account's is left as it is."""

import sqlite3
from pathlib import Path

from nbp_async._errors import JournalError
from nbp_async._journal.schema import APPLICATION, CREATE, PRAGMAS, UPGRADES, VERSION

_LEFT = "Nothing was changed, nothing was sent."
_MARKS = ("application_id", "user_version")
_SEE = "`nbp show` reads it without changing it."


def connect(path: Path, *, hasty: bool) -> sqlite3.Connection:
    """A connection for writing, in the way that the journal writes; `hasty` waits for no disk."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        for pragma in PRAGMAS:
            db.execute(pragma)
        if hasty:
            db.execute("PRAGMA synchronous=OFF")
    except BaseException:
        db.close()
        raise
    return db


def create(db: sqlite3.Connection, account: str, now: float) -> None:
    """Make the tables, all of them or none."""
    db.executescript(f"BEGIN IMMEDIATE; {CREATE}")
    db.execute("INSERT INTO run VALUES (?, ?)", (account, now))
    db.execute(f"PRAGMA application_id={APPLICATION}")
    db.execute(f"PRAGMA user_version={VERSION}")
    db.execute("COMMIT")


def upgrade(db: sqlite3.Connection) -> None:
    """Bring an older journal up to the version that we write, wholly or not at all."""
    for version in range(version_of(db), VERSION):
        db.executescript(
            f"BEGIN IMMEDIATE; {UPGRADES[version]} PRAGMA user_version={version + 1}; COMMIT"
        )


def version_of(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def read_only(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing, whatever state the file is in.

    A file without a write-ahead log is open nowhere: read as it is, it needs no files beside it.
    A log that a killed process left is read without mending its index (`readonly_shm`): then each
    transaction reads the whole log, so whoever asks much asks it in few. Only where that index is
    gone, SQLite makes it anew.
    """
    path = path.absolute()
    if not path.with_name(f"{path.name}-wal").exists():
        how = "mode=ro&immutable=1"
    elif path.with_name(f"{path.name}-shm").exists():
        how = "mode=ro&readonly_shm=1"
    else:
        how = "mode=ro"
    return sqlite3.connect(
        f"{path.as_uri()}?{how}", uri=True, isolation_level=None, check_same_thread=False
    )


def blank(path: Path) -> bool:
    """Nothing is in it: it is not there, or who made it was killed before the tables were."""
    if not path.exists() or path.stat().st_size == 0:
        return True
    db = read_only(path)
    try:
        marks = [db.execute(f"PRAGMA {name}").fetchone()[0] for name in _MARKS]
        return (
            marks == [0, 0] and db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        )
    except sqlite3.DatabaseError:
        return False  # what it is instead, `refuse_foreign` says
    finally:
        db.close()


def refuse_foreign(path: Path, account: str) -> None:
    """Raise unless it is a whole journal, of a version that we know, for this account.

    Raises:
        JournalError: What it is instead, and what to do.
    """
    try:
        problem = _what_is_wrong(path, account)
    except sqlite3.DatabaseError as exc:
        problem = JournalError(
            f"{path} is damaged, or no journal: {exc}. {_LEFT}",
            hint=f"{_SEE} Put a copy of it back, or use another folder.",
        )
    if problem is not None:
        raise problem


def _what_is_wrong(path: Path, account: str) -> JournalError | None:
    db = read_only(path)
    try:
        application = db.execute("PRAGMA application_id").fetchone()[0]
        version = version_of(db)
        if application != APPLICATION:
            return JournalError(
                f"{path} is a database, and no journal of ours. {_LEFT}",
                hint="Use another folder, or another name for the journal.",
            )
        if version > VERSION:
            return JournalError(
                f"{path} was written by a newer nbp_async (schema {version}, we know {VERSION}). "
                f"{_LEFT}",
                hint=f"{_SEE} Install the newer version to go on.",
            )
        found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            return JournalError(
                f"{path} is damaged: {' '.join(str(found).split())[:200]}. {_LEFT}",
                hint=f"{_SEE} Put a copy of it back, or use another folder.",
            )
        owner = db.execute("SELECT account FROM run").fetchone()[0]
        if owner != account:
            return JournalError(
                f"The run in {path.parent} belongs to another account ({owner}; yours is "
                f"{account}). {_LEFT}",
                hint="Use the key that began it or another folder; if only the key of the same "
                "account changed, name the account: Client(account=...), --account.",
            )
    finally:
        db.close()
    return None
