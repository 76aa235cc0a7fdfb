"""A run as it is, read without changing or locking anything, while it goes on or long after."""

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from nbp_async._errors import ConfigError, JournalError, NbpError
from nbp_async._frames import PandasFrame, PolarsFrame, to_pandas, to_polars
from nbp_async._journal import records
from nbp_async._journal.base import JOURNAL, Account, Pending
from nbp_async._journal.checks import read_only, version_of
from nbp_async._journal.schema import APPLICATION, VERSION
from nbp_async._journal.sums import account_of
from nbp_async._models import Attempt, Failure, Outcome, Timings
from nbp_async._rows import Row, row_of
from nbp_async._stores.address import is_store
from nbp_async._words import money

# What a file that was damaged, or written by a newer version, makes of reading it.
_UNREADABLE = (sqlite3.Error, ValueError, ArithmeticError, msgspec.MsgspecError, ConfigError)
_COLUMNS = "id, place, state, asked, image, reason, message, links, expires"


class Report(msgspec.Struct, frozen=True):
    """What a run's journal says.

    Attributes:
        path: The journal.
        folder: The run's folder, which paths are relative to.
        owner: The account that pays.
        account: What it has cost.
        states: How many items are in each state.
        processes: How many processes have worked on it.
        problem: What could not be read, or "".
    """

    path: Path
    folder: Path
    owner: str
    account: Account
    states: dict[str, int]
    processes: int
    problem: str = ""

    def __repr__(self) -> str:
        """Images of all items, and dollars; `nbp show` says more."""
        maybe = f" + perhaps {money(self.account.maybe)}" if self.account.maybe else ""
        where = self.folder if self.path.name == JOURNAL else self.path
        there, all_of_them = self.states.get("stored", 0), sum(self.states.values())
        return f"Report({where}, {there} of {all_of_them}, {money(self.account.spent)}{maybe})"

    def rows(self) -> Iterator[Row]:
        """Every item, in the order in which they were first drawn.

        A damaged journal gives what can be read of it, and then a JournalError.
        """
        db = read_only(self.path)
        try:
            yield from rows(db)
        except _UNREADABLE as exc:
            problem = JournalError(f"{self.path}: the rest cannot be read: {exc}.")
        else:
            return
        finally:
            db.close()
        raise problem

    def outcomes(self) -> Iterator[Outcome]:
        """The outcomes of all items that have ended, with the full names of their files.

        A damaged journal gives what can be read of it, and then a JournalError.
        """
        db = read_only(self.path)
        try:
            for found, outcome in _found(db, self.folder):
                if found[2] not in ("planned", "armed", "submitted"):
                    yield outcome
        except _UNREADABLE as exc:
            problem = JournalError(f"{self.path}: the rest cannot be read: {exc}.")
        else:
            return
        finally:
            db.close()
        raise problem

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
        where: The run's folder, or its journal.

    Raises:
        JournalError: There is none, or nothing of it can be read.
    """
    path = Path(where)
    if path.is_dir():
        path = path / JOURNAL
    if not path.is_file():
        why = f"it has no {JOURNAL}" if Path(where).is_dir() else "there is no such file"
        raise JournalError(
            f"There is no run in {where}: {why}.", hint="A run is the folder of a call's `out`."
        )
    try:
        return _report(path.absolute())
    except _UNREADABLE as exc:
        problem = JournalError(
            f"{path} cannot be read: {exc}.",
            hint="manifest.jsonl beside it has a line for each outcome.",
        )
    raise problem


def rows(db: sqlite3.Connection) -> Iterator[Row]:
    """The row of each item; paths are relative to the run's folder."""
    for found, outcome in _found(db, None):
        row = row_of(outcome)
        if isinstance(outcome, Failure):
            row = msgspec.structs.replace(
                row, state=found[2], reason=found[5], message=str(found[6])
            )
        yield row


def _report(path: Path) -> Report:
    db = read_only(path)
    try:
        with _look(db):
            return _reported(db, path)
    finally:
        db.close()


def _reported(db: sqlite3.Connection, path: Path) -> Report:
    problem = ""
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
        raise JournalError(f"{path} is a database, and no journal of ours.")
    if version_of(db) > VERSION:
        problem = "It was written by a newer nbp_async: some of it may be missing here."
    elif (found := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        problem = f"It is damaged: {' '.join(str(found).split())[:200]}"
    states = Counter(dict(db.execute("SELECT state, count(*) FROM item GROUP BY state")))
    return Report(
        path=path,
        folder=path.parent,
        owner=str(db.execute("SELECT account FROM run").fetchone()[0]),
        account=account_of(db, 0.0, 0.0),
        states=dict(states),
        processes=int(db.execute("SELECT count(*) FROM session").fetchone()[0]),
        problem=problem,
    )


def _found(
    db: sqlite3.Connection, folder: Path | None
) -> Iterator[tuple[tuple[object, ...], Outcome]]:
    """Items and their outcomes, a few hundred in a read transaction: none stays open for long."""
    last: object = 0
    while True:
        outcomes: list[tuple[tuple[object, ...], Outcome]] = []
        problem = _take(db, folder, last, outcomes)
        yield from outcomes  # also those before one that cannot be read
        if problem is not None:
            raise problem
        if not outcomes:
            return
        last = outcomes[-1][0][0]


def _take(
    db: sqlite3.Connection,
    folder: Path | None,
    last: object,
    outcomes: list[tuple[tuple[object, ...], Outcome]],
) -> Exception | None:
    """Add the items after `last`, in one look; returns what keeps the rest from being read."""
    query = f"SELECT {_COLUMNS} FROM item WHERE id > ? ORDER BY id LIMIT 500"
    try:
        with _look(db):
            for item in db.execute(query, (last,)):
                outcomes.append((item, _outcome(db, item, folder)))  # noqa: PERF401  it may raise
    except _UNREADABLE as exc:
        return exc
    return None


@contextlib.contextmanager
def _look(db: sqlite3.Connection) -> Iterator[None]:
    """One read transaction around several queries, unless the caller is in one."""
    if db.in_transaction:
        yield
        return
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("ROLLBACK")


def _outcome(db: sqlite3.Connection, found: tuple[object, ...], folder: Path | None) -> Outcome:
    item, place, state, asked, image, reason, message, links, expires = found
    known = records.asked_from(str(asked))
    prompt, index = known.prompt(), int(str(place))
    tried = tuple(_attempts(db, int(str(item))))
    if state == "stored" and image is not None:
        kept = records.image_from(str(image), folder, index=index, prompt=prompt)
        return msgspec.structs.replace(kept, earlier=tried)
    who = [a.billing for a in tried]
    return Failure(
        index=index,
        prompt=prompt,
        earlier=tried,
        error=NbpError(f"{reason}: {message}" if reason else f"It is {state}."),
        billing="yes" if "yes" in who else "maybe" if "maybe" in who else "no",
        links=records.links_from(links if isinstance(links, str) else None),
        link_expires=expires if isinstance(expires, float) else None,
    )


def _attempts(db: sqlite3.Connection, item: int) -> Iterator[Attempt]:
    columns = records.PENDING
    if version_of(db) < 2:
        columns = columns.replace("handle", "NULL")
    query = f"SELECT {columns} FROM attempt WHERE item = ? ORDER BY number"
    for row in db.execute(query, (item,)):
        if row[8] is not None:
            yield records.attempt_from(row[8])
        else:
            out = records.pending_from(row)
            yield Attempt(out.number, "maybe", out.most, Timings(0.0, 0.0), error=_out(out))


def _out(pending: Pending) -> str:
    if pending.handle is None:
        return "It may be out."
    return f"The vendor works on it, as {pending.handle.kind} {pending.handle.id}."


def standing_of(path: Path) -> dict[bytes, list[str]]:
    """What each identity's items are to a further call, in the order in which it claims them.

    "there", "link", "out" (at the vendor, under a handle that is known), "maybe" (may have been
    billed), "lost" (billed, and not there) or "new".
    Empty where there is no journal yet.

    Raises:
        JournalError: It cannot be read.
    """
    if not path.is_file():
        return {}
    standing: dict[bytes, list[str]] = {}
    db = read_only(path)
    try:
        for identity, state, image, links, bills in db.execute(_STANDING):
            found = _standing(state, image, links, bills, path.parent)
            standing.setdefault(identity, []).append(found)
    except sqlite3.DatabaseError as exc:
        problem = JournalError(f"{path} cannot be read: {exc}.")
    else:
        return standing
    finally:
        db.close()
    raise problem


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
        record = records.record_from(image)
        if not record.path or is_store(record.path):
            return "there"  # as the journal says: a run looks, a preview asks no store
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
