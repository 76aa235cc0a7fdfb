"""Check a journal before it is opened for writing: one that we refuse stays as it is."""

import sqlite3
from pathlib import Path

from nbp_async._base.errors import JournalError
from nbp_async._journal.identity import SEVERAL
from nbp_async._journal.schema import APPLICATION, CREATE, PRAGMAS, UPGRADES, VERSION

_LOG_HEADER = 32  # bytes; a process that is killed before its first frame leaves just these
_SMALLEST = 512  # bytes of a page: SQLite takes a shorter file for an empty database
_UNCHANGED = "Nothing was changed, nothing was sent."
_READ_IT = "`nbp show` reads it without changing it."
_REBUILD_IT = (
    "`nbp rebuild` with its folder makes another from what can be read of it, the manifest and the "
    "images. Or restore a copy of it, or use another folder."
)


def connect(path: Path, *, wait_for_disk: bool) -> sqlite3.Connection:
    """A connection for writing, with the settings that the journal needs."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        for pragma in PRAGMAS:
            db.execute(pragma)
        if not wait_for_disk:
            db.execute("PRAGMA synchronous=OFF")
    except BaseException:
        db.close()
        raise
    return db


def create(db: sqlite3.Connection, account: str, now: float) -> None:
    """Make the tables, in one transaction."""
    db.executescript(f"BEGIN IMMEDIATE; {CREATE}")
    db.execute("INSERT INTO run (account, created) VALUES (?, ?)", (account, now))
    db.execute(f"PRAGMA application_id={APPLICATION}")
    db.execute(f"PRAGMA user_version={VERSION}")
    db.execute("COMMIT")


def upgrade(db: sqlite3.Connection) -> None:
    """Bring an older journal to the version that we write; each step is one transaction."""
    for version in range(version_of(db), VERSION):
        db.executescript(
            f"BEGIN IMMEDIATE; {UPGRADES[version]} PRAGMA user_version={version + 1}; COMMIT"
        )


def version_of(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def read_only(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing, whatever state the file is in.

    | files beside it | read with | because |
    | --- | --- | --- |
    | no -wal | immutable | nobody has it open, and SQLite makes no files beside it |
    | -wal of a header alone | immutable | it says nothing; readonly_shm ends in SQLITE_PROTOCOL |
    | -wal and -shm | readonly_shm | the index of a log that a killed process left stays as it is |
    | -wal only | ro | there is no index to keep: SQLite makes one |

    With `readonly_shm` each transaction reads the whole log: put many queries into few of them.
    """
    path = path.absolute()
    log = path.with_name(f"{path.name}-wal")
    if not log.exists() or log.stat().st_size == _LOG_HEADER:
        mode = "ro&immutable=1"
    elif path.with_name(f"{path.name}-shm").exists():
        mode = "ro&readonly_shm=1"
    else:
        mode = "ro"
    return sqlite3.connect(
        f"{path.as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False
    )


def is_blank(path: Path) -> bool:
    """It is missing or empty: its process may have been killed before it made the tables."""
    if not path.exists() or path.stat().st_size == 0:
        return True
    db = read_only(path)
    try:
        application = db.execute("PRAGMA application_id").fetchone()[0]
        tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        return not (application or version_of(db) or tables)
    except sqlite3.DatabaseError:
        return False  # `refuse_foreign` says what it is instead
    finally:
        db.close()


def refuse_foreign(path: Path, account: str) -> None:
    """Raise unless it is an undamaged journal of this account, of a version that we know.

    Raises:
        JournalError: Says what it is instead, and what to do.
    """
    try:
        error = _find_problem(path, account)
    except sqlite3.DatabaseError as exc:
        error = JournalError(
            f"{path} is damaged, or not a journal: {exc}. {_UNCHANGED}",
            hint=f"{_READ_IT} {_REBUILD_IT}",
        )
    if error is not None:
        raise error


def how_to_go_on(owner: str, place: str) -> str:
    """What to do about a run that another account owns, or use another place."""
    if owner.partition(":")[0] == SEVERAL:
        return (
            "Several accounts began it: it goes on with a list of accounts, of these or of others, "
            f"Client([Account(...)]). Or use another {place}."
        )
    return (
        f"Use the key that began it, or another {place}. If only the key of the same account "
        "changed, name the account: Client(account=...), --account."
    )


def _find_problem(path: Path, account: str) -> JournalError | None:
    if path.stat().st_size < _SMALLEST:
        raise sqlite3.DatabaseError(f"it has only {path.stat().st_size} bytes")
    db = read_only(path)
    try:
        application = db.execute("PRAGMA application_id").fetchone()[0]
        version = version_of(db)
        if application != APPLICATION:
            return JournalError(
                f"{path} is a database, but not a journal of nbp_async. {_UNCHANGED}",
                hint="Use another folder, or another name for the journal.",
            )
        if version > VERSION:
            return JournalError(
                f"{path} was written by a newer nbp_async (schema {version}, ours is {VERSION}). "
                f"{_UNCHANGED}",
                hint=f"{_READ_IT} Install the newer version to continue.",
            )
        verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            return JournalError(
                f"{path} is damaged: {' '.join(str(verdict).split())[:200]}. {_UNCHANGED}",
                hint=f"{_READ_IT} {_REBUILD_IT}",
            )
        owner = db.execute("SELECT account FROM run").fetchone()[0]
        if owner not in (account, ""):  # "": rebuilt from a manifest that does not name it
            return JournalError(
                f"The run in {path.parent} belongs to another account ({owner}; yours is "
                f"{account}). {_UNCHANGED}",
                hint=how_to_go_on(owner, "folder"),
            )
    finally:
        db.close()
    return None
