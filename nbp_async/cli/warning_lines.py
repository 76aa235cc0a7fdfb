"""Warnings of the library, printed as the command line prints: `Warning: ...`, each once.

A library logs, and Python shows such lines raw on stderr, over a bar that may be there.
"""

import logging
import traceback
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TextIO

import click

from nbp_async import NbpError
from nbp_async.display.formats import printable

_LONGEST = 1000  # characters


class WarningPrinter(logging.Handler):
    """Prints what is logged from WARNING on, above the command's bar, in its own words.

    Args:
        context: The command that runs: its console gets the lines.
    """

    def __init__(self, context: click.Context) -> None:
        super().__init__(logging.WARNING)
        self._context = context
        self._printed: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record, with the traceback of a bug."""
        try:
            self.show(_message(record), _traceback(record))
        except Exception:  # noqa: BLE001  as all handlers: to log must not raise
            self.handleError(record)

    def show(self, message: str, more: Iterable[str] = ()) -> None:
        """Print a warning that was not there before, and what belongs to it."""
        from nbp_async.cli.output import command_console, print_line  # here: they import rich

        line = printable(message, _LONGEST)
        if line in self._printed:
            return
        self._printed.add(line)
        console = command_console(self._context)
        print_line(console, line, label="Warning:")
        for text in more:
            print_line(console, text)


def _message(record: logging.LogRecord) -> str:
    """The message; errors in it name options as they are typed."""
    from nbp_async.cli.error_text import as_flag

    if not isinstance(record.args, tuple) or not record.args:
        return record.getMessage()
    given = [each.describe(as_flag) if isinstance(each, NbpError) else each for each in record.args]
    return str(record.msg) % tuple(given)


def _traceback(record: logging.LogRecord) -> Iterator[str]:
    """Of a bug, for whoever is to fix it."""
    if record.exc_info is not None and record.exc_info[0] is not None:
        for line in "".join(traceback.format_exception(*record.exc_info)).splitlines():
            inner = line.lstrip(" ")
            yield line[: len(line) - len(inner)] + printable(inner, _LONGEST)


@contextmanager
def warnings_printed(context: click.Context) -> Iterator[None]:
    """While the command runs, its warnings are printed."""
    printer = WarningPrinter(context)

    def show(
        message: Warning | str,
        category: type[Warning],  # noqa: ARG001  the signature is Python's
        filename: str,  # noqa: ARG001
        lineno: int,  # noqa: ARG001
        file: TextIO | None = None,  # noqa: ARG001
        line: str | None = None,  # noqa: ARG001
    ) -> None:
        printer.show(str(message))

    with warnings.catch_warnings():
        warnings.showwarning = show
        logging.root.addHandler(printer)
        try:
            yield
        finally:
            logging.root.removeHandler(printer)
