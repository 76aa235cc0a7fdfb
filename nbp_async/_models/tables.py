"""Prompts from a column or a table of pandas or polars.

Neither is imported here: a caller who has a table has imported its package. Columns are copied as
lists; rows become prompts one by one, when they are read.
"""

import sys
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, overload

from nbp_async._base.errors import ConfigError
from nbp_async._base.suggestions import suggest
from nbp_async._models.prompts import Prompt

_TEXT_COLUMNS = ("text", "prompt")
_COLUMNS = (*Prompt.__struct_fields__, "prompt")
_INTEGER_COLUMNS = ("n", "seed")  # floats in a column with gaps
_MAX_NAMED = 8  # columns that a message names


class Frame(Protocol):
    """A DataFrame of pandas or polars: a row for each prompt."""

    @property
    def columns(self) -> Any: ...

    def __len__(self) -> int: ...


class Table(Sequence[Any]):
    """Prompts from the rows of a table; None for a row without a text.

    Args:
        columns: Cells by the name of their column; `None` names the only one.
        labels: What the table calls its rows, or None for their numbers.
    """

    def __init__(self, columns: dict[str | None, list[Any]], labels: list[Any] | None) -> None:
        self._columns = columns
        self._labels = labels
        self._cells = next(iter(columns.values()), [])

    def __len__(self) -> int:
        return len(self._cells)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self._row(place) for place in range(*index.indices(len(self)))]
        return self._row(range(len(self))[index])

    def __iter__(self) -> Iterator[Any]:
        return map(self._row, range(len(self)))

    def row_label(self, index: int) -> str:
        """The table's own label of a row, if it is not the row's position; else ""."""
        label = self._labels[index] if self._labels is not None else index
        return repr(label) if label != index else ""

    def _row(self, place: int) -> Any:
        if None in self._columns:
            cell = self._cells[place]
            return None if _is_missing(cell) else cell
        row = {
            str(name): _convert(str(name), cells[place])
            for name, cells in self._columns.items()
            if not _is_missing(cells[place])
        }
        return row if row.keys() & {*_TEXT_COLUMNS} else None


def table_of(prompts: object) -> Table | None:
    """A Series or a DataFrame as a sequence of prompts; None for anything else.

    Raises:
        ConfigError: It is a DataFrame without prompts, or with unknown columns.
    """
    pandas, polars = sys.modules.get("pandas"), sys.modules.get("polars")
    if pandas is not None and isinstance(prompts, pandas.Series | pandas.Index):
        labels = prompts.index.tolist() if isinstance(prompts, pandas.Series) else None
        return Table({None: prompts.tolist()}, labels)
    if pandas is not None and isinstance(prompts, pandas.DataFrame):
        names = _check_columns([str(name) for name in prompts.columns])
        cells = (prompts.iloc[:, place].tolist() for place in range(len(names)))
        return Table(dict(zip(names, cells, strict=True)), prompts.index.tolist())
    if polars is not None and isinstance(prompts, polars.Series):
        return Table({None: prompts.to_list()}, None)
    if polars is not None and isinstance(prompts, polars.DataFrame):
        return Table(
            {name: prompts[name].to_list() for name in _check_columns(prompts.columns)}, None
        )
    if polars is not None and isinstance(prompts, polars.LazyFrame):
        raise ConfigError("A LazyFrame has no rows yet: pass frame.collect(). Nothing was sent.")
    return None


def _check_columns(names: list[str]) -> list[str]:
    """The names, if each is a field of a prompt, and one of them its text."""
    if not {*names} & {*_TEXT_COLUMNS}:
        has = ", ".join(map(repr, names[:_MAX_NAMED])) + (", …" if len(names) > _MAX_NAMED else "")
        raise ConfigError(
            f"A table needs a column 'prompt'; this one has {has or 'none'}. Pass the column of "
            "the prompts: gen.many(frame['NAME']). Nothing was sent."
        )
    unknown = [name for name in names if name not in _COLUMNS]
    if unknown:
        near = suggest(unknown[0], _COLUMNS)
        known = [name for name in dict.fromkeys(names) if name in _COLUMNS]
        raise ConfigError(
            f"A table of prompts has an unknown column {unknown[0]!r}: "
            f"{near}{'It' if near else 'it'} may have {', '.join(_COLUMNS)}. "
            f"Pass only those: gen.many(frame[{known}]). Nothing was sent."
        )
    if len({*names}) < len(names):
        raise ConfigError("A table has two columns of the same name. Nothing was sent.")
    return names


def _is_missing(cell: object) -> bool:
    """None, NaN, or a missing value of pandas."""
    if isinstance(cell, float):
        return cell != cell
    return cell is None or type(cell).__name__ in ("NAType", "NaTType")


def _convert(name: str, cell: Any) -> Any:
    """The cell in the type that its option takes."""
    if name in _INTEGER_COLUMNS and isinstance(cell, float) and cell.is_integer():
        return int(cell)
    if name == "references" and isinstance(cell, str):
        return [cell]
    return cell
