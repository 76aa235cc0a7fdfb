"""Exit codes, and how a command ends with one of them."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import IO, Any, NoReturn

import click

from nbp_async import ConfigError, NbpError, NoRunError
from nbp_async.cli.error_text import error_text

ALL_MADE = 0
USAGE = 2
SOME_FAILED = 3
KEY = 4
UNFINISHED = 5
STOPPED = 130


class _CommandError(click.ClickException):
    def show(self, file: IO[Any] | None = None) -> None:  # noqa: ARG002  click's signature
        """Print the message; a terminal wraps it between words."""
        from nbp_async.cli.output import print_line, stderr_console  # here: it imports rich

        print_line(stderr_console(), f"Error: {self.format_message()}")


class InvalidUseError(_CommandError):
    """The command cannot work as it was given. Nothing was sent."""

    exit_code = USAGE


class ApiKeyError(_CommandError):
    """The key for the endpoint is missing, or cannot be sent in a header."""

    exit_code = KEY


class CommandFailedError(_CommandError):
    """The command ended with an error that is not about one prompt."""

    exit_code = SOME_FAILED


@contextmanager
def errors_as(
    ending: type[click.ClickException], caught: type[NbpError] = ConfigError
) -> Iterator[None]:
    """Turn errors of the library into this ending of the command."""
    try:
        yield
    except caught as exc:
        raise ending(error_text(exc)) from exc


def run(work: Callable[[], Coroutine[Any, Any, int]]) -> NoReturn:
    """Run a command's work in an event loop of its own; its result is the exit code."""
    try:
        with (
            errors_as(CommandFailedError, NbpError),
            errors_as(InvalidUseError, NoRunError),
            errors_as(InvalidUseError),
        ):
            code = asyncio.run(work())
    except KeyboardInterrupt:  # before the first request or after the last: nothing is in flight
        code = STOPPED
    sys.exit(code)
