"""A run for `nbp show` and `nbp export`: what cannot be read is told, and the rest is given."""

from collections.abc import Iterator
from pathlib import Path

from nbp_async import JournalError
from nbp_async._journal.base import JOURNAL
from nbp_async._journal.reader import Report, read_run
from nbp_async._rows import Row
from nbp_async._words import printable
from nbp_async.cli import codes
from nbp_async.cli.output import people, say


class Reading:
    """One look at the run in `where`, its folder or its journal.

    Attributes:
        report: What its journal says.

    Raises:
        Misuse: There is no run.
        Failed: Nothing of it can be read.
    """

    def __init__(self, where: Path) -> None:
        if not where.exists():
            raise codes.Misuse(f"{where} does not exist.")
        if where.is_dir() and not (where / JOURNAL).is_file():
            raise codes.Misuse(
                f"There is no run in {where}: it has no {JOURNAL}. Name the folder that "
                "`nbp many --out` was given."
            )
        try:
            self.report: Report = read_run(where)
        except JournalError as exc:
            raise codes.Failed(codes.words_of(exc)) from exc
        self._problems: list[str] = []
        if self.report.problem:
            self._problems.append(f"{self.report.path}: {self.report.problem}")

    def rows(self) -> Iterator[Row]:
        """Every item that can be read, in the order in which they were first drawn."""
        try:
            yield from self.report.rows()
        except JournalError as exc:
            self._problems.append(str(exc))

    def end(self) -> int:
        """Tell people what could not be read, and return the exit code."""
        for problem in self._problems:
            say(people(), printable(problem, 1000))
        return codes.SOME_FAILED if self._problems else codes.ALL_MADE
