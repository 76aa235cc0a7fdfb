"""Prompts that come as a column or a table of pandas or polars.

Neither is imported: who gives a table has imported what it is made of. Columns are taken out as
lists; rows become prompts one by one, when they are asked for.
"""

import sys
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, overload

from nbp_async._errors import ConfigError
from nbp_async._near import meant
from nbp_async._prompts import Prompt

_TEXTS = ("text", "prompt")
_KNOWN = (*Prompt.__struct_fields__, "prompt")
_WHOLE = ("n", "seed")  # whole numbers, which a column with gaps holds as floats
_SHOWN = 8  # columns that a message names


class Frame(Protocol):
    """A DataFrame of pandas or polars: a row for each prompt."""

    @property
    def columns(self) -> Any: ...

    def __len__(self) -> int: ...


class Table(Sequence[Any]):
    """Prompts from the rows of a table; None stands for a row without a text.

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

    def where(self, place: int) -> str:
        """What people call the row at `place`."""
        label = self._labels[place] if self._labels is not None else place
        return f"prompts[{place}]" + (f" (row {label!r})" if label != place else "")

    def _row(self, place: int) -> Any:
        if None in self._columns:
            cell = self._cells[place]
            return None if _is_missing(cell) else cell
        row = {
            str(name): _fitted(str(name), cells[place])
            for name, cells in self._columns.items()
            if not _is_missing(cells[place])
        }
        return row if row.keys() & {*_TEXTS} else None


def table_of(prompts: object) -> Table | None:
    """Prompts that are a Series or a DataFrame, as a sequence; None for anything else.

    Raises:
        ConfigError: It is a DataFrame that has no prompts, or more than that.
    """
    pandas, polars = sys.modules.get("pandas"), sys.modules.get("polars")
    if pandas is not None and isinstance(prompts, pandas.Series | pandas.Index):
        labels = prompts.index.tolist() if isinstance(prompts, pandas.Series) else None
        return Table({None: prompts.tolist()}, labels)
    if pandas is not None and isinstance(prompts, pandas.DataFrame):
        names = _checked([str(name) for name in prompts.columns])
        cells = (prompts.iloc[:, place].tolist() for place in range(len(names)))
        return Table(dict(zip(names, cells, strict=True)), prompts.index.tolist())
    if polars is not None and isinstance(prompts, polars.Series):
        return Table({None: prompts.to_list()}, None)
    if polars is not None and isinstance(prompts, polars.DataFrame):
        return Table({name: prompts[name].to_list() for name in _checked(prompts.columns)}, None)
    if polars is not None and isinstance(prompts, polars.LazyFrame):
        raise ConfigError("A LazyFrame has no rows yet: write frame.collect(). Nothing was sent.")
    return None


def _checked(names: list[str]) -> list[str]:
    """The names, if prompts can have these and no others."""
    if not {*names} & {*_TEXTS}:
        has = ", ".join(map(repr, names[:_SHOWN])) + (", …" if len(names) > _SHOWN else "")
        raise ConfigError(
            f"A table has its prompts in a column 'prompt'; this one has {has or 'none'}. Give the "
            "column that is meant: gen.many(frame['NAME']). Nothing was sent."
        )
    unknown = [name for name in names if name not in _KNOWN]
    if unknown:
        near = meant(unknown[0], _KNOWN)
        known = [name for name in dict.fromkeys(names) if name in _KNOWN]
        raise ConfigError(
            f"A table of prompts has an unknown column {unknown[0]!r}: "
            f"{near}{'It' if near else 'it'} may have {', '.join(_KNOWN)}. "
            f"Give only those: gen.many(frame[{known}]). Nothing was sent."
        )
    if len({*names}) < len(names):
        raise ConfigError("A table has two columns of the same name. Nothing was sent.")
    return names


def _is_missing(cell: object) -> bool:
    """None, NaN, and what pandas has for it."""
    if isinstance(cell, float):
        return cell != cell
    return cell is None or type(cell).__name__ in ("NAType", "NaTType")


def _fitted(name: str, cell: Any) -> Any:
    """The cell as an option takes it."""
    if name in _WHOLE and isinstance(cell, float) and cell.is_integer():
        return int(cell)
    if name == "references" and isinstance(cell, str):
        return [cell]
    return cell
