"""Make the journal of a run from what is left of it: its manifest, its images, its old journal.

    .journal.sqlite3.PID.part ──► journal.sqlite3.rebuilt ──► journal.sqlite3
      written, synced              whole: no call begins        in one rename, after the old
                                   while it is there            files went to journal.old-1…

A process that is killed leaves the old journal, or both: then the next rebuild finishes the
renaming. Whatever was there is kept under another name.
"""

import contextlib
import os
import shutil
import socket
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import msgspec

from nbp_async._base.errors import JournalError, NoRunError
from nbp_async._base.folders import sync_folder
from nbp_async._base.text import format_dollars, plural
from nbp_async._journal import records
from nbp_async._journal.base import JOURNAL, MANIFEST
from nbp_async._journal.compatibility import create
from nbp_async._journal.identity import is_whole
from nbp_async._journal.lost_journal import images_in, rebuilt_path, refuse_unfinished
from nbp_async._journal.manifest import ManifestLine, read_manifest
from nbp_async._journal.rebuilt_items import (
    RebuiltItem,
    digests_of,
    is_sound,
    item_of_image,
    item_of_line,
    knows_more,
    newest,
    plain_keys,
    plain_keys_of,
)
from nbp_async._journal.rebuilt_tables import (
    insert_item,
    insert_row,
    mark_unread_attempts,
    name_lost_items,
)
from nbp_async._journal.run_lock import RunLock, lock_path
from nbp_async._journal.run_totals import compute_totals
from nbp_async._journal.salvage import SalvagedTables, image_records, salvage
from nbp_async._stores.store_address import is_store


class RebuildReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `rebuild_run` made.

    Attributes:
        path: The journal.
        matched: Images that the next call knows, and does not buy again.
        unclear: Images and paid failures whose prompt is not known for certain: a prompt that fits
            is not sent again unasked.
        open: Items that may be out, or are behind a link: the next call settles them.
        without: Items without an image: what may have been billed of them is not sent again
            unasked.
        spent: US dollars that were certainly charged, as far as it is known.
        maybe: US dollars that may have been charged in addition.
        problems: What could not be read.
        kept: Where the old files are now.
    """

    path: Path
    matched: int
    unclear: int
    open: int
    without: int
    spent: Decimal
    maybe: Decimal
    problems: tuple[str, ...]
    kept: tuple[Path, ...]

    def lines(self) -> Iterator[str]:
        """In words."""
        maybe = f" + perhaps {format_dollars(self.maybe)}" if self.maybe else ""
        yield f"{plural(self.matched, 'image')} matched · {format_dollars(self.spent)} spent{maybe}"
        if self.unclear:
            yield (
                f"{self.unclear} unclear: their prompts are not known for certain, so that what "
                "fits them is not bought again unasked"
            )
        if self.open:
            yield f"{self.open} behind a link, at the vendor or interrupted"
        if self.without:
            yield f"{self.without} without an image"
        yield from (f"not read: {problem}" for problem in self.problems)
        yield from (f"kept: {path}" for path in self.kept)


def rebuild_run(where: str | Path, *, out: str | Path | None = None) -> RebuildReport:
    """Make a journal from a run's manifest and images, and what its old journal still yields.

    ```python
    report = rebuild_run("catalogue/")
    print(*report.lines(), sep="\\n")
    ```

    For a run whose journal was lost or damaged, or copied without its -wal file. Then the same
    `many` buys nothing twice that is known here. It needs no key, and sends nothing. Requests that
    were out when the journal was lost are known to the vendor alone. Further images of one reply
    (`Image.extras`) stay in the folder, and are not in the new journal.

    Args:
        where: The run's folder, or its journal.
        out: The folder of its images, if the journal is in another one.

    Raises:
        NoRunError: Nothing of a run is there.
        JournalError: It is in use (RunBusyError), is a database of somebody else, was written by a
            newer version, or the new one cannot be written. Nothing was changed.
    """
    given = Path(where).absolute()
    path = given / JOURNAL if given.is_dir() else given
    if not path.parent.is_dir():
        raise NoRunError(f"There is no run in {where}: it does not exist.")
    lock = RunLock(lock_path(path))
    try:
        refuse_unfinished(path, but="rebuild")
        folder = path.parent if out is None else Path(out).absolute()
        return _Rebuild(path, folder, time.time()).run()
    except (OSError, sqlite3.Error) as exc:
        error = JournalError(f"The journal cannot be rebuilt: {exc}. The old one was not changed.")
    finally:
        lock.release()
    raise error


class _Rebuild:
    """One rebuild of the journal at `path`, which is locked; its images are in `folder`."""

    def __init__(self, path: Path, folder: Path, now: float) -> None:
        self._path = path
        self._folder = folder
        self._now = now
        self._manifest = folder / MANIFEST
        beside = path.with_suffix(".jsonl")  # of images in a store
        if path.name != JOURNAL and not self._manifest.exists() and beside.exists():
            self._manifest = beside
        self._problems: list[str] = []
        self._counts = dict.fromkeys(("matched", "unclear", "open", "without"), 0)

    def run(self) -> RebuildReport:
        ready = rebuilt_path(self._path)
        if not ready.exists():
            self._write(ready)
        else:
            self._problems.append("an earlier rebuild was interrupted: it is finished now")
        report = self._report(ready)
        kept = tuple(self._replace(ready))
        return msgspec.structs.replace(report, kept=kept)

    def _write(self, ready: Path) -> None:
        """Write the new journal beside the old one, whole or not at all."""
        old = salvage(self._path)
        self._problems += old.problems
        lines = self._lines()
        images = [image.name for image in images_in(self._folder)]
        if not (old.rows["item"] or lines or images):
            raise NoRunError(
                f"There is no run in {self._path.parent}: it has no manifest, no images of a run "
                "and no journal that can be read."
            )
        for stale in self._path.parent.glob(f".{self._path.name}.*.part"):
            stale.unlink()
        part = self._path.with_name(f".{self._path.name}.{os.getpid()}.part")
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            db = sqlite3.connect(part, isolation_level=None)
            try:
                db.execute("PRAGMA journal_mode=MEMORY")
                db.execute("PRAGMA synchronous=FULL")
                self._fill(db, old, lines, images)
            finally:
                db.close()
            if self._path.exists():
                shutil.copymode(self._path, part)
            part.replace(ready)
        finally:
            part.unlink(missing_ok=True)
        sync_folder(str(ready.parent))

    def _lines(self) -> list[ManifestLine]:
        lines, broken = [], 0
        for line in read_manifest(self._manifest):
            if line is not None and is_sound(line):
                lines.append(line)
            else:
                broken += 1
        if broken:
            self._problems.append(f"{plural(broken, 'line')} of {self._manifest.name}")
        return newest(lines)

    def _fill(
        self,
        db: sqlite3.Connection,
        old: SalvagedTables,
        lines: list[ManifestLine],
        images: list[str],
    ) -> None:
        accounts = [str(row["account"]) for row in old.rows["run"]]
        accounts += [line.account for line in reversed(lines) if line.account]
        create(db, accounts[0] if accounts else "", self._now)
        db.execute("BEGIN IMMEDIATE")
        session = max((int(str(row["id"])) for row in old.rows["session"]), default=0) + 1
        rebuilt = sorted(
            self._missing_items(old, lines, images), key=lambda item: item.number is None
        )
        replaced = {item.number for item in rebuilt}
        for table in ("session", "item", "attempt", "batch"):
            key = "id" if table == "item" else "item"
            for row in old.rows[table]:
                if table in ("session", "batch") or row[key] not in replaced:
                    insert_row(db, table, row)
        name_lost_items(db)
        host = socket.gethostname()
        db.execute(
            "INSERT INTO session VALUES (?, ?, ?, ?, ?)",
            (session, os.getpid(), host, self._now, self._now),
        )
        ended_at = self._ended_at()
        for item in rebuilt:
            insert_item(db, item, session, ended_at)
        mark_unread_attempts(db, ended_at)
        db.execute("COMMIT")

    def _missing_items(
        self, old: SalvagedTables, lines: list[ManifestLine], images: list[str]
    ) -> Iterator[RebuiltItem]:
        """What the manifest and the images know, and the old journal does not."""
        items = {row["id"]: row for row in old.rows["item"]}
        settled = Counter(row["item"] for row in old.rows["attempt"] if row["record"] is not None)
        known = set(plain_keys(old.rows["item"]))
        for line in lines:
            if line.item is None and not known.isdisjoint(plain_keys_of(line)):
                continue
            row = items.get(line.item)
            identity = bytes.fromhex(line.identity)
            same = row is not None and (identity == row["identity"] or not is_whole(identity))
            if same and row and not knows_more(line, row["state"], settled[line.item]):
                continue
            line = msgspec.structs.replace(line, unread=self._relative(line.unread))
            item = item_of_line(line, self._relative(line.path))
            if item is not None:
                yield item if row is None or same else replace(item, number=None)
        digests = {image.digest.hex() for image in image_records(old.rows["item"])}
        yield from self._unknown_images(old, digests.union(digests_of(lines)), images)

    def _unknown_images(
        self, old: SalvagedTables, known: set[str], images: list[str]
    ) -> Iterator[RebuiltItem]:
        hashes = {digest[:12] for digest in known}
        stems = {str(row["stem"]) for row in old.rows["attempt"]}  # of unclear ones: the whole name
        out = {str(row["stem"]) for row in old.rows["attempt"] if row["record"] is None}
        for name in sorted(images):
            stem = name.rpartition(".")[0]
            start, _, digest = stem.rpartition("-")
            if digest in hashes or stem in stems or start in out or "-extra" in name:
                continue
            yield item_of_image(name)

    def _relative(self, path: str) -> str:
        """A file of the manifest as the journal names it: relative to the journal."""
        if not path or is_store(path):
            return path
        return records.relative_to(str(self._manifest.parent / path), self._path.parent)

    def _ended_at(self) -> float:
        """When the attempts of the manifest had ended, at the latest."""
        with contextlib.suppress(OSError):
            return min(self._now, self._manifest.stat().st_mtime)
        return self._now

    def _report(self, ready: Path) -> RebuildReport:
        db = sqlite3.connect(f"{ready.as_uri()}?mode=ro&immutable=1", uri=True)
        try:
            for identity, state in db.execute("SELECT identity, state FROM item"):
                kind = "without"
                if not is_whole(identity):
                    kind = "unclear"
                elif state == "stored":
                    kind = "matched"
                elif state in ("armed", "submitted", "answered"):
                    kind = "open"
                self._counts[kind] += 1
            totals = compute_totals(db, self._now, 0.0)
        finally:
            db.close()
        return RebuildReport(
            path=self._path,
            **self._counts,
            spent=totals.spent,
            maybe=totals.maybe,
            problems=tuple(self._problems),
            kept=(),
        )

    def _replace(self, ready: Path) -> Iterator[Path]:
        """Move the old files aside, and the new journal into its place.

        The journal is the last of the old files to go: so a second try finds the same free name.
        """
        aside = self._free_name()
        if self._manifest.is_file() and not (copy := aside.with_suffix(".jsonl")).exists():
            shutil.copyfile(self._manifest, copy)
            yield copy
        for end in ("-wal", "-shm", ""):
            source = self._path.with_name(self._path.name + end)
            if source.exists():
                yield source.rename(aside.with_name(aside.name + end))
        ready.replace(self._path)
        sync_folder(str(self._path.parent))

    def _free_name(self) -> Path:
        name, suffix = self._path.stem, self._path.suffix
        has_log = self._path.with_name(f"{self._path.name}-wal").exists()
        for number in range(1, 10**6):
            aside = self._path.with_name(f"{name}.old-{number}{suffix}")
            log = aside.with_name(f"{aside.name}-wal")
            if not aside.exists() and not (has_log and log.exists()):
                return aside
        raise OSError("there are a million old journals")
