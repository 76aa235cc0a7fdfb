"""`manifest.jsonl`: one line for each outcome, for people and other programs.

It follows from the journal. Lines are added as outcomes come; a file that does not agree with the
journal, as after a kill, is written anew.
"""

import contextlib
import logging
import os
import sqlite3
from pathlib import Path

import msgspec

from nbp_async._journal.reader import rows
from nbp_async._journal.records import relative
from nbp_async._models import Image, Outcome
from nbp_async._rows import Row, row_of
from nbp_async._stores.address import is_store

log = logging.getLogger("nbp_async")


class Manifest:
    """The file, as the journal's thread sees it. Failing to write it harms nothing: it is made
    anew when the run is opened next.
    """

    def __init__(self, path: Path, folder: Path | None, base: Path) -> None:
        self.path = path
        self._folder = folder
        self._base = base
        self._lines: list[bytes] = []
        self._newest = 0  # items up to this one may have a line already
        self._stale = False

    def open(self, db: sqlite3.Connection) -> None:
        """Write it anew if it does not tell of just what has ended."""
        self._newest = db.execute("SELECT coalesce(max(id), 0) FROM item").fetchone()[0]
        self._stale = self._told() != _known(db)
        self.close(db)

    def add(self, item: int, outcome: Outcome) -> None:
        """A line to be written with the next commit."""
        path = outcome.stored.path if isinstance(outcome, Image) else ""
        self._lines.append(row_of(outcome, relative(path, self._folder)).json() + b"\n")
        self._stale = self._stale or item <= self._newest

    def append(self) -> None:
        """The commit was made: write the lines that belong to it."""
        lines, self._lines = self._lines, []
        if not lines:
            return
        try:
            with self.path.open("ab") as file:
                file.write(b"".join(lines))
        except OSError as exc:
            self._stale = True
            log.warning("The manifest was not written: %s", exc)

    def close(self, db: sqlite3.Connection) -> None:
        """Write it anew if lines in it were overtaken."""
        if not self._stale:
            return
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        try:
            with temporary.open("wb") as file:
                for row in rows(db):
                    if row.state not in ("planned", "armed", "submitted"):
                        file.write(self._seen_from_here(row).json() + b"\n")
            temporary.replace(self.path)
            self._stale = False
        except OSError as exc:
            log.warning("The manifest was not written: %s", exc)
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _seen_from_here(self, row: Row) -> Row:
        """The row, with its path as seen from the manifest and not from the journal."""
        if not row.path or is_store(row.path):
            return row
        if self._folder is None or self._folder == self._base:
            return row
        path = relative(str(self._base / row.path), self._folder)
        return msgspec.structs.replace(row, path=path)

    def _told(self) -> int | None:
        """The sum over its lines; None if one of them cannot be read, as the last after a kill."""
        total = 0
        try:
            with self.path.open("rb") as file:
                for line in file:
                    if line[-1:] != b"\n":
                        return None
                    found = _line.decode(line)
                    total += hash((found.index, found.state, found.sha256))
        except FileNotFoundError:
            return 0
        except (OSError, msgspec.MsgspecError):
            return None
        return total


class _Line(msgspec.Struct, gc=False):
    index: int
    state: str
    sha256: str


class _File(msgspec.Struct, gc=False):
    digest: bytes


_line = msgspec.json.Decoder(_Line)
_file = msgspec.json.Decoder(_File)


def _known(db: sqlite3.Connection) -> int:
    """The same sum over what has ended by the journal: for a million items in seconds, not minutes.

    A count would not do: a line that a kill lost and one that was overtaken make up for each other.
    """
    total = 0
    for index, state, image in db.execute(
        "SELECT place, state, image FROM item WHERE state IN ('stored', 'failed', 'answered')"
    ):
        sha256 = "" if image is None else _file.decode(image).digest.hex()
        total += hash((index, state, sha256))
    return total
