"""What the Tab key needs to know of each command, as data.

A command knows its options when its module is imported, and with it the whole library: a second,
at each press of the key. `completion_table.jsonl` has them in a hundredth of that. A test compares
it with the commands, and writes it: a line for each command, and one for each of its parameters.
"""

import json
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

TABLE = Path(__file__).with_suffix(".jsonl")
FILE, FOLDER = "file", "dir"  # kinds of a value: the shell completes them


def completed_command(name: str) -> click.Command:
    """A command as far as the Tab key needs it; it cannot be run."""
    lines: dict[str, list[dict[str, Any]]] = {}
    with TABLE.open(encoding="utf-8") as rows:
        for row in map(json.loads, rows):
            if row["of"].partition(" ")[0] == name:
                lines.setdefault(row["of"], []).append(row)
    return _command(name, lines)


def _command(path: str, lines: dict[str, list[dict[str, Any]]]) -> click.Command:
    first, *rows = lines[path]
    name = path.rpartition(" ")[2]
    inner = [each for each in lines if each.rpartition(" ")[0] == path]
    if inner:
        commands = [_command(each, lines) for each in inner]
        return click.Group(name, commands, help=first["help"])
    return click.Command(name, params=list(map(_parameter, rows)), help=first["help"])


def _parameter(row: dict[str, Any]) -> click.Parameter:
    """An option or an argument; its values are a list, files, or what a function offers."""
    given: dict[str, Any] = {"type": str, "multiple": row.get("multiple", False)}
    values = row.get("values")
    if isinstance(values, list):
        given["type"] = click.Choice(values)
    elif values in (FILE, FOLDER):
        given["type"] = click.Path(file_okay=values == FILE)
    elif values is not None:
        given["shell_complete"] = partial(_offered, values)
    if "argument" in row:
        del given["multiple"]
        return click.Argument([row["argument"]], nargs=row.get("nargs", 1), **given)
    if row.get("flag"):
        given = {"is_flag": True}
    return click.Option(row["options"], help=row["help"], **given)


def _offered(
    place: str, context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """What the function at `module:name` offers."""
    module, _, name = place.partition(":")
    complete: Callable[..., list[CompletionItem]] = getattr(import_module(module), name)
    return complete(context, parameter, incomplete)
