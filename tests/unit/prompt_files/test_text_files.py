"""Text and Markdown, and the encodings of all files of text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbp_async import ConfigError
from tests.unit.prompt_files import read, refused, texts


def test_a_text_has_one_prompt_a_line() -> None:
    content = "# bikes\n\na red bicycle\r\n   a blue one  \n# the end\n"
    file = read("prompts.txt", content)
    assert [(p.row, p.text) for p in file] == [(2, "a red bicycle"), (3, "a blue one")]
    assert str(file).endswith("prompts.txt: 5 lines, UTF-8; 3 lines without text skipped")


def test_lines_end_at_line_feeds_alone() -> None:
    written = ["a\u2028b", "a\x0bb", "a\x0cb", "a\x85b", "a\x1cb", "a\u2029b"]
    assert texts("p.txt", "\n".join(written)) == written
    assert texts("p.txt", "\r\n".join(written)) == written
    assert "line 1: a carriage return stands inside a line" in refused("p.txt", "a\rb\r")


@pytest.mark.parametrize(
    "content",
    ['["a", "b"]', '[\n "a"]', '{"text": "a"}', "prompt,size\na,1K\n", "sku;Prompt\n1;a\n"],
)
def test_other_formats_are_not_drawn_line_by_line(content: str) -> None:
    said = refused("p.txt", f"\n{content}")
    assert said.startswith("p.txt, line 2: this is ")
    assert "Pass format='" in said


def test_brackets_and_commas_in_a_text_are_no_other_format() -> None:
    written = ["[sunset] a bicycle", "text, size and colour of a bicycle", "{a|b}"]
    for first in written:
        assert texts("p.txt", first) == [first]


def test_a_text_has_no_columns() -> None:
    assert "p.txt has no columns" in refused("p.txt", "a\n", column="title")


MARKDOWN = """\
---
tags:
- not a prompt
---
# Spring

Pictures for the shop:

- a red bicycle
  in the rain
* a *blue* one
and its shadow
- [ ] a green one

  with a basket

1. a tram
2) a ferry

* * *

```
- no prompt
```

The end.
"""


def test_items_of_lists_are_prompts() -> None:
    file = read("p.md", MARKDOWN)
    assert [(p.row, p.text) for p in file] == [
        (0, "a red bicycle in the rain"),
        (1, "a *blue* one and its shadow"),
        (2, "a green one with a basket"),
        (3, "a tram"),
        (4, "a ferry"),
    ]
    assert "5 items, UTF-8; 11 lines outside of lists left out" in str(file)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("- a\n    - b\n", "p.md, line 2: a list inside an item"),
        ("# bikes\na red one\n", "p.md has no prompts. A prompt is an item of a list"),
        ("- a\rb\n", "line 1: a carriage return"),
    ],
)
def test_markdown_that_is_not_understood_is_refused(content: str, says: str) -> None:
    assert says in refused("p.md", content)


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-8", "UTF-8"),
        ("utf-8-sig", "UTF-8 with BOM"),
        ("utf-16", "UTF-16"),
        ("cp1252", "Windows-1252"),
        ("latin-1", "Windows-1252"),
    ],
)
def test_the_encoding_is_detected_and_said(encoding: str, said: str) -> None:
    file = read("p.txt", "Zürich, été\na café\n".encode(encoding))
    assert [prompt.text for prompt in file] == ["Zürich, été", "a café"]
    assert f"2 lines, {said}" in str(file)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a\nZ\xc3\xbcrich\ncaf\xe9\n", "line 3: this is not valid UTF-8"),
        (b"Z\xc3\xbcrich\nZ\xc3", "line 2: this is not valid UTF-8"),
        ("a\n自行车\n".encode("gbk"), "line 2: this is not valid UTF-8"),
        ("велосипед\n".encode("cp1251"), "line 1: this is not valid UTF-8"),
        ("a\nb\n".encode("utf-16-le"), "line 1: this is binary, or UTF-16 without a byte order"),
        ("a\nb\n".encode("utf-16")[:-1], "line 2: this is not valid UTF-16"),
        (b"\x89PNG\r\n\x1a\n", "line 1: this is a PNG image"),
        (b"PK\x03\x04rest", "this is a ZIP file or a workbook"),
        (b"\x1f\x8b\x08rest", "this is compressed with gzip"),
        (b"a\nb\0c", "line 2: this is binary"),
    ],
)
def test_what_is_no_text_is_refused_with_its_line(content: bytes, says: str) -> None:
    assert says in refused("p.txt", content)


@given(st.text(max_size=100) | st.binary(max_size=200), st.sampled_from(["txt", "md"]))
def test_any_content_is_read_or_refused(content: str | bytes, ending: str) -> None:
    if isinstance(content, str):
        content = content.encode("utf-8", "replace")
    try:
        read(f"p.{ending}", content)
    except ConfigError as exc:
        assert f"p.{ending}" in str(exc)


line = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"))


@given(st.lists(line, min_size=1), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_lines_are_read_back_but_for_spaces_around_them(lines: list[str], encoding: str) -> None:
    lines = ["a bicycle", *lines]
    wanted = [(row, line.strip()) for row, line in enumerate(lines)]
    found = read("p.txt", "\n".join(lines).encode(encoding))
    assert [(p.row, p.text) for p in found] == [
        (row, text) for row, text in wanted if text and not text.startswith("#")
    ]
