"""The library's errors in the words of the command line: `--size 4k2`, not `size='4k2'`."""

import click

from nbp_async import NbpError
from nbp_async.display.formats import as_keyword, printable

_LONGEST = 1000  # characters


def error_text(error: NbpError) -> str:
    """An error on one line; options as the running command takes them, prompts from 1."""
    if error.index is None:
        text = error.describe(as_flag)
    else:  # the option is a field of the prompt in its file
        text = f"prompt {error.index + 1}: {error.describe(as_keyword)}"
    return printable(text, _LONGEST)


def as_flag(option: str, value: object) -> str:
    """An option and its value as they are typed; a keyword where the command has no such option."""
    context = click.get_current_context(silent=True)
    flags = {} if context is None else {p.name: p.opts[0] for p in context.command.params}
    if option not in flags:
        return as_keyword(option, value)
    if value is None or isinstance(value, bool):
        return flags[option]
    return printable(f"{flags[option]} {value}")
