"""What is made of a file's prompts, joined to its rows."""

from contextlib import closing
from pathlib import Path

import pandas
import polars
import pytest

from nbp_async import Client, ConfigError, Prompt, read_prompts, read_run
from nbp_async.fake import FakeServer, faults
from tests.loopback.oracle import assert_settled
from tests.loopback.play import KEY, profile

TABLE = "sku,prompt,Size,n\n1,a red bicycle,1K,\n2,,4K,\n3,a lamp,,2\n4,a tram,1K,\n"


@pytest.mark.looptime
async def test_results_join_the_rows_of_their_file(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text(TABLE)
    async with (
        FakeServer(latency=60.0, keys=[KEY]) as server,
        Client(profile(server, "gemini"), KEY) as gen,
    ):
        server.script(faults.status(400), match="a tram")
        plan = gen.many(read_prompts(path), size="1K", out=tmp_path / "shop")
        assert "4 images: 4 to make" in repr(plan)
        first = await plan
        batch = await first.retry_failed()
        await assert_settled(gen, server, batch)
    assert [(o.index, o.prompt.row, o.prompt.text) for o in batch] == [
        (0, 0, "a red bicycle"),
        (1, 2, "a lamp"),
        (2, 2, "a lamp"),
        (3, 3, "a tram"),
    ]
    made = batch.to_pandas().set_index("row")
    joined = pandas.read_csv(path).join(made.drop(columns="prompt"))
    assert joined["sku"].tolist() == [1, 2, 3, 3, 4]
    assert joined["ok"].tolist()[2:4] == [True, True]
    kept = read_run(tmp_path / "shop").to_polars()
    whole = polars.read_csv(path).with_row_index("row").cast({"row": polars.Int64})
    assert set(whole.join(kept, on="row")["sku"]) == {1, 3, 4}


@pytest.mark.looptime
async def test_rows_of_frames_come_back_as_well() -> None:
    frame = polars.DataFrame({"prompt": ["a", "b"], "n": [2, 1], "Size": ["1K", "1K"]})
    async with (
        FakeServer(latency=60.0, keys=[KEY]) as server,
        Client(profile(server, "gemini"), KEY) as gen,
    ):
        server.script(faults.status(500))
        batch = await (await gen.many(frame)).retry_failed()
        column = await gen.many(frame["prompt"], size="1K")
        given = await gen.many([Prompt("c", size="1K", row=7), "d"], size="1K")
        await assert_settled(gen, server, [*batch, *column, *given])
    assert [o.prompt.row for o in batch] == [0, 0, 1]
    assert [o.prompt.row for o in column] == [0, 1]
    assert [o.prompt.row for o in given] == [7, None]


async def all_of(gen: Client, path: Path) -> object:
    return await gen.many(read_prompts(path))


async def first_of(gen: Client, path: Path) -> object:
    return await anext(aiter(gen.stream(read_prompts(path))))


async def preview_of(gen: Client, path: Path) -> object:
    with closing(gen.many(read_prompts(path))) as plan:
        return plan.preview()


async def test_a_mistake_in_the_last_row_is_found_before_anything_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text(TABLE + "5,a ferry,9K,\n")
    async with FakeServer(keys=[KEY]) as server, Client(profile(server, "gemini"), KEY) as gen:
        for make in (all_of, first_of, preview_of):
            with pytest.raises(ConfigError, match=r"shop\.csv, line 6 \(Size\): size='9K'") as said:
                await make(gen, path)
            assert (said.value.index, said.value.row, said.value.column) == (3, 4, "Size")
            assert str(said.value).endswith(
                "Nothing was sent. If the column means something else, pass ignore='Size'."
            )
        assert server.stats().requests == 0
        await assert_settled(gen, server, [])
