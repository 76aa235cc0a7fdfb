"""The file of prompts that a command names, read while a terminal shows how far it is."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import click
from rich.console import Console

from nbp_async import PromptFile, read_prompts
from nbp_async.display.formats import printable

Command = TypeVar("Command", bound=Callable[..., Any])
_CLEARED = "\r\x1b[K"


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """A file of prompts, and how it is to be read."""

    file: str
    column: str | None = None
    ignore: tuple[str, ...] = ()
    format: str | None = None

    def read(self, console: Console) -> PromptFile:
        """The prompts of the file, or of stdin if it is `-`.

        Raises:
            ConfigError: It cannot be read or understood, with file and line. Nothing was sent.
        """
        with rows_shown(console, f"Reading {self.file}") as show:
            return read_prompts(
                self.file,
                column=self.column,
                ignore=self.ignore,
                format=self.format,
                progress=show,
            )


@contextmanager
def rows_shown(console: Console, what: str) -> Iterator[Callable[[int], object] | None]:
    """A line on a terminal that counts rows, and is gone afterwards; None elsewhere."""
    if not console.is_terminal or console.is_dumb_terminal:
        yield None
        return
    stream = console.file

    def show(rows: int) -> None:
        count = f": {rows:,} rows ..."
        name = printable(what, max(1, console.width - len(count) - 1))  # a line that wraps stays
        stream.write(f"{_CLEARED}{name}{count}")
        stream.flush()

    try:
        yield show
    finally:
        stream.write(_CLEARED)
        stream.flush()


def file_options(command: Command) -> Command:
    """`FILE`, the options of its columns, and `--format`; the command gets them as `source`."""

    @click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
    @click.option(
        "--prompt-column",
        "column",
        metavar="NAME",
        help="Column of a table, or field of a JSON object, that holds the prompt.",
    )
    @click.option(
        "--ignore-column",
        "ignore",
        metavar="NAME",
        multiple=True,
        help="A column whose name is that of an option, or close to one, and that means something "
        "else; may be given more than once.",
    )
    @click.option(
        "--format",
        type=click.Choice(PromptFile.FORMATS),
        help="What FILE is. Default: what its ending says; of stdin, txt.",
    )
    @functools.wraps(command)
    def with_source(
        file: str,
        column: str | None,
        ignore: tuple[str, ...],
        format: str | None,  # noqa: A002
        **others: Any,
    ) -> Any:
        source = FileOptions(file=file, column=column, ignore=ignore, format=format)
        return command(source=source, **others)

    return cast("Command", with_source)
