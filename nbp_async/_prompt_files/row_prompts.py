"""From rows of a file to prompts: which names are used and which ignored, and what cells hold."""

from collections.abc import Mapping, Sequence
from typing import Any

from nbp_async._base.errors import ConfigError, NbpError
from nbp_async._base.suggestions import suggest
from nbp_async._models.prompt_columns import (
    converted,
    fields_by_name,
    is_missing,
    no_such_name,
    squeeze,
)
from nbp_async._models.prompts import Prompt
from nbp_async._prompt_files.file_rows import FileNotes, FileRow

Names = dict[str, str]
_MOST_TEXT = 131_072  # characters of one prompt, as of a cell of Python's csv


class RowPrompts:
    """Makes prompts of the rows of one file.

    Args:
        notes: What the parser notes about the file.
        column: The column that holds the prompts; None for the usual names.
        ignore: Columns that are not used, whatever their names mean.

    Attributes:
        uses: The field of a prompt that each name stands for, in the order of the file.
        ignores: Names that stand for none.
    """

    def __init__(self, notes: FileNotes, column: str | None, ignore: Sequence[str] = ()) -> None:
        self._notes = notes
        self._column = column
        self._unseen = dict.fromkeys(ignore)
        self._ignore = ignore
        self._known: dict[tuple[str, ...], Names] = {}
        self.uses: Names = {}
        self.ignores: dict[str, None] = {}

    def prompt(self, row: FileRow) -> Prompt | None:
        """The prompt of a row; None if it has no text.

        Raises:
            ConfigError: The row is no prompt, with its line and column.
        """
        cells = {"text": row.cells} if isinstance(row.cells, str) else row.cells
        if cells is None:
            return None
        names = {} if isinstance(row.cells, str) else self._names(row.cells, row.line)
        try:
            return self._made(cells, names or {"text": "text"}, row.row)
        except ConfigError as exc:
            titles = [name for name, field in names.items() if field == exc.option]
            exc.row, exc.column = row.row, "".join(titles)
            locate(exc, self._notes, row.line)
            raise

    def _names(self, cells: Mapping[str, Any] | None, line: int) -> Names:
        notes = self._notes
        if notes.header is not None:
            return self.fields(notes.header, notes.header_line)
        return self.fields(tuple(cells or ()), line)

    def fields(self, names: tuple[str, ...], line: int) -> Names:
        """The field of each name in a row, or in the header.

        Raises:
            ConfigError: The names cannot be understood, or none is that of the text.
        """
        known = self._known.get(names)
        if known is None:
            try:
                known = self._known[names] = self._fields(names)
            except ConfigError as exc:
                if exc.column:
                    exc.remedy = {"ignore": exc.column}
                    exc.remedy_start = f"To leave a {self._notes.name_noun} out, pass"
                exc.where = f"{self._notes.place} {line}"
                raise
            self.uses |= {name: known[name] for name in names if name in known}
            self.ignores |= dict.fromkeys(name for name in names if name not in known)
        return known

    def check_ignored(self) -> None:
        """Make sure that the columns to ignore were there; to be called after the last row.

        Raises:
            ConfigError: One was not.
        """
        for name in self._unseen:
            error = no_such_name(name, (*self.uses, *self.ignores), self._notes.name_noun)
            if self._notes.header is None:
                error.args = (f"has {error.message}",)
            else:
                error.where = f"{self._notes.place} {self._notes.header_line}"
            raise error

    def _without_ignored(self, names: tuple[str, ...]) -> list[str]:
        left = list(names)
        for name in self._ignore:
            exact = [each for each in left if each == name]
            same = exact or [each for each in left if squeeze(each) == squeeze(name)]
            left = [each for each in left if each not in same]
            if same:
                self._unseen.pop(name, None)
        return left

    def _fields(self, names: tuple[str, ...]) -> Names:
        noun = self._notes.name_noun
        left = self._without_ignored(names)
        found = fields_by_name(left, self._column, noun)
        if "text" in found.values():
            return found
        if noun == "column" and len(names) == 1:
            return {names[0]: "text"}
        usual = next((name for name in ("prompt", "text") if suggest(name, left)), "prompt")
        error = no_such_name(usual, left, noun)
        error.remedy = {"column": "NAME"}
        raise error

    def _made(self, cells: Mapping[str, Any], names: Names, row: int) -> Prompt | None:
        given: dict[str, Any] = {}
        for name, field in names.items():
            cell = cells.get(name)
            if is_missing(cell) or (isinstance(cell, str) and not cell.strip()):
                continue
            given[field] = self._text(cell) if field == "text" else converted(field, cell)
        text = given.get("text")
        if isinstance(text, str) and len(text) > _MOST_TEXT:
            raise ConfigError(f"a text of {len(text):,} characters: at most {_MOST_TEXT:,} can be.")
        return None if text is None else Prompt(**given, row=row)

    def _text(self, cell: Any) -> Any:
        """Tables hold texts among spaces, and numbers that are texts; JSON says what it means."""
        if self._notes.header is None:
            return cell
        if isinstance(cell, float) and cell.is_integer():
            cell = int(cell)
        return str(cell).strip()


def locate(error: NbpError, notes: FileNotes, line: int) -> None:
    """Say where a mistake stands, its column as well if that is spelled in another way.

    The column of an option may be meant as something else: then it can be left out.
    """
    column = f" ({error.column})" if error.column and error.column != error.option else ""
    error.where = f"{notes.place} {line}{column}"
    if error.column and error.option != "text" and not error.remedy:
        error.remedy, error.hint = {"ignore": error.column}, ""
        error.remedy_start = f"If the {notes.name_noun} means something else, pass"
