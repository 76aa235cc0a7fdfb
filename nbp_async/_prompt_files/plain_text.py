"""Prompts in text: one a line, or one an item of a list in Markdown."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from nbp_async._models.prompt_columns import TEXT_NAMES, squeeze
from nbp_async._prompt_files.delimited import DELIMITERS
from nbp_async._prompt_files.file_rows import FileNotes, FileRow, not_understood

_TEXTS = {squeeze(name) for name in TEXT_NAMES}
_ITEM = re.compile(r"([-*+]|\d{1,9}[.)])[ \t]+(?:\[[ xX]\][ \t]+)?(.*)")
_BREAK = re.compile(r"(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,}")  # a line across the page
_JSON = re.compile(r'\{\s*"|\[\s*(?:["{]|$)')
_FENCES = ("```", "~~~")
_FRONT = "---"
_WORDS = 4  # of a cell that is no name of a column


def lines_of_text(lines: Iterable[str], notes: FileNotes) -> Iterator[FileRow]:
    """A prompt a line; blank lines and lines with # are skipped.

    Raises:
        ConfigError: It begins as JSON or as a table with a header.
    """
    notes.noun, is_first = "line", True
    for row, line in enumerate(lines):
        text = line.strip()
        _refuse_carriage_return(text, row + 1)
        is_prompt = bool(text) and not text.startswith("#")
        if is_prompt and is_first:
            _check_first(text, row + 1)
            is_first = False
        yield FileRow(row, row + 1, text if is_prompt else None)


def _refuse_carriage_return(text: str, line: int) -> None:
    """Lines that end in carriage returns alone would be one prompt together."""
    if "\r" in text:
        raise not_understood(
            "a carriage return stands inside a line.", line, hint="End lines with line feeds."
        )


def _check_first(text: str, line: int) -> None:
    kind, name = ("JSON", "json") if _JSON.match(text) else ("", "")
    for delimiter in DELIMITERS:
        names = text.split(delimiter)
        is_short = all(len(name.split()) < _WORDS for name in names)
        if len(names) > 1 and is_short and _TEXTS & {*map(squeeze, names)}:
            kind, name = "the header of a table", "csv"
    if kind:
        error = not_understood(f"this is {kind}, and a text has a prompt a line.", line)
        error.remedy = {"format": name}
        raise error


def items_of_markdown(lines: Iterable[str], notes: FileNotes) -> Iterator[FileRow]:
    """An item of a list is a prompt, with the lines that continue it; all else is left out.

    Raises:
        ConfigError: A list stands inside an item: a prompt, or a part of one?
    """
    notes.noun = "item"
    row, item, is_after_blank, closing = 0, _NO_ITEM, False, ""
    for number, line in enumerate(lines, 1):
        text, indent = line.strip(), _indent(line)
        _refuse_carriage_return(text, number)
        if closing or text.startswith(_FENCES) or (number == 1 and text == _FRONT):
            # Code, or the settings at the top of the page: no lists of prompts.
            notes.outside += bool(text)
            is_end = closing and text.startswith(closing)
            closing = "" if is_end else closing or text[: len(_FRONT)]
            continue
        is_break = _BREAK.fullmatch(text) is not None
        begun = None if is_break else _ITEM.match(text)
        if begun is not None and item.parts and indent > item.indent + 1:
            raise not_understood(
                "a list inside an item: is it a prompt, or a part of the one above?",
                number,
                hint="Write it into the item's own line, or as an item of the outer list.",
            )
        if begun or is_break or text.startswith("#") or (is_after_blank and _ends(item, line)):
            if item.parts:
                yield FileRow(row, item.line, item.text)
                row += 1
            item = _NO_ITEM
        if begun is not None:
            item = _Item(number, indent, [begun[2]])
        elif item.parts:
            item.parts.append(text)
        else:
            notes.outside += bool(text)
        is_after_blank = not text
    if item.parts:
        yield FileRow(row, item.line, item.text)


class _Item(NamedTuple):
    line: int
    indent: int
    parts: list[str]

    @property
    def text(self) -> str | None:
        return " ".join(filter(None, (part.strip() for part in self.parts))) or None


_NO_ITEM = _Item(0, 0, [])


def _ends(item: _Item, line: str) -> bool:
    """A line after a blank one is no part of the item: it is not indented."""
    return bool(line.strip()) and _indent(line) <= item.indent


def _indent(line: str) -> int:
    wide = line.expandtabs(4)
    return len(wide) - len(wide.lstrip(" "))
