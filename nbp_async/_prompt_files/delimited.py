"""Prompts in a table as text: CSV, and TSV, which is the same with tabs."""

import csv
import re
from collections.abc import Iterable, Iterator

from nbp_async._base.errors import ConfigError
from nbp_async._prompt_files.file_rows import FileNotes, FileRow, not_understood

DELIMITERS = ",;\t|"
_SEPARATOR_LINE = re.compile(r"\"?sep=([,;\t|])\"?", re.IGNORECASE)  # Excel writes and reads it
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_MOST_LINES = 30  # of one cell: more were swallowed by a quote that nobody meant


def rows_of_csv(lines: Iterable[str], notes: FileNotes) -> Iterator[FileRow]:
    """A row is a prompt and its options, by the names in the first line.

    Raises:
        ConfigError: The header has several delimiters, a row has more cells than the header has
            names, or a quote is not closed or swallows lines.
    """
    return _rows(lines, notes, preferred="")


def rows_of_tsv(lines: Iterable[str], notes: FileNotes) -> Iterator[FileRow]:
    """The same, where a tab in the header is the delimiter whatever else is there."""
    return _rows(lines, notes, preferred="\t")


def delimiter_name(delimiter: str) -> str:
    """The delimiter as a message shows it."""
    return "tab" if delimiter == "\t" else f"'{delimiter}'"


def _rows(lines: Iterable[str], notes: FileNotes, preferred: str) -> Iterator[FileRow]:
    source = _CountedLines(lines)
    first = source.first()
    if not first:
        return
    said = _SEPARATOR_LINE.fullmatch(first.strip())
    notes.delimiter = said[1] if said else _delimiter_of(first, source.number, preferred)
    if said is None:
        source.give_again(first)
    records = _records(source, notes.delimiter or ",")
    notes.header_line, header = next(records, (1, []))
    names = [name.strip() for name in header]
    notes.header, notes.unnamed = tuple(filter(None, names)), names.count("")
    for row, (line, cells) in enumerate(records):
        if any(cell.strip() for cell in cells[len(names) :]):
            mark = delimiter_name(notes.delimiter or ",")
            raise not_understood(
                f"{len(cells)} cells, and the header has {len(names)}.",
                line,
                hint=f'A text that has {mark} in it needs quotes around it: "…".',
            )
        yield FileRow(row, line, dict(zip(names, cells, strict=False)))


class _CountedLines:
    """Lines, of which the last can be given again; `number` is that of the last, from 1."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._again: list[str] = []
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.pop() if self._again else next(self._lines)
        self.number += 1
        return line

    def first(self) -> str:
        """The first line that is not blank, or ""."""
        return next((line for line in self if line.strip()), "")

    def give_again(self, line: str) -> None:
        self.number -= 1
        self._again.append(line)


def _delimiter_of(header: str, line: int, preferred: str) -> str:
    bare = _QUOTED.sub("", header)
    found = [each for each in DELIMITERS if each in bare]
    if preferred in found or len(found) < 2:
        return preferred if preferred in found else "".join(found)
    raise not_understood(
        f"the header has {' and '.join(map(delimiter_name, found))}: which one separates columns?",
        line,
        hint="Put quotes around names that have one in them.",
    )


def _records(lines: _CountedLines, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The cells of each record that is not blank, with the line it begins in."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        begun = lines.number + 1
        try:
            cells = next(reader, None)
        except csv.Error as exc:
            raise _unreadable(str(exc), begun, lines.number) from None
        if cells is None:
            return
        if any(cell.count("\n") >= _MOST_LINES for cell in cells):
            raise _unreadable("", begun, lines.number)
        if cells:
            yield begun, cells


def _unreadable(why: str, begun: int, ended: int) -> ConfigError:
    if ended > begun:
        return not_understood(
            f"a quote opens here and takes in the lines to {ended}.",
            begun,
            hint='A quote that is part of a text is written twice, in quotes: "24"" wheel". '
            "Texts of many lines can be had in .jsonl.",
        )
    if "limit" in why:
        why = f"a cell has more than {csv.field_size_limit():,} characters."
    elif "new-line" in why:
        why = "a carriage return stands inside a line."
    else:
        why = 'a quote stands in a cell that is in quotes: write it twice, "24"" wheel".'
    return not_understood(why, begun)
