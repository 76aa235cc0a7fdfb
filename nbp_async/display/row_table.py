"""The items of a run as lines: columns that fit a terminal, or tabs for other programs."""

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from nbp_async._base.text import format_seconds, printable
from nbp_async._models.rows import Row
from nbp_async.display.run_summary import cost_of, number_of, state_of
from nbp_async.display.spelling import spell

TITLES = ("number", "state", "pixels", "dollars", "took", "prompt", "file or reason")
_COLOURS = {"image": "green", "failed": "red", "lost": "red", "unclear": "yellow", "link": "cyan"}
_GAP = "  "
_WIDTHS = (6, 9, 9, 8, 8)  # terminal cells of the columns before the prompt
_RIGHT_ALIGNED = (0, 3, 4)
_DROPPED_FIRST = (2, 4)  # columns that a narrow terminal does without
_PROMPT, _FILE = 26, 24  # terminal cells that the last two columns need


def columns_of(row: Row) -> tuple[str, ...]:
    """The columns of an item; text from outside is on one line and without control characters."""
    pixels = f"{row.width}×{row.height}" if row.width else ""
    failed = f"{row.reason}: {row.message}" if row.reason else row.message
    return (
        str(number_of(row)),
        state_of(row),
        pixels,
        cost_of(row),
        format_seconds(row.service_s) if row.service_s else "",
        printable(row.prompt),
        printable(row.path or (row.url if row.ok else failed)),
    )


def tab_separated(columns: tuple[str, ...]) -> str:
    """A line for programs: all columns, whole."""
    return "\t".join(columns)


class RowTable:
    """Lines for a terminal that is `width` cells wide, and has the characters of an encoding."""

    def __init__(self, width: int, encoding: str = "utf-8") -> None:
        self._encoding = encoding
        self._more = spell("…", encoding)  # stands where a text was cut
        self._shown = list(range(len(_WIDTHS)))
        for column in _DROPPED_FIRST:
            if self._room(width) < _PROMPT + len(_GAP) + _FILE:
                self._shown.remove(column)
        room = max(0, self._room(width) - len(_GAP))
        self._file = max(room // 2, _FILE if room >= _PROMPT + _FILE else 0)
        self._prompt = room - self._file

    def heading(self) -> Text:
        return Text(self._line(TITLES), "dim")

    def line(self, columns: tuple[str, ...]) -> Text:
        text = Text(self._line(columns))
        text.highlight_words([columns[1]], _COLOURS.get(columns[1], "dim"))
        return text

    def _room(self, width: int) -> int:
        """What the fixed columns leave for the prompt and the file."""
        return width - sum(_WIDTHS[column] + len(_GAP) for column in self._shown)

    def _line(self, columns: tuple[str, ...]) -> str:
        fit = self._fit
        parts = [fit(columns[c], _WIDTHS[c], right=c in _RIGHT_ALIGNED) for c in self._shown]
        parts += [fit(columns[-2], self._prompt), fit(columns[-1], self._file)]
        return _GAP.join(parts).rstrip()

    def _fit(self, text: str, width: int, *, right: bool = False) -> str:
        """The text in exactly so many terminal cells; a Chinese character takes two."""
        text = spell(text, self._encoding)
        taken, more = cell_len(text), self._more[:width]
        if taken > width:
            return set_cell_size(text, width - len(more)) + more
        return " " * (width - taken) + text if right else text + " " * (width - taken)
