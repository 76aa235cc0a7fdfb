"""Merge the runs of several machines into one: their journals, images and kept answers.

    lock all ─► check all ─► journal.sqlite3.merging ─► one transaction ─► the sign is removed
                             a sign: no call begins      files first: an item of
                             while it is there           the merged journal has its file

A process that is killed leaves the journal as it was, perhaps with more files beside it, and the
sign: the same merge, made again, finishes it.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from decimal import Decimal
from pathlib import Path

import msgspec

from nbp_async._base.errors import ConfigError, JournalError, NoRunError, StorageError
from nbp_async._base.folders import make_folder, open_to_write
from nbp_async._base.text import format_dollars, plural
from nbp_async._client.merged_files import RunFiles
from nbp_async._journal.base import JOURNAL, MANIFEST
from nbp_async._journal.compatibility import (
    connect,
    create,
    is_blank,
    read_only,
    refuse_foreign,
    upgrade,
    version_of,
)
from nbp_async._journal.database_address import DatabaseAddress, is_database
from nbp_async._journal.lost_journal import (
    merging_path,
    refuse_lost_run,
    refuse_unfinished,
)
from nbp_async._journal.manifest import Manifest, manifest_path
from nbp_async._journal.merged_items import BoughtTwice, ItemMerge, MergeSource
from nbp_async._journal.reader import read_run
from nbp_async._journal.run_lock import RunLock, lock_path
from nbp_async._sinks.gathered_files import bring

_FIRST_WITH_QUEUE = 3  # version of a journal
_UNCHANGED = "Nothing was changed."


class MergeReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `merge_runs` made.

    Attributes:
        path: The merged journal.
        items: Items in it.
        images: Images in it.
        added: Items that were not in it before.
        files: Files that were linked or copied.
        spent: US dollars that were certainly charged, all runs together.
        maybe: US dollars that may have been charged in addition.
        twice: What more than one of the runs has bought.
    """

    path: Path
    items: int
    images: int
    added: int
    files: int
    spent: Decimal
    maybe: Decimal
    twice: tuple[BoughtTwice, ...]

    def lines(self) -> Iterator[str]:
        """In words."""
        maybe = f" + perhaps {format_dollars(self.maybe)}" if self.maybe else ""
        yield (
            f"{plural(self.images, 'image')} of {plural(self.items, 'item')} · "
            f"{format_dollars(self.spent)} spent{maybe}"
        )
        yield f"{plural(self.added, 'item')} and {plural(self.files, 'file')} added"
        for one in self.twice:
            maybe = f" + perhaps {format_dollars(one.maybe)}" if one.maybe else ""
            yield (
                f"bought twice: {one.index + 1} {one.prompt[:60]!r}, "
                f"{format_dollars(one.spent)}{maybe} in {', '.join(one.runs)}"
            )


def merge_runs(out: str | Path, *sources: str | Path) -> MergeReport:
    """Merge the runs of several machines into one, as if one machine had made it.

    ```python
    for part in ("1/2", "2/2"):  # on two machines
        await gen.many(prompts, out=f"part-{part[0]}/", shard=part)
    report = merge_runs("merged/", "part-1/", "part-2/")
    print(*report.lines(), sep="\\n")
    ```

    For runs of `many(..., shard="1/3")` and so on, or of any other calls with the same account.
    Images are linked where both folders are on one disk, and copied elsewhere; the runs that are
    read stay as they are. Then the same `many` without `shard`, with `out=` this folder, finds
    everything and sends nothing. Made again it adds what is new, and changes nothing else. It needs
    no key and sends nothing.

    Args:
        out: The folder of the merged run, which may have a run already; a file for its journal
            where `sources` are journals.
        sources: The folders of the runs. If their images are in a store, their journals: images
            stay where they are.

    Raises:
        ConfigError: These cannot be merged.
        NoRunError: There is no run in one of them.
        JournalError: One of them is in use (RunBusyError), damaged, lost, newer or another
            account's. Nothing was changed.
        StorageError: The files do not fit on the disk. Nothing was merged.
    """
    journals = _journals_of(sources)
    inside = _are_folders(sources)
    target = Path(out).absolute()
    target = target / JOURNAL if inside or target.is_dir() else target
    _check_places(target, journals)
    with ExitStack() as held:
        account = _lock_and_check(held, target, journals)
        return _Merge(target, journals, sources, account, inside=inside).run()


class _Merge:
    """One merge; everything is locked."""

    def __init__(
        self,
        target: Path,
        journals: Sequence[Path],
        names: Sequence[str | Path],
        account: str,
        *,
        inside: bool,
    ) -> None:
        self._target = target
        self._runs = list(zip(names, journals, strict=True))
        self._account = account
        self._inside = inside
        self._taken: dict[str, int] = {}
        self._sign = merging_path(target)
        self._goes_on = self._sign.exists()
        self._is_new = is_blank(target)
        self._folder = target.parent if inside and _are_files([target, *journals]) else None

    def run(self) -> MergeReport:
        """Check what no lock says, and merge."""
        refuse_unfinished(self._target, but="merge")
        if self._is_new and not self._goes_on:
            refuse_lost_run(self._target, self._folder, self._manifest.path)
        with ExitStack() as held:
            sources = [
                MergeSource(str(name), held.enter_context(_reading(path)), self._files(path))
                for name, path in self._runs
                if not _is_unused(path)
            ]
            if not self._is_new:
                with closing(read_only(self._target)) as db:
                    self._manifest.compare(db)
                    _refuse_queue(db, self._target)
            open_to_write(self._sign, 0, shared=False).close()
            return self._write(sources)

    def _write(self, sources: list[MergeSource]) -> MergeReport:
        try:
            with closing(connect(self._target, wait_for_disk=True)) as db:
                self._open(db, sources)
                return self._merge(db, sources)
        except StorageError:  # nothing was brought yet
            self._undo()
            raise
        except (OSError, sqlite3.Error) as exc:
            error = JournalError(
                f"The runs cannot be merged: {exc}. The journals are as they were.",
                hint="The same merge, made again, goes on where it ended.",
            )
        raise error

    def _merge(self, db: sqlite3.Connection, sources: list[MergeSource]) -> MergeReport:
        merge = ItemMerge(db, self._name, sources)
        db.execute("BEGIN IMMEDIATE")
        try:
            merge.run()
            pairs = [pair for source in sources for pair in source.files.missing()]
            more = 2 * sum(path.stat().st_size for _, path in self._runs)
            bring(pairs, self._target.parent, more if merge.changed else 0)
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise
        self._write_manifest(db, again=merge.changed or self._goes_on)
        self._sign.unlink()
        report = read_run(self._target)
        return MergeReport(
            path=self._target,
            items=sum(report.states.values()),
            images=report.totals.images,
            added=merge.added,
            files=len(pairs),
            spent=report.totals.spent,
            maybe=report.totals.maybe,
            twice=tuple(merge.bought_twice()),
        )

    def _open(self, db: sqlite3.Connection, sources: list[MergeSource]) -> None:
        """Make the tables of a new journal, or upgrade them."""
        if self._is_new:
            began = [source.db.execute("SELECT created FROM run").fetchone() for source in sources]
            create(db, self._account, min((row[0] for row in began), default=time.time()))
        upgrade(db)
        db.execute("UPDATE run SET account = ? WHERE account = ''", (self._account,))

    def _write_manifest(self, db: sqlite3.Connection, *, again: bool) -> None:
        manifest = self._manifest
        if again:
            manifest.rewrite(db)
            return
        manifest.compare(db)
        manifest.open(db)

    def _undo(self) -> None:
        if self._goes_on:
            return
        for end in ("-wal", "-shm", "") if self._is_new else ():
            self._target.with_name(self._target.name + end).unlink(missing_ok=True)
        self._sign.unlink()

    @property
    def _manifest(self) -> Manifest:
        path = manifest_path(self._target, self._folder)
        return Manifest(path, self._folder, self._target.parent, account=self._account)

    @property
    def _name(self) -> str:
        return str(self._target.parent if self._inside else self._target)

    def _files(self, path: Path) -> RunFiles:
        return RunFiles(path, self._target, self._taken, inside=self._inside)


def _are_folders(sources: Sequence[str | Path]) -> bool:
    """The runs are named by their folders, and not by journals that lie anywhere.

    Raises:
        ConfigError: There are some of each.
    """
    kinds = {Path(each).is_dir() or Path(each).name == JOURNAL for each in sources}
    if len(kinds) > 1:
        raise ConfigError("Give the folders of the runs, or their journals.")
    return kinds.pop()


def _journals_of(sources: Sequence[str | Path]) -> list[Path]:
    """The journals of these runs.

    Raises:
        ConfigError: There are none, or one is in a database.
        NoRunError: There is no run in one of them.
    """
    if not sources:
        raise ConfigError("Give the folders of the runs that are to be merged.")
    found = []
    for each in sources:
        if is_database(each):
            raise ConfigError(
                f"{DatabaseAddress.parse(str(each))} is in a database: `nbp journal copy` moves it "
                "into a folder first."
            )
        path = Path(each).absolute()
        path = path / JOURNAL if path.is_dir() else path
        if not path.exists():
            hint = "Name the folder of a run, or its journal."
            if path.with_name(MANIFEST).is_file():
                hint = "`nbp rebuild` with this folder makes a journal from its manifest."
            raise NoRunError(f"There is no run in {each}. {_UNCHANGED}", hint=hint)
        found.append(path)
    return found


def _check_places(target: Path, journals: Sequence[Path]) -> None:
    known: set[Path] = {target.resolve()}
    for path in journals:
        if path.resolve() in known:
            raise ConfigError(
                f"{path.parent if path.name == JOURNAL else path} is named twice: each run is "
                "named once, and the merged one is another."
            )
        known.add(path.resolve())


def _lock_and_check(held: ExitStack, target: Path, journals: Sequence[Path]) -> str:
    """Lock all journals; returns the account that they belong to."""
    for path in journals:
        held.callback(RunLock(lock_path(path)).release)
        refuse_unfinished(path)
    account = _check_accounts([path for path in (target, *journals) if not is_blank(path)])
    make_folder(target.parent, shared=False)
    held.callback(RunLock(lock_path(target)).release)
    return account


def _check_accounts(journals: Sequence[Path]) -> str:
    """The account that all of them belong to.

    Raises:
        JournalError: They belong to several, or one of them cannot be used.
    """
    account = ""
    for path in journals:
        try:
            with closing(read_only(path)) as db:
                account = account or str(db.execute("SELECT account FROM run").fetchone()[0])
        except sqlite3.DatabaseError:
            pass  # `refuse_foreign` says what it is
        refuse_foreign(path, account)
    return account


def _are_files(journals: Sequence[Path]) -> bool:
    """Their images are files beside them; the manifest of a run in a store has another name."""
    in_store = any(manifest_path(path, None).exists() for path in journals)
    return not in_store or any(manifest_path(path, path.parent).exists() for path in journals)


def _is_unused(path: Path) -> bool:
    """Its process was killed before it made the tables, and sent nothing.

    Raises:
        JournalError: There was a run in it, and it is lost.
    """
    if is_blank(path):
        refuse_lost_run(path, path.parent, manifest_path(path, path.parent))
        return True
    return False


def _refuse_queue(db: sqlite3.Connection, path: Path) -> None:
    """Raise if prompts were submitted to the run: purses and budgets of owners do not add up."""
    if version_of(db) < _FIRST_WITH_QUEUE:
        return
    query = "SELECT 1 FROM item WHERE ticket NOT NULL UNION SELECT 1 FROM budget LIMIT 1"
    if db.execute(query).fetchone() is not None:
        raise JournalError(
            f"{path} is a queue: tickets, purses and budgets cannot be merged. {_UNCHANGED}",
            hint="`nbp journal copy` moves it into a database, where many machines can use it.",
        )


def _reading(path: Path) -> "closing[sqlite3.Connection]":
    """A connection that sees the journal as it is now.

    Raises:
        JournalError: It is older than its manifest, or a queue.
    """
    folder = path.parent if manifest_path(path, path.parent).exists() else None
    manifest = Manifest(manifest_path(path, folder), folder, path.parent, account="")
    db = read_only(path)
    try:
        manifest.compare(db)
        _refuse_queue(db, path)
        db.execute("BEGIN")
    except BaseException:
        db.close()
        raise
    return closing(db)
