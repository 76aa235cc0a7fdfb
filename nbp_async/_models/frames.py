"""Rows as a data frame of pandas or polars, which are imported when first needed.

Each field of a Row is a column of the same name. The type of a column never depends on its cells:
an empty batch gives the same columns. Dollars stay exact.
"""

from collections.abc import Iterable
from decimal import Context, Decimal
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from nbp_async._models.rows import Row

if TYPE_CHECKING:
    import pandas
    import polars

PandasFrame: TypeAlias = "pandas.DataFrame"
PolarsFrame: TypeAlias = "polars.DataFrame"

_DOLLAR_STEP = Decimal("1e-12")  # finer than any price of a token
_EXACT = Context(prec=38)
_INT64 = range(-(2**63), 2**63)
_KINDS: dict[object, str] = {
    bool: "bool",
    int: "int",
    int | None: "int?",
    float: "float",
    float | None: "float",
    Decimal: "dollars",
}  # all others are text
_PANDAS = {
    "bool": "bool",
    "int": "int64",
    "int?": "Int64",
    "float": "float64",
    "dollars": "object",
    "text": "string",
}


def to_pandas(rows: Iterable[Row]) -> PandasFrame:
    """A pandas DataFrame. Dollars are Decimals in a column of objects.

    Raises:
        ImportError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError as exc:
        raise _missing("pandas") from exc
    return pandas.DataFrame(
        {name: pandas.Series(cells, dtype=_PANDAS[kind]) for name, kind, cells in _columns(rows)}
    )


def to_polars(rows: Iterable[Row]) -> PolarsFrame:
    """A polars DataFrame. Dollars are Decimal(38, 12).

    Raises:
        ImportError: polars is not installed.
    """
    try:
        import polars
    except ImportError as exc:
        raise _missing("polars") from exc
    types: dict[str, Any] = {
        "bool": polars.Boolean(),
        "int": polars.Int64(),
        "int?": polars.Int64(),
        "float": polars.Float64(),
        "dollars": polars.Decimal(38, 12),
        "text": polars.String(),
    }
    columns = []
    for name, kind, cells in _columns(rows):
        if kind == "dollars":
            cells = [cell.quantize(_DOLLAR_STEP, context=_EXACT) for cell in cells]
        columns.append(polars.Series(name, cells, types[kind]))
    return polars.DataFrame(columns)


def _columns(rows: Iterable[Row]) -> list[tuple[str, str, list[Any]]]:
    """Name, kind and cells of each column, in the order of a Row's fields."""
    rows = list(rows)
    columns = []
    for field in msgspec.structs.fields(Row):
        kind = _kind(field.type)
        cells = [getattr(row, field.name) for row in rows]
        if kind == "text":
            cells = [None if cell is None else _encodable(cell) for cell in cells]
        elif kind == "int?":  # a seed may exceed 64 bits: its cell stays empty
            cells = [cell if cell is None or cell in _INT64 else None for cell in cells]
        columns.append((field.name, kind, cells))
    return columns


def _kind(annotation: type | UnionType) -> str:
    return _KINDS.get(annotation, "text")


def _encodable(text: str) -> str:
    """The text with lone surrogates replaced, which UTF-8 cannot encode."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _missing(package: str) -> ImportError:
    return ImportError(f'to_{package}() needs {package}: pip install "nbp-async[frames]"')
