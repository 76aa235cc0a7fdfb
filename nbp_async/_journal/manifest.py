"""`manifest.jsonl`: one line for each outcome, for people and other programs.

It follows from the journal. Lines are added as outcomes come; a file that does not agree with the
journal, as after a kill, is written anew.
"""

import contextlib
import logging
import os
import sqlite3
from pathlib import Path

from nbp_async._journal.reader import rows
from nbp_async._journal.records import relative
from nbp_async._models import Image, Outcome
from nbp_async._rows import row_of

log = logging.getLogger("nbp_async")


class Manifest:
    """The file, as the journal's thread sees it. Failing to write it harms nothing: it is made
    anew when the run is opened next.
    """

    def __init__(self, path: Path, folder: Path | None) -> None:
        self.path = path
        self._folder = folder
        self._lines: list[bytes] = []
        self._newest = 0  # items up to this one may have a line already
        self._stale = False

    def open(self, db: sqlite3.Connection) -> None:
        """Write it anew if it does not tell of just what has ended."""
        ended = db.execute(
            "SELECT count(*) FROM item WHERE state IN ('stored', 'failed', 'answered')"
        ).fetchone()[0]
        self._newest = db.execute("SELECT coalesce(max(id), 0) FROM item").fetchone()[0]
        self._stale = self._count() != ended
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
                    if row.state not in ("planned", "armed"):
                        file.write(row.json() + b"\n")
            temporary.replace(self.path)
            self._stale = False
        except OSError as exc:
            log.warning("The manifest was not written: %s", exc)
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _count(self) -> int:
        """Whole lines in the file; -1 if its end is torn."""
        count, last = 0, b"\n"
        try:
            with self.path.open("rb") as file:
                while data := file.read(1 << 20):
                    count += data.count(b"\n")
                    last = data[-1:]
        except OSError:
            return 0
        return count if last == b"\n" else -1
