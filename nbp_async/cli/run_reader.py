"""A run for `nbp show` and `nbp export`: what can be read, and messages about the rest."""

from collections.abc import Iterator
from pathlib import Path

from nbp_async import AccountBill, JournalError, NoRunError, Report, Row, read_run
from nbp_async.cli import exit_codes
from nbp_async.cli.output import print_line, stderr_console
from nbp_async.display.formats import printable


def read_report(where: Path | str) -> Report:
    """The run in `where`, its folder or its journal.

    Raises:
        InvalidUseError: There is no run.
        CommandFailedError: Its journal cannot be read at all.
    """
    with (
        exit_codes.errors_as(exit_codes.CommandFailedError, JournalError),
        exit_codes.errors_as(exit_codes.InvalidUseError, NoRunError),
    ):
        return read_run(where)


class RunReader:
    """Reads a run row by row, and remembers what could not be read.

    Attributes:
        report: What its journal says.
    """

    def __init__(self, where: Path | str) -> None:
        self.report = read_report(where)
        self._problems: list[str] = []
        if self.report.problem:
            self._problems.append(f"{self.report.path}: {self.report.problem}")

    def rows(self) -> Iterator[Row]:
        """Every item that can be read, in the order in which the prompts were read."""
        try:
            yield from self.report.rows()
        except JournalError as exc:
            self._problems.append(str(exc))

    def accounts(self) -> dict[str, AccountBill]:
        """What each of several accounts has cost; nothing of a journal that cannot be read."""
        try:
            return self.report.accounts()
        except JournalError:
            return {}

    def finish(self) -> int:
        """Print what could not be read, and return the exit code."""
        for problem in self._problems:
            print_line(stderr_console(), printable(problem, 1000))
        return exit_codes.SOME_FAILED if self._problems else exit_codes.ALL_MADE
