"""What parsers make of a file: its rows, in order, and what they noticed on the way."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nbp_async._base.errors import ConfigError


class FileRow(NamedTuple):
    """One row of a file.

    Attributes:
        row: Its number among the rows, from 0; rows that are skipped count.
        line: Where it begins, from 1: a line of a text, a row of a sheet.
        cells: A text, cells by the name of their column, or None if the row is to be skipped.
    """

    row: int
    line: int
    cells: str | Mapping[str, Any] | None


@dataclass(slots=True)
class FileNotes:
    """What a parser noticed beside the rows; it is whole when the last row was read.

    Attributes:
        noun: What a row is called.
        place: What `FileRow.line` is called.
        delimiter: Of a table as text; "" for other files.
        header: Names of the columns, if they stand above the rows; None where each row has its
            own.
        header_line: The line that they stand in.
        unnamed: How many columns have no name.
        outside: Lines that belong to no row.
        sheet: The sheet that was read, of a workbook; "" for other files.
        other_sheets: Sheets that were not read.
    """

    noun: str = "row"
    place: str = "line"
    delimiter: str = ""
    header: tuple[str, ...] | None = None
    header_line: int = 1
    unnamed: int = 0
    outside: int = 0
    sheet: str = ""
    other_sheets: list[str] = field(default_factory=list)

    @property
    def name_noun(self) -> str:
        """What has a name in this file."""
        return "field" if self.header is None else "column"


def not_understood(message: str, line: int = 0, hint: str = "") -> ConfigError:
    """The file cannot be read, from this line on.

    Without a line `message` says something of the file as a whole, and goes on after its name:
    "is empty."
    """
    error = ConfigError(message, hint=hint)
    error.where = f"line {line}" if line else ""
    return error
