"""`manifest.jsonl`: one line for each outcome, for people, other programs, and `rebuild`.

It follows from the journal. Lines are appended as outcomes come; a file that differs from the
journal, as after a kill, is rewritten. One that knows more than the journal is left as it is, and
the journal is refused: it is an old copy, or was copied without its write-ahead log.
"""

import contextlib
import logging
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec

from nbp_async._base.errors import JournalError
from nbp_async._base.folders import open_to_write
from nbp_async._base.text import format_dollars, plural
from nbp_async._journal.base import MANIFEST
from nbp_async._journal.reader import numbered_rows
from nbp_async._journal.records import absolute_in, relative_to
from nbp_async._models.outcomes import ZERO, Image, Outcome
from nbp_async._models.rows import Row, row_of

log = logging.getLogger("nbp_async")


class ManifestLine(Row, frozen=True, kw_only=True):
    """A row, and what a new journal needs to know its item again.

    Attributes:
        item: The item's number in the journal.
        identity: Of the job, hexadecimal; see `identity`.
        account: Who paid: part of the identity.
    """

    item: int | None = None  # older manifests have none of the three
    identity: str = ""
    account: str = ""


def manifest_path(journal: Path, folder: Path | None) -> Path:
    """The manifest of a run: with its images, or beside the journal if these are in a store."""
    return journal.with_suffix(".jsonl") if folder is None else folder / MANIFEST


def read_manifest(path: Path) -> Iterator[ManifestLine | None]:
    """Its lines, None for one that cannot be read. Nothing if there is no file.

    Raises:
        OSError: It cannot be read.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            try:
                yield _full_line.decode(line)
            except (msgspec.MsgspecError, ValueError):
                yield None


class Manifest:
    """The file. It is used in the journal's thread only.

    If it cannot be written, nothing is lost: it is rewritten when the run is opened next.

    Args:
        path: The file.
        folder: The run's folder, or None if images are in a store.
        base: The folder that the journal's paths are relative to.
        account: Who pays.
        shared: Other users may read it, as far as the umask lets them.
    """

    def __init__(
        self,
        path: Path,
        folder: Path | None,
        base: Path,
        *,
        account: str,
        shared: bool = False,
    ) -> None:
        self.path = path
        self._account = account
        self._shared = shared
        self._folder = folder
        self._base = base
        self._lines: list[bytes] = []
        self._last_known = 0  # items up to this one may have a line already
        self._stale = False

    def compare(self, db: sqlite3.Connection) -> None:
        """Compare its lines with the items that have ended. Changes nothing.

        Raises:
            JournalError: It knows of money that the journal does not know of.
        """
        self._stale = self._sum_of_file() != _sum_of_journal(db)
        if not self._stale:
            return
        with contextlib.suppress(OSError):
            unknown = _unknown_to(db, read_manifest(self.path))
            if unknown:
                dollars = format_dollars(
                    sum((line.spent_usd + line.maybe_usd for line in unknown), ZERO)
                )
                raise JournalError(
                    f"The journal of this run is older than {self.path}, which has "
                    f"{plural(len(unknown), 'outcome')} ({dollars}) that the journal does not "
                    "know: it is an old copy, or its -wal file is missing. Nothing was changed, "
                    "nothing was sent.",
                    hint="`nbp rebuild` with this folder adds them to the journal. Or restore the "
                    "journal together with its -wal file.",
                )

    def open(self, db: sqlite3.Connection) -> None:
        """Rewrite it if its lines are not those of the items that have ended; see `compare`."""
        self._last_known = db.execute("SELECT coalesce(max(id), 0) FROM item").fetchone()[0]
        self.close(db)

    def add(self, db: sqlite3.Connection, item: int, outcome: Outcome) -> None:
        """Add a line, to be written after the next commit."""
        path = outcome.stored.path if isinstance(outcome, Image) else ""
        unread = relative_to(outcome.unread, self._folder)
        row = row_of(outcome, relative_to(path, self._folder), unread)
        self._lines.append(self._line(db, item, row))
        self._stale = self._stale or item <= self._last_known

    def append(self) -> None:
        """Write the lines of the commit that was made just now."""
        lines, self._lines = self._lines, []
        if not lines:
            return
        try:
            with open_to_write(self.path, os.O_APPEND, shared=self._shared) as file:
                file.write(b"".join(lines))
        except OSError as exc:
            self._stale = True
            log.warning("The manifest was not written: %s", exc)

    def rewrite(self, db: sqlite3.Connection) -> None:
        """Rewrite it, whatever it holds."""
        self._stale = True
        self.close(db)

    def close(self, db: sqlite3.Connection) -> None:
        """Rewrite it if later outcomes replaced lines in it."""
        if not self._stale:
            return
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        try:
            with open_to_write(temporary, os.O_TRUNC, shared=self._shared) as file:
                if self.path.exists():
                    shutil.copymode(self.path, temporary)
                for item, row in numbered_rows(db):
                    if row.state not in ("planned", "armed", "submitted"):
                        file.write(self._line(db, item, self._relative(row)))
            temporary.replace(self.path)
            self._stale = False
        except OSError as exc:
            log.warning("The manifest was not written: %s", exc)
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _line(self, db: sqlite3.Connection, item: int, row: Row) -> bytes:
        identity = db.execute("SELECT identity FROM item WHERE id = ?", (item,)).fetchone()[0]
        line = ManifestLine(
            **msgspec.structs.asdict(row), item=item, identity=identity.hex(), account=self._account
        )
        return line.json() + b"\n"

    def _relative(self, row: Row) -> Row:
        """The row, with its paths relative to the run's folder instead of the journal's."""
        if self._folder is None or self._folder == self._base:
            return row
        base, folder = self._base, self._folder
        path, unread = (
            relative_to(absolute_in(name, base), folder) for name in (row.path, row.unread)
        )
        return msgspec.structs.replace(row, path=path, unread=unread)

    def _sum_of_file(self) -> int | None:
        """A hash that ignores the order of lines; None if one is cut short, as after a kill."""
        total = 0
        try:
            with self.path.open("rb") as file:
                for line in file:
                    if line[-1:] != b"\n":
                        return None
                    row = _short_line.decode(line)
                    total += hash((row.index, row.state, row.sha256))
        except FileNotFoundError:
            return 0
        except (OSError, msgspec.MsgspecError):
            return None
        return total


class _ShortLine(msgspec.Struct, gc=False):
    index: int
    state: str
    sha256: str


class _ImageDigest(msgspec.Struct, gc=False):
    digest: bytes


_short_line = msgspec.json.Decoder(_ShortLine)
_full_line = msgspec.json.Decoder(ManifestLine)
_image_digest = msgspec.json.Decoder(_ImageDigest)


def _sum_of_journal(db: sqlite3.Connection) -> int:
    """The same hash over the items that have ended. A million items take seconds.

    A count would not be enough: one line that a kill lost and one that is outdated cancel out.
    """
    total = 0
    for index, state, image in db.execute(
        "SELECT place, state, image FROM item WHERE state IN ('stored', 'failed', 'answered')"
    ):
        sha256 = "" if image is None else _image_digest.decode(image).digest.hex()
        total += hash((index, state, sha256))
    return total


def _unknown_to(db: sqlite3.Connection, lines: Iterator[ManifestLine | None]) -> list[ManifestLine]:
    """The lines about money whose item the journal does not know, or takes for unsent.

    A hash alone proves nothing: an image that was made again has replaced another one. Lines
    without a number are compared by their prompt.
    """
    sent: dict[int, str] = dict(
        db.execute("SELECT id, json_extract(asked, '$.text') FROM item WHERE state <> 'planned'")
    )
    prompts = set(sent.values())
    return [
        line
        for line in lines
        if line is not None
        and line.billing != "no"
        and (line.prompt not in prompts if line.item is None else line.item not in sent)
    ]
