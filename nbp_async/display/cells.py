"""Rows as CSV and as JSON, written one after the other: memory does not grow with them."""

import csv
import io
from collections.abc import Iterable
from decimal import Decimal
from typing import BinaryIO

import msgspec

from nbp_async._rows import Row

_FIELDS = tuple(field.name for field in msgspec.structs.fields(Row))
_STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def write_csv(rows: Iterable[Row], file: BinaryIO) -> None:
    """CSV as RFC 4180 has it, in UTF-8, with a heading; what does not apply is an empty cell."""
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
    """One JSON array, an object on each line. Dollars are numbers."""
    before = b"[\n"
    for row in rows:
        file.write(before + row.json())
        before = b",\n"
    file.write(b"[]\n" if before == b"[\n" else b"\n]\n")


def cell(value: object) -> str:
    """A value for a spreadsheet; text that it would take for a formula has a ' before it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    text = str(value)
    if isinstance(value, str) and text.startswith(_STARTS_A_FORMULA):
        return f"'{text}"
    return text
