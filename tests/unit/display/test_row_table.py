"""Items as lines of a table."""

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from nbp_async import ReadTimeout
from nbp_async._models.rows import row_of
from nbp_async.display.row_table import TITLES, RowTable, columns_of, tab_separated
from tests.unit.display.examples import failure, image

IMAGE = columns_of(row_of(image("a.png"), "000000-0123456789ab.png"))


def test_an_image_is_one_line_with_its_file() -> None:
    assert IMAGE == (
        "1",
        "image",
        "1024×1024",
        "$0.134",
        "40 s",
        "a red bicycle",
        "000000-0123456789ab.png",
    )


def test_a_failure_says_why() -> None:
    cells = columns_of(row_of(failure(ReadTimeout("nothing\tcame\n"), "maybe", text="a\tb\nc")))
    assert tab_separated(cells) == "1\tunclear\t\t$0.134?\t40 s\ta b c\tReadTimeout: nothing came"


def test_a_narrow_terminal_does_without_pixels_and_seconds_and_keeps_the_file_whole() -> None:
    assert "1024×1024" in RowTable(120).line(IMAGE).plain
    narrow = RowTable(80).line(IMAGE).plain
    assert "1024×1024" not in narrow
    assert narrow.endswith("000000-0123456789ab.png")
    assert "pixels" not in RowTable(80).heading().plain


def test_columns_stand_below_each_other_where_characters_are_lacking() -> None:
    table = RowTable(80, "ascii")
    cells = (*IMAGE[:5], "自行车 with a very long text · and more of it", "|")
    line = table.line(cells).plain
    assert line.isascii()
    assert "\\u81ea\\u884c\\u8f66 wit...  |" in line
    assert line.index("|") == table.heading().plain.index("file or")


@given(st.tuples(*[st.text("aé字 ·", max_size=60)] * len(TITLES)), st.integers(40, 200))
def test_no_line_is_wider_than_the_terminal(cells: tuple[str, ...], width: int) -> None:
    assert cell_len(RowTable(width).line(cells).plain) <= width


@given(st.text("aé字 ·", max_size=60), st.integers(60, 200))
def test_columns_stand_one_under_the_other(prompt: str, width: int) -> None:
    cells = (*IMAGE[:5], prompt, "|")
    line, heading = RowTable(width).line(cells).plain, RowTable(width).heading().plain
    assert cell_len(line[: line.index("|")]) == cell_len(heading[: heading.index("file or")])
