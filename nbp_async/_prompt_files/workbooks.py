"""Prompts in an Excel workbook or a Parquet file. Their packages are imported when needed."""

import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from nbp_async._base.errors import ConfigError
from nbp_async._base.text import printable
from nbp_async._prompt_files.file_rows import FileNotes, FileRow, not_understood

_SLICE = 10_000  # rows of a Parquet file that are in memory at a time


def rows_of_xlsx(source: Path | bytes, notes: FileNotes) -> Iterator[FileRow]:
    """A row of the first visible sheet that has cells, below the row with the names of columns.

    Raises:
        ConfigError: It is no workbook, or the package that reads it is not installed.
    """
    try:
        import python_calamine as calamine
    except ImportError as exc:
        raise _missing("python-calamine") from exc
    notes.place = "row"
    with _as_refused("an Excel workbook (.xlsx)", calamine.CalamineError):
        given = BytesIO(source) if isinstance(source, bytes) else source
        book = calamine.CalamineWorkbook.from_object(given)
        visible = calamine.SheetVisibleEnum.Visible
        names = [sheet.name for sheet in book.sheets_metadata if sheet.visible == visible]
        filled = [name for name in names if book.get_sheet_by_name(name).start is not None]
        if not filled:
            return
        notes.sheet, notes.other_sheets = filled[0], filled[1:]
        sheet = book.get_sheet_by_name(notes.sheet)
        rows = enumerate(sheet.iter_rows(), 1)
    yield from _below_header(rows, notes)


def rows_of_parquet(source: Path | bytes, notes: FileNotes) -> Iterator[FileRow]:
    """A row, some thousand of which are in memory at a time.

    Raises:
        ConfigError: It is no Parquet file, or the package that reads it is not installed.
    """
    try:
        import polars
        from polars.exceptions import PolarsError
    except ImportError as exc:
        raise _missing("polars") from exc
    notes.place = "row"
    with _as_refused("a Parquet file", PolarsError):
        given = BytesIO(source) if isinstance(source, bytes) else source
        lazy = polars.scan_parquet(given)
        notes.header = tuple(lazy.collect_schema().names())
    for start in itertools.count(step=_SLICE):
        with _as_refused("a Parquet file", PolarsError):
            frame = lazy.slice(start, _SLICE).collect()
        for row, cells in enumerate(frame.iter_rows(named=True), start):
            yield FileRow(row, row + 1, cells)
        if len(frame) < _SLICE:
            return


def _below_header(rows: Iterable[tuple[int, list[Any]]], notes: FileNotes) -> Iterator[FileRow]:
    rows = iter(rows)
    names: list[str] = []
    for number, cells in rows:
        names = [str(cell).strip() for cell in cells]
        if any(names):
            notes.header_line = number
            break
    notes.header, notes.unnamed = tuple(filter(None, names)), names.count("")
    for row, (number, cells) in enumerate(rows):
        yield FileRow(row, number, dict(zip(names, cells, strict=False)))


@contextmanager
def _as_refused(what: str, error: type[Exception]) -> Iterator[None]:
    """Errors of a reader, its panics included, say that the file is not what its name says."""
    try:
        yield
    except error as exc:
        raise not_understood(f"is not {what}: {printable(str(exc), 100)}.") from exc
    except BaseException as exc:
        if type(exc).__name__ != "PanicException":  # of Rust; no class of it can be imported
            raise
        raise not_understood(f"is not {what}, or damaged.") from exc


def _missing(package: str) -> ConfigError:
    return not_understood(f"needs {package}.", hint='pip install "nbp-async[frames]" brings it.')
