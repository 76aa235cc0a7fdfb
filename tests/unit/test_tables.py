"""Columns and tables of pandas and polars as prompts, and what is made of them joined to them."""

import subprocess
import sys
from typing import Any

import pandas
import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbp_async import Client, ConfigError, Prompt
from nbp_async._models.tables import Table, table_of
from nbp_async.fake import FakeServer
from tests.loopback.oracle import assert_settled
from tests.loopback.play import KEY, profile

virtual = pytest.mark.looptime
TEXTS = ["a red bicycle", "a green one", "a blue one"]
TABLE: dict[str, Any] = {"prompt": TEXTS, "size": ["1K", None, "4K"], "seed": [7, None, 9]}


def table(prompts: object) -> Table:
    found = table_of(prompts)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "column",
    [
        pandas.Series(TEXTS),
        pandas.Series(TEXTS, dtype="category"),
        pandas.Index(TEXTS),
        pandas.DataFrame(TABLE)["prompt"],
        polars.Series(TEXTS),
        polars.DataFrame(TABLE)["prompt"],
    ],
    ids=["series", "category", "index", "column", "polars", "polars column"],
)
def test_a_column_is_its_cells(column: Any) -> None:
    assert list(table(column)) == TEXTS
    assert table(column)[1:] == TEXTS[1:]
    assert table(column)[-1] == TEXTS[-1]
    assert len(table(column)) == 3


@pytest.mark.parametrize("make", [pandas.DataFrame, polars.DataFrame])
def test_columns_of_a_table_are_options_and_empty_cells_leave_them_open(make: Any) -> None:
    assert list(table(make(TABLE))) == [
        {"text": TEXTS[0], "size": "1K", "seed": 7},
        {"text": TEXTS[1]},
        {"text": TEXTS[2], "size": "4K", "seed": 9},
    ]
    references: Any = {"text": TEXTS[:2], "references": [["a.png", "b.png"], ["c.png"]]}
    assert table(make(references))[0]["references"] == ["a.png", "b.png"]
    assert table(make({"text": ["a"], "references": ["a.png"]}))[0]["references"] == ["a.png"]


rows = st.lists(
    st.tuples(
        st.none() | st.text(st.characters(exclude_categories=["Cs"])),
        st.none() | st.sampled_from(["1K", "4K"]),
        st.none() | st.integers(-(2**53), 2**53),
    )
)


@given(rows)
def test_rows_are_what_was_put_into_them(
    rows: list[tuple[str | None, str | None, int | None]],
) -> None:
    """In pandas a column of whole numbers with gaps is one of floats."""
    names = ("text", "size", "seed")
    columns = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    types = {"text": polars.String(), "size": polars.String(), "seed": polars.Int64()}
    said = [
        None if row[0] is None else {n: c for n, c in zip(names, row, strict=True) if c is not None}
        for row in rows
    ]
    assert list(table(polars.DataFrame(columns, schema=types))) == said
    assert list(table(pandas.DataFrame(columns))) == said


def test_a_series_may_hold_prompts() -> None:
    prompts = [Prompt("a", size="4K"), {"text": "b", "n": 2}]
    assert list(table(pandas.Series(prompts))) == prompts


def test_what_is_no_table_is_left_alone() -> None:
    for other in (TEXTS, iter(TEXTS), "text", {"text": "a"}, None):
        assert table_of(other) is None


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (
            pandas.DataFrame({"caption": TEXTS, "id": [1, 2, 3]}),
            r"column 'prompt'; this one has 'caption', 'id'.*gen\.many\(frame\['NAME'\]\)",
        ),
        (
            polars.DataFrame({"id": [1], **{k: v[:1] for k, v in TABLE.items()}}),
            r"'id': it may have.*gen\.many\(frame\[\['prompt', 'size', 'seed'\]\]\)",
        ),
        (pandas.DataFrame([["a", "b"]], columns=["prompt", "prompt"]), "of the same name"),
        (polars.DataFrame(TABLE).lazy(), r"frame\.collect\(\)"),
        (pandas.DataFrame(), "this one has none"),
    ],
    ids=["no prompt", "unknown", "twice", "lazy", "empty"],
)
async def test_a_table_that_has_other_things_is_refused(frame: Any, says: str) -> None:
    async with FakeServer(keys=[KEY]) as server, Client(profile(server, "gemini"), KEY) as gen:
        with pytest.raises(ConfigError, match=says) as refused:
            gen.many(frame)
        assert str(refused.value).endswith("Nothing was sent.")
        await assert_settled(gen, server, [])


@pytest.mark.parametrize(
    ("prompts", "says"),
    [
        (pandas.Series(["a", None, "c"]), r"^prompts\[1\]: There is no text.*dropna"),
        (pandas.Series(["a", float("nan")], index=["x", "y"]), r"^prompts\[1\] \(row 'y'\): "),
        (pandas.Series(["a", pandas.NA], dtype="string"), r"^prompts\[1\]: There is no text"),
        (pandas.DataFrame({"prompt": ["a", None], "size": ["1K", "2K"]}), r"^prompts\[1\]: There"),
        (polars.Series(["a", None]), r"^prompts\[1\]: There is no text"),
        (polars.DataFrame({"prompt": ["a", "b"], "size": ["1K", "9K"]}), r"^prompts\[1\]: .*9K"),
        (pandas.Series([1, 2]), r"^prompts\[0\]: A prompt is a str"),
        (["a", float("nan")], r"^prompts\[1\]: There is no text"),
    ],
)
async def test_a_row_without_a_text_is_named_before_anything_is_sent(
    prompts: Any, says: str
) -> None:
    async with FakeServer(keys=[KEY]) as server, Client(profile(server, "gemini"), KEY) as gen:
        with pytest.raises(ConfigError, match=says) as refused:
            await gen.many(prompts)
        assert str(refused.value).endswith("Nothing was sent.")
        assert server.stats().requests == 0
        await assert_settled(gen, server, [])


@virtual
async def test_what_was_made_joins_what_was_asked() -> None:
    frame = pandas.DataFrame(TABLE | {"size": ["1K", None, "2K"]}, index=["x", "y", "z"])
    other = polars.DataFrame(TABLE | {"size": ["1K", None, "2K"]})
    async with (
        FakeServer(latency=60.0, keys=[KEY]) as server,
        Client(profile(server, "gemini"), KEY) as gen,
    ):
        plan = gen.many(frame)
        assert "3 images: 3 to make" in repr(plan)
        batch, more = await plan, await gen.many(other["prompt"], size="4K")
        streamed = [outcome async for outcome in gen.stream(other)]
        await assert_settled(gen, server, [*batch, *more, *streamed])
    assert [o.prompt.size for o in batch] == ["1K", None, "2K"]
    assert [o.prompt.seed for o in batch] == [7, None, 9]
    assert {o.prompt.size for o in more} == {"4K"}
    assert len(streamed) == 3

    made = batch.to_pandas().set_index(frame.index).add_prefix("made_")
    joined = frame.join(made)
    assert joined["prompt"].tolist() == joined["made_prompt"].tolist() == TEXTS
    assert joined["made_ok"].all()
    wide = other.with_row_index("index").join(more.to_polars(), on="index", suffix="_made")
    assert wide["prompt"].to_list() == wide["prompt_made"].to_list() == TEXTS


def test_neither_is_imported_for_prompts() -> None:
    code = (
        "import sys\n"
        "from nbp_async._models.tables import table_of\n"
        "import nbp_async._flow.job_source\n"
        "assert table_of(['a']) is None\n"
        "assert not {'pandas', 'polars', 'numpy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
