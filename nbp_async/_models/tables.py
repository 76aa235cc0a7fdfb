"""Prompts from a column or a table of pandas or polars.

Neither is imported here: a caller who has a table has imported its package. Columns are copied as
lists; rows become prompts one by one, when they are read.
"""

import sys
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, overload

from nbp_async._base.errors import ConfigError, NbpError
from nbp_async._base.suggestions import suggest
from nbp_async._models.prompt_columns import (
    FIELDS,
    converted,
    fields_by_name,
    is_missing,
    names_listed,
)


class Frame(Protocol):
    """A DataFrame of pandas or polars: a row for each prompt."""

    @property
    def columns(self) -> Any: ...

    def __len__(self) -> int: ...


class PromptRows(Sequence[Any]):
    """Prompts that stand in the rows of a table or a file. All are known before they are drawn."""

    @abstractmethod
    def locate(self, error: NbpError, index: int) -> None:
        """Let an error say where the prompt at this position stands."""


class Table(PromptRows):
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

    def locate(self, error: NbpError, index: int) -> None:
        label = self._labels[index] if self._labels is not None else index
        error.row = index
        if label != index:
            error.where = f"prompts[{index}] (row {label!r})"

    def _row(self, place: int) -> Any:
        if None in self._columns:
            cell = self._cells[place]
            return None if is_missing(cell) else cell
        row = {
            str(field): converted(str(field), cells[place])
            for field, cells in self._columns.items()
            if not is_missing(cells[place])
        }
        return row if "text" in row else None


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
        fields = _fields([str(name) for name in prompts.columns])
        cells = (prompts.iloc[:, place].tolist() for place in range(len(fields)))
        return Table(dict(zip(fields, cells, strict=True)), prompts.index.tolist())
    if polars is not None and isinstance(prompts, polars.Series):
        return Table({None: prompts.to_list()}, None)
    if polars is not None and isinstance(prompts, polars.DataFrame):
        fields = _fields(prompts.columns)
        cells = (prompts[name].to_list() for name in prompts.columns)
        return Table(dict(zip(fields, cells, strict=True)), None)
    if polars is not None and isinstance(prompts, polars.LazyFrame):
        raise ConfigError("A LazyFrame has no rows yet: pass frame.collect(). Nothing was sent.")
    return None


def _fields(names: list[str]) -> list[str | None]:
    """The field of a prompt that each column holds, if each holds one, and one of them its text."""
    if len({*names}) < len(names):
        raise ConfigError("A table has two columns of the same name. Nothing was sent.")
    found = fields_by_name(names)
    if "text" not in found.values():
        raise ConfigError(
            f"A table needs a column 'prompt'; this one has {names_listed(map(repr, names))}. Pass "
            "the column of the prompts: gen.many(frame['NAME']). Nothing was sent."
        )
    unknown = [name for name in names if name not in found]
    if unknown:
        near = suggest(unknown[0], FIELDS)
        raise ConfigError(
            f"A table of prompts has an unknown column {unknown[0]!r}: "
            f"{near}{'It' if near else 'it'} may have {', '.join(FIELDS)}. "
            f"Pass only those: gen.many(frame[{list(found)}]). Nothing was sent."
        )
    return [found[name] for name in names]
