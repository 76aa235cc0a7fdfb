"""Tables for a terminal."""

import textwrap
from collections.abc import Collection, Iterable, Iterator, Sequence

_START = "  "
_GAP = "  "
_NARROWEST = 20  # characters of a column that is wrapped


def table_lines(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    text: Collection[str] = (),
    width: int | None = None,
    less: Sequence[str] = (),
) -> Iterator[str]:
    """Columns as wide as their cells. Numbers stand at the right; the first column, and those that
    `text` names, at the left.

    Args:
        columns: Their names.
        rows: Their cells.
        text: Columns that hold words; the last one may be wrapped.
        width: Characters that a line may have; None for any number.
        less: Columns that a narrow terminal does without, the least important first.
    """
    lines = [list(columns), *map(list, rows)]
    less = list(less)
    while width is not None and less and _width(lines) > width:
        dropped = lines[0].index(less.pop(0))
        for line in lines:
            del line[dropped]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    left = {n for n, name in enumerate(lines[0]) if n == 0 or name in text}
    before = _width(lines) - widths[-1]
    for line in lines:
        last = [line[-1]]
        if width is not None and len(line) - 1 in left:
            last = textwrap.wrap(line[-1], max(_NARROWEST, width - before)) or [""]
        cells = [
            f"{cell:<{wide}}" if n in left else f"{cell:>{wide}}"
            for n, (cell, wide) in enumerate(zip([*line[:-1], last[0]], widths, strict=True))
        ]
        yield f"{_START}{_GAP.join(cells)}".rstrip()
        yield from (f"{'':<{before}}{more}" for more in last[1:])


def _width(lines: Sequence[Sequence[str]]) -> int:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return len(_START) + sum(widths) + len(_GAP) * (len(widths) - 1)
