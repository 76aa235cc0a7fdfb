"""Excel workbooks and Parquet files."""

import io
import sys
from datetime import time
from pathlib import Path
from typing import Any

import polars
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from nbp_async import ConfigError, read_prompts
from tests.unit.prompt_files import asked, read, refused

Sheets = dict[str, list[list[Any]]]


def workbook(sheets: Sheets, hidden: str = "", first_row: int = 0) -> bytes:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True, "strings_to_formulas": False}) as book:
        clock = book.add_format({"num_format": "hh:mm"})
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            if name == hidden:
                sheet.hide()
            for row, cells in enumerate(rows, first_row):
                for column, cell in enumerate(cells):
                    if isinstance(cell, str):
                        sheet.write_string(row, column, cell)
                    elif cell is not None:
                        sheet.write(row, column, cell, *[clock] * isinstance(cell, time))
    return file.getvalue()


def parquet(columns: dict[str, list[Any]]) -> bytes:
    file = io.BytesIO()
    polars.DataFrame(columns).write_parquet(file)
    return file.getvalue()


ROWS: list[list[Any]] = [
    ["SKU", "Prompt", "Size", "Aspect Ratio", "N"],
    [17, "a red bicycle", "1K", time(16, 9), 2],
    [18, None, "4K"],
    [],
    [19, 42, None, "1:1", None],
]
MISSPELT: list[list[Any]] = [["prompt", "sise"], ["a"]]
ASKED = [
    {"text": "a red bicycle", "size": "1K", "aspect_ratio": "16:9", "n": 2, "row": 0},
    {"text": "42", "aspect_ratio": "1:1", "row": 3},
]


def test_a_workbook_is_its_first_visible_sheet_with_cells() -> None:
    sheets: Sheets = {"Empty": [], "Notes": [["x"]], "Prompts": ROWS, "Prices": [["a"]]}
    file = read("shop.xlsx", workbook(sheets, hidden="Notes"))
    assert [asked(prompt) for prompt in file] == ASKED
    assert str(file).endswith(
        "shop.xlsx: 4 rows, sheet 'Prompts'; uses Prompt, Size, Aspect Ratio, N; ignores SKU; "
        "leaves out sheet 'Prices'; 2 rows without text skipped"
    )
    assert file.facts["sheet"] == "Prompts"
    assert file.images == 3


def test_mistakes_in_a_workbook_have_the_number_of_their_row_in_the_sheet() -> None:
    rows: list[list[Any]] = [["prompt", "Seed"], ["a", 7], ["b", "x"]]
    said = refused("p.xlsx", workbook({"A": rows}, first_row=2))
    assert said.startswith("p.xlsx, row 5 (Seed): seed='x': must be a whole number")
    said = refused("p.xlsx", workbook({"A": [["titel"], ["a"], ["b"]], "B": []}), column="title")
    assert said.startswith("p.xlsx, row 1: no column 'title'; did you mean 'titel'?")
    assert "did you mean 'size'?" in refused("p.xlsx", workbook({"A": MISSPELT}))


def test_a_parquet_file_is_its_rows(tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {
        "prompt": ["a red bicycle", None, "a lamp"],
        "size": ["1K", "4K", None],
        "n": [2, None, None],
        "references": [["a.png", "b.png"], None, None],
        "price": [1.5, 2.5, 3.5],
    }
    file = read("p.parquet", parquet(columns))
    assert [asked(prompt) for prompt in file] == [
        {"text": "a red bicycle", "size": "1K", "n": 2, "row": 0}
        | {"references": ("a.png", "b.png")},
        {"text": "a lamp", "row": 2},
    ]
    assert str(file).endswith(
        "p.parquet: 3 rows; uses prompt, size, n, references; ignores price; "
        "1 row without text skipped"
    )
    said = refused("p.parquet", parquet({"prompt": ["a", "b"], "n": [1, 1000]}))
    assert said.startswith("p.parquet, row 2: n=1000")


def test_a_long_parquet_file_is_read_in_slices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nbp_async._prompt_files.workbooks._SLICE", 2)
    monkeypatch.setattr("nbp_async._prompt_files.file_content._MOST_KEPT", 10)
    path = tmp_path / "p.parquet"
    path.write_bytes(parquet({"text": list("abcd")}))
    assert [(p.row, p.text) for p in read_prompts(path)] == list(enumerate("abcd"))


@pytest.mark.parametrize("ending", ["xlsx", "parquet"])
@pytest.mark.parametrize("content", [b"prompt\na\n", b"PK\x03\x04rest", b"PAR1restPAR1", b""])
def test_what_is_none_is_refused(ending: str, content: bytes) -> None:
    said = refused(f"p.{ending}", content)
    assert said.startswith((f"p.{ending} is not a", f"p.{ending} is empty"))


@pytest.mark.parametrize("sheets", [{"A": []}, {"A": [["prompt"]]}])
def test_a_workbook_without_prompts_is_refused(sheets: Sheets) -> None:
    assert refused("p.xlsx", workbook(sheets)).startswith("p.xlsx has no prompts")


@pytest.mark.parametrize(("ending", "module"), [("xlsx", "python_calamine"), ("parquet", "polars")])
def test_a_package_that_is_missing_is_named(
    ending: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    said = refused(f"p.{ending}", b"PK\x03\x04")
    assert 'Nothing was sent. pip install "nbp-async[frames]" brings it.' in said


cells = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))


@settings(max_examples=12)
@given(st.lists(cells, min_size=1, max_size=8))
def test_what_was_written_is_read_back_but_for_spaces_around_it(texts: list[str]) -> None:
    texts = [*texts, "last"]
    wanted = [(row, text.strip()) for row, text in enumerate(texts) if text.strip()]
    rows: list[list[Any]] = [["prompt"], *([text] for text in texts)]
    book = workbook({"A": rows})
    for name, content in (("p.xlsx", book), ("p.parquet", parquet({"prompt": texts}))):
        assert [(p.row, p.text) for p in read(name, content)] == wanted


BOOK, TABLE = workbook({"Prompts": ROWS}), parquet({"prompt": ["a", "b"], "n": [1, 2]})


@settings(max_examples=25)
@given(st.sampled_from([("xlsx", BOOK), ("parquet", TABLE)]), st.data())
def test_a_damaged_file_is_read_or_refused(file: tuple[str, bytes], data: st.DataObject) -> None:
    ending, content = file
    at = data.draw(st.integers(0, len(content) - 1))
    damage = data.draw(st.binary(max_size=8))
    cut = data.draw(st.integers(0, len(content)))
    content = (content[:at] + damage + content[at + len(damage) :])[:cut]
    try:
        list(read(f"p.{ending}", content))
    except ConfigError as exc:
        assert f"p.{ending}" in str(exc)
