"""A journal that is not in the folder of its images: files are found all the same."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nbp_async import Client, Profile, read_run
from nbp_async._journal.base import MANIFEST
from nbp_async.fake import FakeServer
from tests.loopback.oracle import assert_settled


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer(latency=0.0, delivery="b64_json") as running:
        yield running


def client(server: FakeServer) -> Client:
    profile = Profile(name="vendor", base_url=server.openai_url, response_format=None)
    return Client(profile, server.key)


async def test_the_report_and_the_preview_know_where_the_images_are(
    server: FakeServer, tmp_path: Path
) -> None:
    out, journal = tmp_path / "out", tmp_path / "books" / "run.sqlite3"
    async with client(server) as gen:
        batch = await gen.many(["a", "b"], size="1K", out=out, journal=journal)
        report = read_run(journal)
        assert [report.folder / row.path for row in report.rows()] == [i.path for i in batch.images]
        assert [o.read() for o in report.outcomes() if o.ok] == [i.read() for i in batch.images]
        plan = gen.many(["a", "b"], size="1K", out=out, journal=journal)
        preview = plan.preview()
        assert (preview.there, preview.lost, preview.to_send) == (2, 0, 0)
        assert (await plan).billing.saved == batch.billing.spent
        await assert_settled(gen, server, batch, out=out)


async def test_paths_below_the_journal_are_relative_so_that_all_can_be_moved(
    server: FakeServer, tmp_path: Path
) -> None:
    async with client(server) as gen:
        await gen.many(
            ["a"], size="1K", out=tmp_path / "shop" / "out", journal=tmp_path / "shop" / "books"
        )
    (tmp_path / "shop").rename(tmp_path / "moved")
    report = read_run(tmp_path / "moved" / "books")
    assert [(report.folder / row.path).is_file() for row in report.rows()] == [True]


async def test_the_manifest_stays_with_the_images_and_names_them_from_there(
    server: FakeServer, tmp_path: Path
) -> None:
    out, journal = tmp_path / "out", tmp_path / "books" / "run.sqlite3"
    for prompts in (["a"], ["a", "b"]):
        async with client(server) as gen:
            await gen.many(prompts, size="1K", out=out, journal=journal)
        (out / MANIFEST).unlink()
    async with client(server) as gen:
        await gen.many(["a", "b"], size="1K", out=out, journal=journal)
    lines = [json.loads(line) for line in (out / MANIFEST).read_text().splitlines()]
    assert [(out / line["path"]).name for line in lines] == [line["path"] for line in lines]
    assert all((out / line["path"]).is_file() for line in lines)
    assert len(lines) == 2


async def test_two_journals_in_one_folder_do_not_wait_for_each_other(
    server: FakeServer, tmp_path: Path
) -> None:
    async with client(server) as gen:
        first = gen.stream(["a", "b"], out=tmp_path / "a", journal=tmp_path / "a.sqlite3")
        async with first:
            await anext(first)
            batch = await gen.many(["c"], out=tmp_path / "c", journal=tmp_path / "c.sqlite3")
            assert batch[0].ok
            async for _ in first:
                pass
