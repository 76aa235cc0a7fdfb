"""Prompts out of files, and what is said of files that cannot be read."""

import pytest

from nbp_async import ConfigError
from nbp_async.cli.prompt_files import parse_prompts


def test_a_text_file_has_one_prompt_a_line() -> None:
    text = "# bikes\n\na red bicycle\r\n   a blue one  \n# the end\n"
    assert parse_prompts("prompts.txt", text) == ["a red bicycle", "a blue one"]


def test_stdin_is_text() -> None:
    assert parse_prompts("-", "a\nb\n") == ["a", "b"]


@pytest.mark.parametrize("column", ["prompt", "text"])
def test_the_usual_columns_of_a_csv_are_found(column: str) -> None:
    text = f'sku,{column}\n1,"a red bicycle, side view"\n2,\n3,"two\nlines"\n'
    assert parse_prompts("p.csv", text) == ["a red bicycle, side view", "two\nlines"]


def test_columns_that_are_called_as_options_are_those_of_their_row() -> None:
    text = "id,caption,size,seed,n,references\n1,a,4K,7,,\n2,b,,,,\n3,,2K,,,\n4,d, 2K ,,2,ref.png\n"
    assert parse_prompts("p.csv", text, "caption") == [
        {"text": "a", "size": "4K", "seed": 7},
        "b",
        {"text": "d", "size": "2K", "n": 2, "references": ["ref.png"]},
    ]


def test_a_column_of_prompts_may_be_called_as_an_option() -> None:
    assert parse_prompts("p.csv", "size,other\nlarge,b\n", "size") == ["large"]


def test_a_cell_that_is_no_number_is_named() -> None:
    with pytest.raises(ConfigError, match="row 2: seed must be a whole number, not 'x'"):
        parse_prompts("p.csv", "prompt,seed\na,1\nb,x\n")


def test_a_csv_of_one_column_needs_no_name_for_it() -> None:
    assert parse_prompts("p.csv", "description\na\nb\n") == ["a", "b"]


def test_a_column_can_be_named() -> None:
    assert parse_prompts("p.CSV", "prompt,other\na,b\n", "other") == ["b"]


def test_a_missing_column_is_named_with_those_that_are_there() -> None:
    with pytest.raises(ConfigError, match=r"no column 'prompt'; it has sku, title.*Nothing was"):
        parse_prompts("p.csv", "sku,title\n1,a\n")


def test_json_lines_are_strings_or_objects() -> None:
    text = '"a"\n\n{"text": "b", "size": "4K"}\n'
    assert parse_prompts("p.jsonl", text) == ["a", {"text": "b", "size": "4K"}]


def test_a_field_of_json_lines_can_be_named() -> None:
    assert parse_prompts("p.jsonl", '{"title": "a", "sku": 7}\n', "title") == ["a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('"a"\n{"text": \n', "line 2 is not JSON"),
        ("\n[1]\n", "line 2: a prompt must be a string"),
        ('{"text": "a"}\n', "line 1 has no 'title'"),
    ],
)
def test_a_bad_line_of_json_is_named(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_prompts("p.jsonl", text, "title" if "title" in message else None)


@pytest.mark.parametrize("name", ["p.txt", "p.csv", "p.jsonl", "-"])
def test_a_file_without_prompts_is_a_mistake(name: str) -> None:
    with pytest.raises(ConfigError, match="no prompt"):
        parse_prompts(name, "prompt\n" if name == "p.csv" else "\n")


def test_a_text_file_has_no_columns() -> None:
    with pytest.raises(ConfigError, match="no columns"):
        parse_prompts("p.txt", "a\n", "title")
