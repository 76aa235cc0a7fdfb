"""Rows as CSV and as JSON, written one at a time: memory does not grow with them."""

import csv
import io
from collections.abc import Iterable
from decimal import Decimal
from typing import BinaryIO

import msgspec

from nbp_async._models.frames import to_polars
from nbp_async._models.rows import Row

_FIELDS = tuple(field.name for field in msgspec.structs.fields(Row))
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def write_csv(rows: Iterable[Row], file: BinaryIO) -> None:
    """CSV as in RFC 4180, in UTF-8, with a heading; what does not apply is an empty cell."""
    text = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="")
    try:
        writer = csv.writer(text)
        writer.writerow(_FIELDS)
        for row in rows:
            writer.writerow([cell(getattr(row, name)) for name in _FIELDS])
        text.flush()
    finally:
        text.detach()


def write_json(rows: Iterable[Row], file: BinaryIO) -> None:
    """One JSON array with an object on each line. Dollars are numbers."""
    before = b"[\n"
    for row in rows:
        file.write(before + row.json())
        before = b",\n"
    file.write(b"[]\n" if before == b"[\n" else b"\n]\n")


def write_parquet(rows: Iterable[Row], file: BinaryIO) -> None:
    """Parquet with typed columns, and dollars as exact decimals. All rows are in memory.

    Raises:
        ImportError: polars is missing (extra [frames]).
    """
    to_polars(rows).write_parquet(file)


def cell(value: object) -> str:
    """A value for a spreadsheet; text that it would read as a formula gets a leading '."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    text = str(value)
    if isinstance(value, str) and text.startswith(_FORMULA_STARTS):
        return f"'{text}"
    return text
