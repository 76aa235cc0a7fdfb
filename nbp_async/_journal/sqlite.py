"""The journal in a file: SQLite, on one thread (see `_base/sqlite_thread.py`)."""

import os
import secrets
import socket
import sqlite3
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Self, TypeVar

from nbp_async._base.errors import JournalError
from nbp_async._base.folders import make_folder, open_to_write
from nbp_async._base.sqlite_thread import (
    Operation,
    SqliteClosedError,
    SqliteThread,
    SqliteWriteError,
)
from nbp_async._base.task_handle import Handle
from nbp_async._journal import records
from nbp_async._journal.base import JournalEntry, RunTotals
from nbp_async._journal.compatibility import connect, create, is_blank, refuse_foreign, upgrade
from nbp_async._journal.identity import stand_ins
from nbp_async._journal.lost_journal import refuse_lost_run, refuse_unfinished
from nbp_async._journal.manifest import Manifest
from nbp_async._journal.records import Row
from nbp_async._journal.run_lock import RunLock, lock_path
from nbp_async._journal.run_totals import compute_totals
from nbp_async._journal.sqlite_purses import SqlitePurses
from nbp_async._journal.sqlite_queue import SqliteQueue
from nbp_async._journal.write_errors import over_limit, write_error
from nbp_async._models.outcomes import Attempt, Job, Outcome

T = TypeVar("T")


class SqliteJournal:
    """See `base.Journal`. Open it with `SqliteJournal.open`."""

    def __init__(
        self,
        path: Path,
        *,
        account: str,
        folder: Path | None,
        wall_clock: Callable[[], float],
        manifest: Path | None,
        inline: bool,
        shared: bool,
    ) -> None:
        self.path = path
        self._account = account
        self._base = path.parent if folder is not None else None
        self.now = wall_clock
        self._wait_for_disk = not inline
        self.session = 0
        self._closing = False
        self._lock: RunLock | None = None
        self._folder = folder
        self._shared = shared
        self._manifest = (
            None
            if manifest is None
            else Manifest(manifest, folder, path.parent, account=account, shared=shared)
        )
        self._thread = SqliteThread(
            self._connect,
            name="nbp-journal",
            after_commit=self._append_manifest,
            after_close=self._unlock,
            stop_on_error=True,  # an arm that failed must not be followed by its settlement
            inline=inline,
        )
        self.post = self._thread.post
        self._purses = SqlitePurses()
        self.queue = SqliteQueue(self, self._purses)

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        account: str,
        folder: Path | None,
        wall_clock: Callable[[], float],
        manifest: Path | None = None,
        inline: bool = False,
        shared: bool = False,
    ) -> Self:
        """Open the journal of a run, or begin one.

        Args:
            path: Its file. A lock file is kept beside it.
            account: Who pays; a journal of another account is refused.
            folder: The run's folder, or None if images are not our files. Paths below the journal
                are kept relative to it, so that all of it can be moved.
            wall_clock: Seconds since 1970; for people to read, never for order.
            manifest: File for one line per outcome, or None.
            inline: Write on the calling thread, without waiting for the disk: for virtual time,
                whose clock would run away while a real thread works.
            shared: Other users may read what is made, as far as the umask lets them.

        Raises:
            RunBusyError: Another process, or another call of this one, uses it.
            JournalError: It is damaged, newer, another account's, or not a journal; or it is
                missing, blank or an old copy beside what a run has left. Nothing was changed.
        """
        journal = cls(
            path,
            account=account,
            folder=folder,
            wall_clock=wall_clock,
            manifest=manifest,
            inline=inline,
            shared=shared,
        )
        await journal._open()
        return journal

    async def _open(self) -> None:
        try:
            await self._thread.open()
        except (sqlite3.Error, OSError) as exc:
            error = write_error(exc)
        else:
            return
        raise error

    async def run(self, operation: Operation[T]) -> T:
        """Run an operation in the journal's thread; returns when it is durable."""
        try:
            return await self._thread.run(operation)
        except SqliteClosedError:
            error = JournalError("The run's journal is closed: nothing more is written or sent.")
        except SqliteWriteError as exc:
            error = write_error(exc.cause)
        raise error

    async def claim(self, job: Job, identity: bytes) -> JournalEntry:
        request, place, nonce = records.encode_request(job), job.index, secrets.token_hex(16)

        def claim(db: sqlite3.Connection) -> JournalEntry:
            row = db.execute(_NEXT_ITEM, (identity, identity, self.session)).fetchone()
            for other in stand_ins(job) if row is None else ():  # in a rebuilt journal
                row = row or db.execute(_STAND_IN, (other, self.session)).fetchone()
            if row is None:
                inserted = db.execute(
                    "INSERT INTO item (identity, session, place, state, nonce, asked) "
                    "VALUES (?, ?, ?, 'planned', ?, ?)",
                    (identity, self.session, place, nonce, request),
                )
                assert inserted.lastrowid is not None
                return JournalEntry(
                    item=inserted.lastrowid,
                    index=place,
                    prompt=job.prompt,
                    pixels=job.canvas.pixels,
                    state="planned",
                    nonce=nonce,
                    model=job.model,
                )
            db.execute(
                "UPDATE item SET identity = ?, session = ?, place = ?, asked = ?, "
                "state = iif(state = 'queued', 'planned', state) WHERE id = ?",
                (identity, self.session, place, request, row[0]),
            )
            if row[2] == "queued":
                row = (*row[:2], "planned", *row[3:])
            return self.entry(db, row, place)

        return await self.run(claim)

    async def arm(
        self,
        item: int,
        number: int,
        price: Decimal,
        most: Decimal,
        stem: str,
        handle: Handle | None = None,
        account: str = "",
    ) -> float:
        encoded = None if handle is None else records.encode_handle(handle)
        values = (item, number, str(price), str(most), self.now(), stem, encoded, account)
        state = "armed" if handle is None else "submitted"

        def arm(db: sqlite3.Connection) -> Decimal | None:
            left = self._purses.on_arm(db, item, most)
            if left is not None:
                return left
            db.execute(
                "INSERT INTO attempt (item, number, price, most, armed_at, stem, handle, account) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            db.execute("UPDATE item SET state = ? WHERE id = ?", (state, item))
            return None

        left = await self.run(arm)
        if left is not None:
            raise over_limit(most, left)
        return 0.0

    async def record_answer(
        self, item: int, number: int, links: tuple[str, ...], expires: float | None, request_id: str
    ) -> None:
        text = records.encode_links(links)

        def record(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE attempt SET links = ?, expires = ?, request_id = ? "
                "WHERE item = ? AND number = ?",
                (text, expires, request_id, item, number),
            )
            db.execute(
                "UPDATE item SET state = 'answered', links = ?, expires = ? WHERE id = ?",
                (text, expires, item),
            )

        await self.run(record)

    async def record_submission(
        self, item: int, number: int, handle: Handle, request_id: str
    ) -> None:
        text = records.encode_handle(handle)

        def record(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE attempt SET handle = ?, request_id = ? WHERE item = ? AND number = ?",
                (text, request_id, item, number),
            )
            db.execute("UPDATE item SET state = 'submitted' WHERE id = ?", (item,))

        await self.run(record)

    def settle(self, item: int, attempt: Attempt) -> None:
        now, text = self.now(), records.encode_attempt(attempt, self._base)

        def settle(db: sqlite3.Connection) -> None:
            self._purses.on_settle(db, item, attempt)
            db.execute(
                "UPDATE attempt SET billing = ?, cost = ?, settled_at = ?, record = ? "
                "WHERE item = ? AND number = ?",
                (attempt.billing, str(attempt.cost), now, text, item, attempt.number),
            )

        self.post(settle)

    async def finish(self, item: int, outcome: Outcome) -> None:
        values = records.end_of_item(outcome, self._base)

        def finish(db: sqlite3.Connection) -> None:
            self._purses.on_finish(db, item, values[0])
            db.execute(
                "UPDATE item SET state = ?, image = ?, reason = ?, message = ?, links = ?, "
                "expires = ? WHERE id = ?",
                (*values, item),
            )
            if self._manifest is not None:
                self._manifest.add(db, item, outcome)

        await self.run(finish)

    async def unsettled(self, *, failed: bool = False) -> list[JournalEntry]:
        def select(db: sqlite3.Connection) -> list[JournalEntry]:
            rows = db.execute(
                f"SELECT {_ITEM} FROM item WHERE state IN {_OPEN[failed]} ORDER BY id"
            ).fetchall()
            return [self.entry(db, row, int(row[1])) for row in rows]

        return await self.run(select)

    async def save_batch(self, name: str, record: str) -> None:
        def save(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT INTO batch VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET record = ?",
                (name, record, record),
            )

        await self.run(save)

    async def batches(self) -> dict[str, str]:
        def select(db: sqlite3.Connection) -> dict[str, str]:
            return dict(db.execute("SELECT name, record FROM batch ORDER BY rowid").fetchall())

        return await self.run(select)

    def note(self, name: str, text: str) -> None:
        query = "INSERT OR REPLACE INTO note VALUES (?, ?)"
        self._thread.post(lambda db: db.execute(query, (name, text)))

    async def notes(self) -> dict[str, str]:
        query = "SELECT name, text FROM note"
        return await self.run(lambda db: dict(db.execute(query).fetchall()))

    async def totals(self, period: float = 600.0) -> RunTotals:
        now = self.now()
        return await self.run(lambda db: compute_totals(db, now, period))

    async def aclose(self) -> None:
        try:
            if not self._closing and self._thread.failure is None:
                self._closing = True
                now, session = self.now(), self.session

                def end(db: sqlite3.Connection) -> None:
                    db.execute("UPDATE session SET ended = ? WHERE id = ?", (now, session))
                    if self._manifest is not None:
                        self._manifest.append()
                        self._manifest.close(db)

                await self.run(end)
        finally:
            await self._thread.aclose()

    def _connect(self) -> sqlite3.Connection:
        """Lock, check, and only then write. Runs in the journal's thread."""
        make_folder(self.path.parent, shared=self._shared)
        self._lock = RunLock(lock_path(self.path), shared=self._shared)
        refuse_unfinished(self.path)
        is_new = is_blank(self.path)
        if not is_new:
            refuse_foreign(self.path, self._account)
        else:
            manifest = None if self._manifest is None else self._manifest.path
            refuse_lost_run(self.path, self._folder, manifest)
            open_to_write(self.path, 0, shared=self._shared).close()
        db = connect(self.path, wait_for_disk=self._wait_for_disk)
        try:
            self._begin_session(db, is_new)
        except BaseException:
            db.close()
            raise
        return db

    def _begin_session(self, db: sqlite3.Connection, is_new: bool) -> None:
        """Make the tables of a new journal, or upgrade them, and add the row of this session."""
        if is_new:
            create(db, self._account, self.now())
        if self._manifest is not None:
            self._manifest.compare(db)
        upgrade(db)
        inserted = db.execute(
            "INSERT INTO session (pid, host, started) VALUES (?, ?, ?)",
            (os.getpid(), socket.gethostname(), self.now()),
        )
        assert inserted.lastrowid is not None
        self.session = inserted.lastrowid
        db.execute("UPDATE run SET account = ? WHERE account = ''", (self._account,))
        self.queue.begin_session(db)
        if self._manifest is not None:
            self._manifest.open(db)

    def _append_manifest(self) -> None:
        if self._manifest is not None:
            self._manifest.append()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def entry(self, db: sqlite3.Connection, row: Row, place: int) -> JournalEntry:
        attempts = db.execute(
            f"SELECT {records.ATTEMPT_COLUMNS} FROM attempt WHERE item = ? ORDER BY number",
            (row[0],),
        ).fetchall()
        return records.entry_of(row, attempts, self._base, index=place)


_OPEN = ("('armed', 'submitted', 'answered')", "('armed', 'submitted', 'answered', 'failed')")
_ITEM = records.ITEM_COLUMNS

# Each session claims the items of an identity from the lowest id upwards. So the items that the
# latest earlier session claimed are the lowest ones which this session has not claimed yet:
#
#     id       1   2   3   4        session 7 drew four equal jobs, 8 drew one, 9 has drawn one
#     session  9   7   7   7        so far: the latest before 9 is 7, and its lowest item is 2
#
# Two steps into the index find it, however many equal jobs there are.
_NEXT_ITEM = f"""
SELECT {_ITEM} FROM item WHERE id = (
    SELECT min(id) FROM item WHERE identity = ? AND session = (
        SELECT max(session) FROM item WHERE identity = ? AND session < ?))
"""
_STAND_IN = f"SELECT {_ITEM} FROM item WHERE identity = ? AND session < ? ORDER BY id LIMIT 1"
