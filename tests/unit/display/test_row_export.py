"""Rows as CSV and JSON that other programs read back."""

import csv
import io
import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from nbp_async import ReadTimeout, Row
from nbp_async._models.rows import row_of
from nbp_async.display.row_export import cell, write_csv, write_json
from tests.unit.display.examples import failure, image

FIELDS = [field.name for field in msgspec.structs.fields(Row)]
IMAGE = row_of(image("a.png"), "a.png")
FAILURE = row_of(failure(ReadTimeout("no answer"), "maybe", index=1))
texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))
rows = st.lists(
    st.builds(
        lambda prompt, message: msgspec.structs.replace(FAILURE, prompt=prompt, message=message),
        texts,
        texts,
    ),
    max_size=4,
)


def as_csv(rows: list[Row]) -> str:
    file = io.BytesIO()
    write_csv(rows, file)
    return file.getvalue().decode("utf-8")


def as_json(rows: list[Row]) -> Any:
    file = io.BytesIO()
    write_json(rows, file)
    return json.loads(file.getvalue())


def test_csv_has_a_heading_even_without_a_row() -> None:
    assert as_csv([]) == ",".join(FIELDS) + "\r\n"
    assert as_json([]) == []


def test_a_row_is_written_with_its_types() -> None:
    (found,) = csv.DictReader(io.StringIO(as_csv([IMAGE]), newline=""))
    assert (found["index"], found["ok"], found["spent_usd"]) == ("0", "true", "0.134")
    assert (found["width"], found["seed"], found["url_expires"]) == ("1024", "", "")
    assert as_json([IMAGE])[0]["spent_usd"] == 0.134


def test_no_text_becomes_a_formula_and_numbers_stay_numbers() -> None:
    for text in ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"):
        assert cell(text) == f"'{text}"
    assert [cell(-1), cell(-1.5), cell("a=1"), cell("")] == ["-1", "-1.5", "a=1", ""]


@given(rows)
def test_what_was_written_is_read_back(written: list[Row]) -> None:
    found = list(csv.DictReader(io.StringIO(as_csv(written), newline="")))
    assert [row["prompt"] for row in found] == [cell(row.prompt) for row in written]
    assert [row["message"] for row in found] == [cell(row.message) for row in written]
    assert [row["prompt"] for row in as_json(written)] == [row.prompt for row in written]
    assert as_csv(written).count("\r\n") >= len(written) + 1
