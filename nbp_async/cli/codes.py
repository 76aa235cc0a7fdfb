"""Exit codes, and how a command's work ends in one of them."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

import click

from nbp_async import ConfigError, NbpError
from nbp_async._words import printable
from nbp_async.cli.spelling import as_typed

ALL_MADE = 0
USAGE = 2
SOME_FAILED = 3
KEY = 4
STOPPED = 130


class Misuse(click.ClickException):
    """What was asked cannot work; nothing was sent."""

    exit_code = USAGE


class NoKey(click.ClickException):
    """There is no key for the endpoint, or none that a header can carry."""

    exit_code = KEY


class Failed(click.ClickException):
    """The run ended in an error of its own, and not in one of its prompts."""

    exit_code = SOME_FAILED


def words_of(error: NbpError) -> str:
    """What an error says, on one line, with options as they are typed."""
    return as_typed(printable(str(error), 1000))


def run(work: Callable[[], Coroutine[Any, Any, int]]) -> NoReturn:
    """Run a command's work in a loop of its own, and end the process with the code it returns."""
    try:
        code = asyncio.run(work())
    except KeyboardInterrupt:  # while no brake was on: before the first request, or after the last
        code = STOPPED
    except ConfigError as exc:
        raise Misuse(words_of(exc)) from exc
    except NbpError as exc:
        raise Failed(words_of(exc)) from exc
    sys.exit(code)
