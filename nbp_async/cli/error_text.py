"""The library's errors in the words of the command line: `--size 4k2`, not `size='4k2'`."""

import shlex

import click

from nbp_async import NbpError
from nbp_async.display.formats import as_keyword, printable

_LONGEST = 1000  # characters


def error_text(error: NbpError) -> str:
    """An error on one line; options as the running command takes them, prompts from 1."""
    if error.index is None and not error.where:
        text = error.describe(as_flag)
    else:  # the option is a field of the prompt in its file
        where = error.where or f"prompt {(error.index or 0) + 1}"
        text = f"{where}: {error.describe(lambda name, value: _as_field(error, name, value))}"
    return printable(text, _LONGEST)


def _as_field(error: NbpError, name: str, value: object) -> str:
    """The field at fault as the file has it; options that solve it as they are typed."""
    return as_keyword(name, value) if name == error.option else as_flag(name, value)


def as_flag(option: str, value: object) -> str:
    """An option and its value as they are typed; a keyword where the command has no such option."""
    context = click.get_current_context(silent=True)
    flags = {} if context is None else {p.name: p.opts[0] for p in context.command.params}
    if option not in flags:
        return as_keyword(option, value)
    if value is None or isinstance(value, bool):
        return flags[option]
    typed = str(value)
    return printable(f"{flags[option]} {shlex.quote(typed) if ' ' in typed else typed}")
