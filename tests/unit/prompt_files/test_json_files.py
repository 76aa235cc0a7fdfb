"""JSON: an array, or a value a line."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbp_async import ConfigError
from tests.unit.prompt_files import asked, read, refused, texts

OBJECTS = ["a", {"text": "b", "size": "4K"}, {"prompt": "c", "Aspect Ratio": "16:9", "n": 2}]
ASKED = [
    {"text": "a", "row": 0},
    {"text": "b", "size": "4K", "row": 1},
    {"text": "c", "aspect_ratio": "16:9", "n": 2, "row": 2},
]


def test_a_field_that_means_something_else_can_be_left_out() -> None:
    content = '{"text": "a"}\n{"text": "b", "Size": "large"}\n'
    file = read("p.jsonl", content, ignore="Size")
    assert (file.ignores, [p.size for p in file]) == (("Size",), [None, None])
    said = refused("p.jsonl", content, ignore=["Size", "colour"])
    assert said.startswith("p.jsonl has no field 'colour'; it has text, Size.")


@pytest.mark.parametrize("name", ["p.json", "p.jsonl", "p.ndjson"])
def test_a_value_a_line(name: str) -> None:
    content = "\n".join(map(json.dumps, OBJECTS)).replace("\n", "\n\n", 1)
    assert [asked(prompt) for prompt in read(name, content)] == ASKED


@pytest.mark.parametrize("indent", [None, 2])
def test_an_array(indent: int | None) -> None:
    file = read("p.json", "\n" + json.dumps(OBJECTS, indent=indent) + "\n")
    assert [asked(prompt) for prompt in file] == ASKED
    assert "p.json: 3 items, UTF-8; uses text, size, prompt, Aspect Ratio, n" in str(file)
    assert file.images == 4


def test_one_object_over_several_lines_is_one_prompt() -> None:
    assert texts("p.json", json.dumps({"text": "a"}, indent=2)) == ["a"]


def test_lines_end_at_line_feeds_alone() -> None:
    written = ["a bicycle\u2028in the rain", "a tram\x85at night", "a\x0bb\x0cc\x1cd"]
    content = "".join(json.dumps(text, ensure_ascii=False) + "\r\n" for text in written)
    content = content.replace("\x0b", "\\u000b").replace("\x0c", "\\f").replace("\x1c", "\\u001c")
    assert texts("p.jsonl", content) == written


def test_fields_that_are_unknown_are_said_and_options_that_are_open_are_null() -> None:
    file = read("p.jsonl", '{"sku": 7, "text": "a", "size": null}\n{"text": "b", "row": 9}\n')
    assert [asked(prompt) for prompt in file] == [{"text": "a", "row": 0}, {"text": "b", "row": 1}]
    assert "; ignores sku, row" in str(file)


def test_values_without_text_are_skipped_and_keep_their_place() -> None:
    file = read("p.json", '["", {"text": null}, {"text": " "}, "a"]')
    assert [asked(prompt) for prompt in file] == [{"text": "a", "row": 3}]
    assert str(file).endswith("4 items, UTF-8; uses text; 3 items without text skipped")


def test_a_field_can_be_named() -> None:
    assert texts("p.jsonl", '{"title": "a", "sku": 7}\n', column="title") == ["a"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("p.jsonl", '"a"\n{"text": \n', "p.jsonl, line 2: not JSON: expecting value, at column 10"),
        ("p.jsonl", '"a" "b"\n', "line 1: not JSON: extra data, at column 5"),
        ("p.jsonl", "\n[1]\n", "line 2: a prompt must be a string, or an object with a text"),
        ("p.jsonl", '{"txt": "a"}\n', "line 1: no field 'text'; did you mean 'txt'?"),
        ("p.jsonl", '{"text": "a", "sise": "4K"}\n', "did you mean 'size'? The field 'sise'"),
        ("p.jsonl", '{"text": 7}\n', "line 1: text=7: give text"),
        ("p.jsonl", '{"text": "a", "Size": 4}\n', "line 1 (Size): size=4: give"),
        ("p.jsonl", '{"text": "a", "seed": NaN}\n', "line 1: not JSON: NaN is no JSON"),
        ("p.jsonl", '{"text": "a", "n": 1000}\n', "line 1: n=1000: give images from 1 to 100"),
        ("p.jsonl", '"a \\ud83d"\n', "line 1: The text has '\\ud83d' at character 2"),
        ("p.jsonl", '"a"\n\n' + "[" * 100_000, "line 3: not JSON: "),
        ("p.jsonl", '{"seed": ' + "9" * 5000 + "}", "line 1: not JSON: "),
        ("p.json", '[\n "a",\n 7]', "p.json, line 3: a prompt must be a string"),
        ("p.json", '[\n "a"\n "b"]', "line 3: not JSON: expecting ',' or ']', at column 2"),
        ("p.json", '[\n "a",\n]', "line 3: not JSON: expecting value, at column 1"),
        ("p.json", '[\n "a"', "line 2: not JSON: expecting ',' or ']'"),
        ("p.json", '["a"] x', "line 1: not JSON: extra data, at column 7"),
        ("p.json", '{"text":\n "a",\n', "p.json, line "),
        ("p.json", '["' + "a" * 131_073 + '"]', "a text of 131,073 characters"),
        ("p.json", "[]", "p.json has no prompts"),
        ("p.json", "\n \n", "p.json has no prompts"),
    ],
)
def test_what_is_no_prompt_is_refused_with_its_line(name: str, content: str, says: str) -> None:
    assert says in refused(name, content)


def test_a_field_that_was_named_and_is_missing_is_said() -> None:
    said = refused("p.jsonl", '{"text": "a"}\n', column="title")
    assert said.startswith("p.jsonl, line 1: no field 'title'; it has text.")


written = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(
    st.lists(written | st.fixed_dictionaries({"prompt": written, "id": st.integers()})),
    st.booleans(),
    st.sampled_from([None, 1]),
)
def test_what_the_json_module_writes_is_read_back(
    values: list[Any], ascii_only: bool, indent: int | None
) -> None:
    values = [*values, "last"]
    said = [value if isinstance(value, str) else value["prompt"] for value in values]
    wanted = [(row, text) for row, text in enumerate(said) if text.strip()]
    array = json.dumps(values, ensure_ascii=ascii_only, indent=indent)
    lines = "\n".join(json.dumps(value, ensure_ascii=ascii_only) for value in values)
    for name, content in (("p.json", array), ("p.jsonl", lines)):
        assert [(p.row, p.text) for p in read(name, content)] == wanted


@given(st.text(max_size=200) | st.binary(max_size=200), st.sampled_from(["json", "jsonl"]))
def test_any_content_is_read_or_refused(content: str | bytes, ending: str) -> None:
    if isinstance(content, str):
        content = content.encode("utf-8", "replace")
    try:
        read(f"p.{ending}", content)
    except ConfigError as exc:
        assert f"p.{ending}" in str(exc)
