"""The journal in a file: SQLite, one connection on one thread."""

import os
import secrets
import socket
import sqlite3
from collections.abc import Callable, Collection
from decimal import Decimal
from pathlib import Path
from typing import Self, cast

from nbp_async._handle import Handle
from nbp_async._journal import records
from nbp_async._journal.base import JOURNAL, LOCK, Account, Entry, State
from nbp_async._journal.checks import blank, connect, create, refuse_foreign, upgrade
from nbp_async._journal.lock import RunLock
from nbp_async._journal.manifest import Manifest
from nbp_async._journal.sums import account_of
from nbp_async._journal.writer import Writer, journal_error
from nbp_async._models import Attempt, Image, Job, Outcome

Row = tuple[object, ...]


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
    ) -> None:
        self.path = path
        self._account = account
        self._base = path.parent if folder is not None else None
        self._now = wall_clock
        self._hasty = inline
        self._session = 0
        self._closing = False
        self._lock: RunLock | None = None
        self._manifest = Manifest(manifest, folder, path.parent) if manifest is not None else None
        after = self._manifest.append if self._manifest is not None else _nothing
        self._writer = Writer(self._connect, after, self._unlock, inline=inline)

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
    ) -> Self:
        """Open the journal of a run, or begin one.

        Args:
            path: Its file. A lock file lies beside it.
            account: Who pays; a journal of another account is refused.
            folder: The run's folder, or None if images are no files of ours. Paths are kept as
                seen from the journal, where they lie below it: all of it can be moved.
            wall_clock: Seconds since 1970; for what people read, never for order.
            manifest: File for one line per outcome, or None.
            inline: Write on the calling thread, and do not wait for the disk: for virtual time,
                where a real thread would let the simulated clock run away.

        Raises:
            RunBusyError: Another process, or another call of this one, works on it.
            JournalError: It is damaged, newer, another account's, or no journal. Nothing was
                changed.
        """
        journal = cls(
            path, account=account, folder=folder, wall_clock=wall_clock, manifest=manifest,
            inline=inline,
        )  # fmt: skip
        await journal._open()
        return journal

    async def _open(self) -> None:
        try:
            await self._writer.open()
        except (sqlite3.Error, OSError) as exc:
            problem = journal_error(exc)
        else:
            return
        raise problem

    async def claim(self, job: Job, identity: bytes) -> Entry:
        asked, place, nonce = records.asked_of(job), job.index, secrets.token_hex(16)

        def work(db: sqlite3.Connection) -> Entry:
            found = db.execute(_NEXT, (identity, identity, self._session)).fetchone()
            if found is None:
                made = db.execute(
                    "INSERT INTO item (identity, session, place, state, nonce, asked) "
                    "VALUES (?, ?, ?, 'planned', ?, ?)",
                    (identity, self._session, place, nonce, asked),
                )
                assert made.lastrowid is not None
                pixels = job.canvas.pixels
                return Entry(
                    made.lastrowid, place, job.prompt, pixels, "planned", nonce, model=job.model
                )
            db.execute(
                "UPDATE item SET session = ?, place = ?, asked = ? WHERE id = ?",
                (self._session, place, asked, found[0]),
            )
            return self._entry(db, found, place)

        return await self._writer.run(work)

    async def arm(
        self, item: int, number: int, price: Decimal, most: Decimal, stem: str,
        handle: Handle | None = None,
    ) -> None:  # fmt: skip
        known = None if handle is None else records.handle_of(handle)
        values = (item, number, str(price), str(most), self._now(), stem, known)
        state = "armed" if handle is None else "submitted"

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT INTO attempt (item, number, price, most, armed_at, stem, handle) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            db.execute("UPDATE item SET state = ? WHERE id = ?", (state, item))

        await self._writer.run(work)

    async def answered(
        self, item: int, number: int, links: tuple[str, ...], expires: float | None, request_id: str
    ) -> None:
        text = records.links_of(links)

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE attempt SET links = ?, expires = ?, request_id = ? "
                "WHERE item = ? AND number = ?",
                (text, expires, request_id, item, number),
            )
            db.execute(
                "UPDATE item SET state = 'answered', links = ?, expires = ? WHERE id = ?",
                (text, expires, item),
            )

        await self._writer.run(work)

    async def submitted(self, item: int, number: int, handle: Handle, request_id: str) -> None:
        text = records.handle_of(handle)

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE attempt SET handle = ?, request_id = ? WHERE item = ? AND number = ?",
                (text, request_id, item, number),
            )
            db.execute("UPDATE item SET state = 'submitted' WHERE id = ?", (item,))

        await self._writer.run(work)

    def settle(self, item: int, attempt: Attempt) -> None:
        now, text = self._now(), records.attempt_of(attempt)

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE attempt SET billing = ?, cost = ?, settled_at = ?, record = ? "
                "WHERE item = ? AND number = ?",
                (attempt.billing, str(attempt.cost), now, text, item, attempt.number),
            )

        self._writer.post(work)

    async def finish(self, item: int, outcome: Outcome) -> None:
        if isinstance(outcome, Image):
            values: Row = ("stored", records.image_of(outcome, self._base), "", "", None, None)
        else:
            links = records.links_of(outcome.links)
            state = "failed" if links is None else "answered"
            error = outcome.error
            values = (state, None, type(error).__name__, str(error), links, outcome.link_expires)

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE item SET state = ?, image = ?, reason = ?, message = ?, links = ?, "
                "expires = ? WHERE id = ?",
                (*values, item),
            )
            if self._manifest is not None:
                self._manifest.add(item, outcome)

        await self._writer.run(work)

    async def unsettled(self) -> list[Entry]:
        def work(db: sqlite3.Connection) -> list[Entry]:
            found = db.execute(
                f"SELECT {_ITEM} FROM item WHERE state IN {_OPEN} ORDER BY id"
            ).fetchall()
            return [self._entry(db, row, int(row[1])) for row in found]

        return await self._writer.run(work)

    async def keep_batch(self, name: str, record: str) -> None:
        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT INTO batch VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET record = ?",
                (name, record, record),
            )

        await self._writer.run(work)

    async def batches(self) -> dict[str, str]:
        def work(db: sqlite3.Connection) -> dict[str, str]:
            return dict(db.execute("SELECT name, record FROM batch ORDER BY rowid").fetchall())

        return await self._writer.run(work)

    async def ended_lines(self, names: Collection[str]) -> dict[str, list[str]]:
        wanted = {name: list[str]() for name in names}

        def work(db: sqlite3.Connection) -> dict[str, list[str]]:
            for name, key in db.execute(_ENDED) if wanted else ():
                if name in wanted:
                    wanted[name].append(key)
            return wanted

        return await self._writer.run(work)

    async def account(self, period: float = 600.0) -> Account:
        now = self._now()
        return await self._writer.run(lambda db: account_of(db, now, period))

    async def aclose(self) -> None:
        try:
            if not self._closing and self._writer.broken is None:
                self._closing = True
                now, session = self._now(), self._session

                def work(db: sqlite3.Connection) -> None:
                    db.execute("UPDATE session SET ended = ? WHERE id = ?", (now, session))
                    if self._manifest is not None:
                        self._manifest.append()
                        self._manifest.close(db)

                await self._writer.run(work)
        finally:
            await self._writer.aclose()

    def _connect(self) -> sqlite3.Connection:
        """Lock, look, and only then touch. Runs in the journal's thread."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        usual = self.path.name == JOURNAL
        self._lock = RunLock(self.path.with_name(LOCK) if usual else _beside(self.path))
        fresh = blank(self.path)
        if not fresh:
            refuse_foreign(self.path, self._account)
        else:
            os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600))
        db = connect(self.path, hasty=self._hasty)
        try:
            self._begin(db, fresh)
        except BaseException:
            db.close()
            raise
        return db

    def _begin(self, db: sqlite3.Connection, fresh: bool) -> None:
        """Make the tables of a new journal, and the row of this session."""
        if fresh:
            create(db, self._account, self._now())
        else:
            upgrade(db)
        made = db.execute(
            "INSERT INTO session (pid, host, started) VALUES (?, ?, ?)",
            (os.getpid(), socket.gethostname(), self._now()),
        )
        assert made.lastrowid is not None
        self._session = made.lastrowid
        if self._manifest is not None:
            self._manifest.open(db)

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _entry(self, db: sqlite3.Connection, row: Row, place: int) -> Entry:
        item, _, state, nonce, asked, image, reason, message, links, expires = row
        known = records.asked_from(str(asked))
        prompt = known.prompt()
        tried = db.execute(
            f"SELECT {records.PENDING} FROM attempt WHERE item = ? ORDER BY number", (item,)
        ).fetchall()
        stored = state == "stored" and isinstance(image, str)
        return Entry(
            item=int(str(item)),
            index=place,
            prompt=prompt,
            pixels=known.pixels,
            state=cast("State", state),
            nonce=str(nonce),
            attempts=tuple(records.attempt_from(t[8]) for t in tried if t[8] is not None),
            pending=tuple(records.pending_from(t) for t in tried if t[8] is None),
            image=records.image_from(str(image), self._base, index=place, prompt=prompt)
            if stored
            else None,
            error=f"{reason}: {message}" if reason else "",
            links=records.links_from(links if isinstance(links, str) else None),
            link_expires=expires if isinstance(expires, float) else None,
            model=known.model,
        )


_OPEN = "('armed', 'submitted', 'answered')"
_ENDED = """
SELECT json_extract(handle, '$.id'), json_extract(handle, '$.key') FROM attempt
WHERE handle IS NOT NULL AND record IS NOT NULL
"""
_ITEM = "id, place, state, nonce, asked, image, reason, message, links, expires"

# Every session claims its items from the first of an identity on, so those that were claimed by
# the latest of the earlier sessions come before the rest: the lowest of them is the next, found
# in two steps into the index, however many equal jobs there are.
_NEXT = f"""
SELECT {_ITEM} FROM item WHERE id = (
    SELECT min(id) FROM item WHERE identity = ? AND session = (
        SELECT max(session) FROM item WHERE identity = ? AND session < ?))
"""


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _nothing() -> None:
    """There is no manifest."""
