"""Tables for a terminal."""

from collections.abc import Collection, Iterable, Iterator, Sequence


def table_lines(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, text: Collection[str] = ()
) -> Iterator[str]:
    """Columns as wide as their cells. Numbers stand at the right; the first column, and those that
    `text` names, at the left.
    """
    lines = [list(columns), *map(list, rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(columns))]
    left = {n for n, name in enumerate(columns) if n == 0 or name in text}
    for line in lines:
        cells = [
            f"{cell:<{width}}" if n in left else f"{cell:>{width}}"
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        yield f"  {'  '.join(cells)}".rstrip()
