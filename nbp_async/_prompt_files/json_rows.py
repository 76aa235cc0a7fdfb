"""Prompts in JSON: an array, or a value a line. A value is a text, or an object with a text."""

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

from nbp_async._base.errors import ConfigError
from nbp_async._prompt_files.file_rows import FileNotes, FileRow, not_understood

_SPACES = " \t\r\n"
_SPACE = re.compile(f"[{_SPACES}]*")


def rows_of_json_lines(lines: Iterable[str], notes: FileNotes) -> Iterator[FileRow]:
    """A value a line; blank lines do not count.

    Raises:
        ConfigError: A line is not JSON, or neither a text nor an object.
    """
    notes.noun = "line"
    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip(_SPACES))
    for row, (number, line) in enumerate(numbered):
        value = _only_value(line.rstrip("\r\n"), number)
        yield FileRow(row, number, _cells(value, number))


def rows_of_json(lines: Iterable[str], notes: FileNotes) -> Iterator[FileRow]:
    """The items of an array, one object, or a value a line where the first line is one.

    An array or an object is read whole; its items become prompts one by one.

    Raises:
        ConfigError: It is none of these, with the line.
    """
    rest, head = iter(lines), list[str]()
    for line in rest:
        head.append(line)
        if line.strip(_SPACES):
            break
    first = head[-1] if head else ""
    if first.lstrip(_SPACES).startswith("["):
        notes.noun = "item"
        yield from _items("".join((*head, *rest)))
    elif first.strip(_SPACES) and not _is_whole(first):
        value = _only_value("".join((*head, *rest)), 1)
        yield FileRow(0, len(head), _cells(value, len(head)))
    else:
        yield from rows_of_json_lines(itertools.chain(head, rest), notes)


def _items(text: str) -> Iterator[FileRow]:
    at = _skip(text, text.index("[") + 1)
    line = 1 + text.count("\n", 0, at)
    if text.startswith("]", at):
        at += 1
    else:
        for row in itertools.count():
            value, end = _value(text, at, 1)
            yield FileRow(row, line, _cells(value, line))
            at = _skip(text, end)
            is_last = text.startswith("]", at)
            if not is_last and not text.startswith(",", at):
                raise _not_json("expecting ',' or ']'", text, at, 1)
            at = _skip(text, at + 1)
            line += text.count("\n", end, at)
            if is_last:
                break
    if _skip(text, at) < len(text):
        raise _not_json("extra data", text, at, 1)


def _only_value(text: str, line: int) -> Any:
    value, end = _value(text, _skip(text, 0), line)
    if _skip(text, end) < len(text):
        raise _not_json("extra data", text, _skip(text, end), line)
    return value


def _is_whole(line: str) -> bool:
    try:
        _only_value(line, 1)
    except ConfigError:
        return False
    return True


def _value(text: str, at: int, line: int) -> tuple[Any, int]:
    """The value that begins there, and where it ends; `line` is the number of the text's first."""
    try:
        return _decoder.raw_decode(text, at)
    except json.JSONDecodeError as exc:
        raise _not_json(exc.msg.lower(), text, exc.pos, line) from None
    except (ValueError, RecursionError) as exc:  # a number that is too long, or too many brackets
        raise _not_json(str(exc), text, at, line) from None


def _cells(value: object, line: int) -> str | Mapping[str, Any]:
    if isinstance(value, str | dict):
        return value
    raise not_understood("a prompt must be a string, or an object with a text.", line)


def _skip(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space is not None else at


def _not_json(why: str, text: str, at: int, line: int) -> ConfigError:
    column = at - text.rfind("\n", 0, at)
    return not_understood(f"not JSON: {why}, at column {column}.", line + text.count("\n", 0, at))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_decoder = json.JSONDecoder(parse_constant=_refuse_constant)
