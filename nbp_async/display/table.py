"""A run's items as lines: in columns that fit a terminal, or between tabs for other programs."""

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from nbp_async._rows import Row
from nbp_async._words import printable, span
from nbp_async.display.standing import dollars_of, word_of

TITLES = ("number", "state", "pixels", "dollars", "took", "prompt", "file or reason")
_COLOURS = {"image": "green", "failed": "red", "lost": "red", "unclear": "yellow", "link": "cyan"}
_GAP = "  "
_FIXED = (6, 8, 9, 8, 8)  # characters of the columns before the prompt
_RIGHT = (0, 3, 4)  # columns that stand at the right
_FIRST_TO_GO = (2, 4)  # columns that a narrow terminal does without
_PROMPT, _FILE = 26, 24  # characters that the last two columns need


def cells_of(row: Row) -> tuple[str, ...]:
    """The columns of an item: text from outside is on one line, and steers no terminal."""
    pixels = f"{row.width}×{row.height}" if row.width else ""
    failed = f"{row.reason}: {row.message}" if row.reason else row.message
    return (
        str(row.index + 1),
        word_of(row),
        pixels,
        dollars_of(row),
        span(row.service_s) if row.service_s else "",
        printable(row.prompt),
        printable(row.path or (row.url if row.ok else failed)),
    )


def plain(cells: tuple[str, ...]) -> str:
    """A line for programs: all columns, whole, with a tab between two."""
    return "\t".join(cells)


class Fitted:
    """Lines for a terminal that is `width` characters wide."""

    def __init__(self, width: int) -> None:
        self._shown = list(range(len(_FIXED)))
        for column in _FIRST_TO_GO:
            if self._left(width) < _PROMPT + len(_GAP) + _FILE:
                self._shown.remove(column)
        left = max(0, self._left(width) - len(_GAP))
        self._rest = max(left // 2, _FILE if left >= _PROMPT + _FILE else 0)
        self._prompt = left - self._rest

    def heading(self) -> Text:
        return Text(self._line(TITLES), "dim")

    def line(self, cells: tuple[str, ...]) -> Text:
        text = Text(self._line(cells))
        text.highlight_words([cells[1]], _COLOURS.get(cells[1], "dim"))
        return text

    def _left(self, width: int) -> int:
        return width - sum(_FIXED[column] + len(_GAP) for column in self._shown)

    def _line(self, cells: tuple[str, ...]) -> str:
        parts = [_set(cells[c], _FIXED[c], right=c in _RIGHT) for c in self._shown]
        parts += [_set(cells[-2], self._prompt), _set(cells[-1], self._rest)]
        return _GAP.join(parts).rstrip()


def _set(text: str, width: int, *, right: bool = False) -> str:
    """The text in exactly so many cells of a terminal; Chinese signs take two."""
    taken = cell_len(text)
    if taken > width:
        return set_cell_size(text, width - 1) + "…" if width else ""
    return " " * (width - taken) + text if right else text + " " * (width - taken)
