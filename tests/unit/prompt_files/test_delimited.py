"""Tables as text: their delimiter, their columns, and quotes that went wrong."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbp_async import ConfigError
from tests.unit.prompt_files import asked, read, refused, texts


@pytest.mark.parametrize("column", ["prompt", "text", "Prompt", "PROMPTS", "Prompt text"])
def test_the_usual_columns_are_found(column: str) -> None:
    content = f'sku,{column}\n1,"a red bicycle, side view"\n2,\n3,"two\nlines"\n'
    assert texts("p.csv", content) == ["a red bicycle, side view", "two\nlines"]


@pytest.mark.parametrize(
    ("delimiter", "name"), [(",", "','"), (";", "';'"), ("\t", "tab"), ("|", "'|'")]
)
@pytest.mark.parametrize("ending", ["csv", "tsv", "tab"])
def test_the_delimiter_is_detected_and_said(delimiter: str, name: str, ending: str) -> None:
    content = "prompt;size;ratio\r\na bicycle;1K;16:9\r\n".replace(";", delimiter)
    file = read(f"p.{ending}", content)
    assert [asked(prompt) for prompt in file] == [
        {"text": "a bicycle", "size": "1K", "aspect_ratio": "16:9", "row": 0}
    ]
    assert f"1 row, {name}, UTF-8; uses prompt, size, ratio" in str(file)


def test_the_line_by_which_excel_names_its_delimiter_is_no_header() -> None:
    assert texts("p.csv", "sep=;\r\nprompt;size, in pixels\r\na;1K\r\n") == ["a"]


def test_a_header_with_several_delimiters_is_refused_unless_quotes_hold_them() -> None:
    said = refused("p.csv", "prompt;size, in pixels\na;1K\n")
    assert said.startswith("p.csv, line 1: the header has ',' and ';'")
    assert texts("p.csv", 'prompt;"size, in pixels"\na;1K\n') == ["a"]
    assert texts("p.tsv", "prompt\tsize, in pixels\na\t1K\n") == ["a"]


def test_columns_that_are_named_as_options_are_those_of_their_row() -> None:
    content = (
        "id,caption,size,Seed,N,References,Aspect-Ratio,Extra\n"
        '1,a,4K,7,,,16:09:00,"{""style"": 1}"\n2,b,,,,,,\n3,,2K,,,,,\n4,d, 2K ,,2.0,ref.png,1:1,\n'
    )
    assert [asked(prompt) for prompt in read("p.csv", content, column="caption")] == [
        {"text": "a", "size": "4K", "seed": 7, "aspect_ratio": "16:9", "row": 0}
        | {"extra": {"style": 1}},
        {"text": "b", "row": 1},
        {"text": "d", "size": "2K", "n": 2, "references": ("ref.png",), "aspect_ratio": "1:1"}
        | {"row": 3},
    ]


def test_what_is_used_and_what_is_ignored_is_said() -> None:
    content = "sku;prompt;price;size\n" + "1;a;3;1K\n" * 240 + "2;;3;1K\n" * 60
    file = read("prompts.csv", content)
    assert str(file).endswith(
        "prompts.csv: 300 rows, ';', UTF-8; uses prompt, size; ignores sku, price; "
        "60 rows without text skipped"
    )
    assert file.facts == {
        "name": file.name,
        "format": "csv",
        "encoding": "UTF-8",
        "delimiter": ";",
        "rows": 300,
        "skipped": 60,
        "images": 240,
        "uses": {"prompt": "text", "size": "size"},
        "ignores": ("sku", "price"),
        "outside": 0,
        "sheet": "",
        "other_sheets": (),
    }


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("sise", "size"),
        ("siez", "size"),
        ("aspect_ration", "aspect_ratio"),
        ("Asepct Ratio", "aspect_ratio"),
        ("qualty", "quality"),
        ("thinkng", "thinking"),
        ("refrences", "references"),
        ("sed", ""),
        ("quantity", ""),
        ("price", ""),
        ("x", ""),
    ],
)
def test_a_misspelt_option_is_refused_with_the_name_meant(name: str, meant: str) -> None:
    content = f"prompt,{name}\na,4K\n"
    if meant:
        said = refused("p.csv", content)
        assert said.startswith(f"p.csv, line 1: did you mean {meant!r}? The column {name!r} is")
    else:
        assert read("p.csv", content).ignores == (name,)


def test_a_column_that_is_like_an_option_is_ignored_beside_the_option_itself() -> None:
    file = read("p.csv", "prompt,size,side,text\na,1K,left,b\n")
    assert (file.uses, file.ignores) == ({"prompt": "text", "size": "size"}, ("side", "text"))


@pytest.mark.parametrize("header", ["prompt,size,Size", "prompt,Prompt", "prompt,prompt"])
def test_two_columns_for_one_thing_are_refused(header: str) -> None:
    assert "line 1: two columns" in refused("p.csv", f"{header}\na,b\n")


def test_a_refusal_says_how_to_leave_a_column_out() -> None:
    said = refused("p.csv", "prompt,siez\na,large\n")
    assert said.endswith(
        "To leave a column out, pass ignore='siez'. Rename it to 'size' if it is the option."
    )
    said = refused("p.csv", "prompt,N\na,large\n")
    assert said.endswith("Nothing was sent. If the column means something else, pass ignore='N'.")
    said = refused("p.jsonl", '{"text": "a", "Seed": "x"}\n')
    assert said.endswith("If the field means something else, pass ignore='Seed'.")
    assert "ignore" not in refused("p.csv", f"prompt\n{'a' * 131_073}\n")


@pytest.mark.parametrize("name", ["Size", "siez", "Aspect Ratioo", "n"])
def test_a_column_that_means_something_else_can_be_left_out(name: str) -> None:
    content = f"prompt,{name},seed\na,large,7\n"
    for ignore in (name, name.lower(), [name]):
        file = read("p.csv", content, ignore=ignore)
        assert (file.uses, file.ignores) == ({"prompt": "text", "seed": "seed"}, (name,))
        assert [(p.size, p.n, p.seed) for p in file] == [(None, 1, 7)]


def test_of_two_columns_for_one_thing_either_can_be_left_out() -> None:
    content = "prompt,size,Size\na,1K,2K\n"
    assert refused("p.csv", content).endswith("To leave a column out, pass ignore='Size'.")
    assert [p.size for p in read("p.csv", content, ignore="Size")] == ["1K"]
    assert [p.size for p in read("p.csv", content, ignore="size")] == ["2K"]
    assert "pass ignore" not in refused("p.csv", "prompt,prompt\na,b\n")


def test_what_is_to_be_left_out_must_be_there_and_not_be_the_prompts() -> None:
    content = "prompt,Size\na,1K\n"
    said = refused("p.csv", content, ignore=["Size", "colour"])
    assert said.startswith("p.csv, line 1: no column 'colour'; it has prompt, Size. Nothing")
    assert "no column 'prompt'; it has Size" in refused("p.csv", content, ignore="prompt")
    with pytest.raises(ConfigError, match="ignore='Size': this column holds the prompts"):
        read("p.csv", content, ignore="Size", column="Size")
    assert "has no columns." in refused("p.txt", "a\n", ignore="Size")


def test_a_column_of_prompts_may_be_named_as_an_option() -> None:
    assert texts("p.csv", "size,other\nlarge,b\n", column="size") == ["large"]


def test_a_column_can_be_named() -> None:
    assert texts("p.CSV", "prompt,Other One\na,b\n", column="other one") == ["b"]
    assert texts("p.csv", "description\na\nb\n") == ["a", "b"]  # the only one needs no name


@pytest.mark.parametrize(
    ("content", "column", "says"),
    [
        ("sku,title\n1,a\n", None, "line 1: no column 'prompt'; it has sku, title. Nothing was"),
        ("sku,promt\n1,a\n", None, "no column 'prompt'; did you mean 'promt'? it has sku, promt."),
        ("sku,title\n1,a\n", "titel", "no column 'titel'; did you mean 'title'?"),
        ("sku,title\n", None, "no column 'prompt'"),
    ],
)
def test_a_missing_column_is_named_with_those_that_are_there(
    content: str, column: str | None, says: str
) -> None:
    said = refused("p.csv", content, column=column)
    assert says in said
    if column is None:
        assert said.endswith("Pass column='NAME'.")


def test_a_cell_that_is_no_number_is_named_with_line_and_column() -> None:
    said = refused("p.csv", "prompt,SEED\na,1\n\nb,x\n")
    assert said.startswith("p.csv, line 4 (SEED): seed='x': must be a whole number. Nothing")
    with pytest.raises(ConfigError) as caught:
        read("p.csv", "prompt,SEED\na,1\n\nb,x\n")
    assert (caught.value.row, caught.value.column, caught.value.option) == (1, "SEED", "seed")


def test_more_cells_than_names_are_refused() -> None:
    said = refused("p.csv", "prompt,size\na red bicycle, side view,1K\n")
    assert said.startswith("p.csv, line 2: 3 cells, and the header has 2.")
    assert texts("p.csv", "prompt,size\na,1K,,\n") == ["a"]  # empty ones are usual
    assert texts("p.csv", "size,prompt\n1K\n,b\n") == ["b"]


MANY = "".join(f"a bicycle number {i}\n" for i in range(30))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (f'prompt\n"24 inch wheel\n{MANY}', "line 2: a quote opens here and takes in the lines to"),
        (f'prompt\n"24 inch\n{MANY}26" wheel\nb\n', "line 2: a quote opens here and takes in the"),
        (f'prompt\n"24 inch\n{MANY}26"\nb\n', "line 2: a quote opens here and takes in the lines"),
        ('prompt\nb\n"24" wheel\n', "line 3: a quote stands in a cell that is in quotes"),
        ("prompt\na\rb\n", "line 2: a carriage return stands inside a line"),
        (f"prompt\na\n{'b' * 131_073}\n", "line 3: a cell has more than 131,072 characters"),
    ],
)
def test_a_table_that_is_broken_is_refused_with_its_line(content: str, says: str) -> None:
    assert says in refused("p.csv", content)


def test_lines_in_a_cell_are_counted() -> None:
    content = 'prompt,n\n"two\nlines",1\nb,x\n'
    assert refused("p.csv", content).startswith("p.csv, line 4: n='x'")


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)


@given(
    st.lists(st.tuples(cells, cells)),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_the_csv_module_writes_is_read_back(
    rows: list[tuple[str, str]], delimiter: str, end: str, encoding: str
) -> None:
    """But for spaces around a text; of a delimiter there is one, for quotes hold the others."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("sku", "prompt"), *rows, ("last", "one")])
    found = read("p.csv", file.getvalue().encode(encoding))
    written = [(row, text.strip()) for row, (_, text) in enumerate([*rows, ("last", "one")])]
    assert [(p.row, p.text) for p in found] == [pair for pair in written if pair[1]]
    assert found.rows == len(rows) + 1


@given(st.text(max_size=200) | st.binary(max_size=200), st.sampled_from(["csv", "tsv"]))
def test_any_content_is_read_or_refused(content: str | bytes, ending: str) -> None:
    if isinstance(content, str):
        content = content.encode("utf-8", "replace")
    try:
        file = read(f"p.{ending}", content)
    except ConfigError as exc:
        assert f"p.{ending}" in str(exc)
    else:
        assert len(list(file)) == len(file)
