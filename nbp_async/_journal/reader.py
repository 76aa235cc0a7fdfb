"""Read a run without changing or locking anything, while it goes on or long after."""

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import msgspec

from nbp_async._base.errors import ConfigError, JournalError, NbpError, NoRunError
from nbp_async._base.text import format_dollars
from nbp_async._journal import records
from nbp_async._journal.base import JOURNAL, MANIFEST, PendingAttempt, RunTotals
from nbp_async._journal.compatibility import read_only, version_of
from nbp_async._journal.database_address import DatabaseAddress, is_database
from nbp_async._journal.journal_copy import import_copies
from nbp_async._journal.limit_records import FIRST_WITH_NOTES, LimitRecord, read_limits
from nbp_async._journal.run_totals import account_totals, compute_totals
from nbp_async._journal.schema import APPLICATION, NAMES_ACCOUNTS, VERSION
from nbp_async._models.bill import AccountBill
from nbp_async._models.frames import PandasFrame, PolarsFrame, to_pandas, to_polars
from nbp_async._models.outcomes import Attempt, Failure, Outcome, Timings
from nbp_async._models.rows import Row, row_of
from nbp_async._stores.store_address import is_store

MOST_LOST_RACES = 3  # each took SQLite several seconds
T = TypeVar("T")
# What reading a file raises that is damaged, or written by a newer version.
_UNREADABLE = (sqlite3.Error, ValueError, ArithmeticError, msgspec.MsgspecError, ConfigError)
_ItemRow = tuple[object, ...]  # of these columns
_COLUMNS = "id, place, state, asked, image, reason, message, links, expires"
_OF_QUEUE = ("ticket NOT NULL, reserved", "0, '0'")  # those of journals before version 3


class Report(msgspec.Struct, frozen=True):
    """What a run's journal says.

    Attributes:
        path: The journal.
        folder: The run's folder, which paths are relative to.
        owner: The account that pays.
        totals: What it has cost.
        states: How many items are in each state.
        processes: How many processes have worked on it.
        problem: What could not be read, or "".
        place: Where a journal in a database says that the run's images are; else "".
        learned: How many requests may be in flight, as far as calls have found out
            (`max_in_flight="auto"`).
        address: Of the run, if it is in a database; `path` is then a copy of it as it was, which
            goes when this goes.
    """

    path: Path
    folder: Path
    owner: str
    totals: RunTotals
    states: dict[str, int]
    processes: int
    problem: str = ""
    place: str = ""
    learned: tuple[LimitRecord, ...] = ()
    address: str = ""
    _copy: object = None

    def __repr__(self) -> str:
        """Images, items and dollars; `nbp show` says more."""
        maybe = f" + perhaps {format_dollars(self.totals.maybe)}" if self.totals.maybe else ""
        where: object = self.folder if self.path.name == JOURNAL else self.path
        if self.address:
            where = DatabaseAddress.parse(self.address)
        stored, items = self.states.get("stored", 0), sum(self.states.values())
        spent = format_dollars(self.totals.spent)
        return f"Report({where}, {stored} of {items}, {spent}{maybe})"

    def rows(self) -> Iterator[Row]:
        """Every item, in the order in which they were first drawn.

        A damaged journal gives the items that can be read, and then raises JournalError.
        """
        with _reading(self.path) as db:
            yield from rows(db)

    def outcomes(self) -> Iterator[Outcome]:
        """The outcomes of all items that have ended, with the full names of their files.

        A damaged journal gives the items that can be read, and then raises JournalError.
        """
        with _reading(self.path) as db:
            for item, outcome in _items(db, self.folder):
                if item[2] not in ("queued", "planned", "armed", "submitted"):
                    yield outcome

    def accounts(self) -> dict[str, AccountBill]:
        """What each account has cost, by name, if several made the run; else empty.

        Raises:
            JournalError: Some of it cannot be read.
        """
        with _reading(self.path) as db:
            return account_totals(db) if version_of(db) >= NAMES_ACCOUNTS else {}

    def to_pandas(self) -> PandasFrame:
        """A pandas DataFrame with a row for each item, as `Batch.to_pandas`; reads the journal.

        Raises:
            ImportError: pandas is not installed (extra [frames]).
            JournalError: Some of it cannot be read.
        """
        return to_pandas(self.rows())

    def to_polars(self) -> PolarsFrame:
        """The same as a polars DataFrame.

        Raises:
            ImportError: polars is not installed (extra [frames]).
            JournalError: Some of it cannot be read.
        """
        return to_polars(self.rows())


def read_run(where: str | Path) -> Report:
    """Read the journal of a run.

    ```python
    for row in read_run("catalogue/").rows():
        print(row.prompt, row.state, row.path, row.spent_usd)
    ```

    Args:
        where: The run's folder, or its journal: a file, or `postgresql://host/db?run=NAME`, of
            which a copy is made as it is now.

    Raises:
        NoRunError: There is none.
        JournalError: It cannot be read at all.
    """
    if is_database(where):
        return _read_database(str(where))
    path = Path(where)
    if path.is_dir():
        path = path / JOURNAL
    if not path.is_file():
        why = f"it has no {JOURNAL}" if Path(where).is_dir() else "it does not exist"
        hint = "Name the folder that the images of a run went to, or its journal."
        if path.with_name(MANIFEST).is_file():
            hint = f"{MANIFEST} is there: `nbp rebuild` with this folder makes a journal from it."
        raise NoRunError(f"There is no run in {where}: {why}.", hint=hint)
    try:
        return read_again(lambda: _report(path.absolute()))
    except _UNREADABLE as exc:
        error = JournalError(
            f"{path} cannot be read: {exc}.",
            hint="manifest.jsonl beside it has a line for each outcome.",
        )
    raise error


def _read_database(address: str) -> Report:
    run = DatabaseAddress.parse(address)
    copy = import_copies(run).TemporaryCopy(run)
    report = _report(copy.path)
    folder = Path(copy.place) if copy.place and not is_store(copy.place) else Path.cwd()
    return msgspec.structs.replace(
        report, folder=folder, place=copy.place, address=address, _copy=copy
    )


def read_again(read: Callable[[], T]) -> T:
    """The result of `read`, which opens a connection of its own.

    SQLITE_PROTOCOL says that the race for the index of a log was lost for seconds, as on a machine
    that can hardly keep up. SQLite's own advice is to begin the transaction again.
    """
    for _ in range(MOST_LOST_RACES):
        try:
            return read()
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode != sqlite3.SQLITE_PROTOCOL:
                raise
    return read()


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that changes nothing; what a damaged journal raises becomes a JournalError."""
    db = read_only(path)
    try:
        yield db
    except _UNREADABLE as exc:
        raise JournalError(f"{path}: the rest cannot be read: {exc}.") from exc
    finally:
        db.close()


def rows(db: sqlite3.Connection) -> Iterator[Row]:
    """The row of each item; paths are relative to the run's folder."""
    return (row for _, row in numbered_rows(db))


def numbered_rows(db: sqlite3.Connection) -> Iterator[tuple[int, Row]]:
    """The number of each item, and its row."""
    for item, outcome in _items(db, None):
        row = row_of(outcome)
        if isinstance(outcome, Failure):
            row = msgspec.structs.replace(row, state=item[2], reason=item[5], message=str(item[6]))
        if item[9]:
            held = Decimal(str(item[10]))
            row = msgspec.structs.replace(row, ticket=int(str(item[0])), held_usd=held)
        yield int(str(item[0])), row


def _report(path: Path) -> Report:
    db = read_only(path)
    try:
        with _read_transaction(db):
            return _report_from(db, path)
    finally:
        db.close()


def _report_from(db: sqlite3.Connection, path: Path) -> Report:
    problem = ""
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
        if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise JournalError(f"There is no run in {path} yet: its journal is empty.")
        raise JournalError(f"{path} is a database, but not a journal of nbp_async.")
    if version_of(db) > VERSION:
        problem = "It was written by a newer nbp_async: some of it may be missing here."
    elif (verdict := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        problem = f"It is damaged: {' '.join(str(verdict).split())[:200]}"
    states = Counter(dict(db.execute("SELECT state, count(*) FROM item GROUP BY state")))
    return Report(
        path=path,
        folder=path.parent,
        owner=str(db.execute("SELECT account FROM run").fetchone()[0]),
        totals=compute_totals(db, 0.0, 0.0),
        states=dict(states),
        processes=int(db.execute("SELECT count(*) FROM session").fetchone()[0]),
        problem=problem,
        learned=tuple(read_limits(_notes(db))),
    )


def _notes(db: sqlite3.Connection) -> dict[str, str]:
    if version_of(db) < FIRST_WITH_NOTES:
        return {}
    return dict(db.execute("SELECT name, text FROM note ORDER BY name").fetchall())


def _items(db: sqlite3.Connection, folder: Path | None) -> Iterator[tuple[_ItemRow, Outcome]]:
    """Items and their outcomes, a few hundred for each read transaction.

    A long one would keep the writer from resetting its log, which would grow all the while.
    """
    last: object = 0
    while True:
        outcomes: list[tuple[_ItemRow, Outcome]] = []
        error = _read_page(db, folder, last, outcomes)
        yield from outcomes  # also those before an item that cannot be read
        if error is not None:
            raise error
        if not outcomes:
            return
        last = outcomes[-1][0][0]


def _read_page(
    db: sqlite3.Connection,
    folder: Path | None,
    last: object,
    outcomes: list[tuple[_ItemRow, Outcome]],
) -> Exception | None:
    """Add the items after `last`; returns the error that keeps the rest from being read."""
    try:
        more = _OF_QUEUE[version_of(db) < 3]
        query = f"SELECT {_COLUMNS}, {more} FROM item WHERE id > ? ORDER BY id LIMIT 500"
        with _read_transaction(db):
            for item in db.execute(query, (last,)):
                outcomes.append((item, _decode_outcome(db, item, folder)))  # noqa: PERF401  it may raise
    except _UNREADABLE as exc:
        return exc
    return None


@contextlib.contextmanager
def _read_transaction(db: sqlite3.Connection) -> Iterator[None]:
    """One read transaction around several queries, unless the caller is in one."""
    if db.in_transaction:
        yield
        return
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("ROLLBACK")


def _decode_outcome(db: sqlite3.Connection, row: _ItemRow, folder: Path | None) -> Outcome:
    item, place, state, request, image, reason, message, links, expires, *_ = row
    prompt, index = records.decode_request(str(request)).prompt(), int(str(place))
    earlier = tuple(_attempts(db, int(str(item)), folder))
    if state in ("stored", "answered") and image is not None:
        stored = records.decode_image(str(image), folder, index=index, prompt=prompt)
        return msgspec.structs.replace(stored, earlier=earlier)
    billings = [attempt.billing for attempt in earlier]
    return Failure(
        index=index,
        prompt=prompt,
        earlier=earlier,
        error=NbpError(f"{reason}: {message}" if reason else f"It is {state}."),
        billing="yes" if "yes" in billings else "maybe" if "maybe" in billings else "no",
        links=records.decode_links(links if isinstance(links, str) else None),
        link_expires=expires if isinstance(expires, float) else None,
    )


def _attempts(db: sqlite3.Connection, item: int, folder: Path | None) -> Iterator[Attempt]:
    columns = records.ATTEMPT_COLUMNS
    if version_of(db) < NAMES_ACCOUNTS:
        columns = columns.replace("account", "''")
    if version_of(db) < 2:
        columns = columns.replace("handle", "NULL")
    query = f"SELECT {columns} FROM attempt WHERE item = ? ORDER BY number"
    for row in db.execute(query, (item,)):
        if row[8] is not None:
            yield records.decode_attempt(row[8], folder)
        else:
            pending = records.decode_pending(row)
            yield Attempt(
                number=pending.number,
                billing="maybe",
                cost=pending.most,
                timings=Timings(0.0, 0.0),
                error=_describe(pending),
                account=pending.account,
            )


def _describe(pending: PendingAttempt) -> str:
    if pending.handle is None:
        return "It may be out."
    return f"The vendor is working on it, as {pending.handle.kind} {pending.handle.id}."


def standing_of(path: Path, folder: Path | None = None) -> dict[bytes, list[str]]:
    """What the next call finds for each identity: its items, in the order in which it claims them.

    "there" (stored), "link" (paid, to be fetched), "out" (at the vendor, under a known handle),
    "maybe" (may have been billed), "lost" (billed, and not there) or "new". Empty if there is no
    journal yet. Paths are relative to the journal, or to `folder` if it is a copy of one elsewhere.

    Raises:
        JournalError: It cannot be read.
    """
    if not path.is_file():
        return {}
    standing: dict[bytes, list[str]] = {}
    db = read_only(path)
    try:
        for identity, state, image, links, bills in db.execute(_STANDING):
            item = _standing(state, image, links, bills, folder or path.parent)
            standing.setdefault(identity, []).append(item)
    except sqlite3.DatabaseError as exc:
        error = JournalError(f"{path} cannot be read: {exc}.")
    else:
        return standing
    finally:
        db.close()
    raise error


_STANDING = """
SELECT identity, state, image, links,
    (SELECT group_concat(coalesce(billing, CASE WHEN a.links IS NULL THEN 'maybe' ELSE 'yes' END))
     FROM attempt a WHERE a.item = item.id)
FROM item ORDER BY identity, session DESC, id
"""


def _standing(
    state: str, image: str | None, links: str | None, bills: str | None, folder: Path
) -> str:
    if state == "stored" and image is not None:
        record = records.decode_image_record(image)
        if not record.path or is_store(record.path):
            return "there"  # a call asks the store; a preview trusts the journal
        file = folder / record.path
        if file.is_file() and file.stat().st_size == record.size:
            return "there"
        return "link" if record.url else "lost"
    if links is not None:
        return "link"
    if state == "submitted":
        return "out"
    charged = (bills or "").split(",")
    return "maybe" if "maybe" in charged else "lost" if "yes" in charged else "new"
