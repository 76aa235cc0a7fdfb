"""A process that ends after an attempt was settled, and before its item was: the next one does it.

Both are written by one thread, in this order, and a power cut or a kill may come in between.
"""

import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from nbp_async import Batch, Client, Profile, read_run
from nbp_async._journal.base import JOURNAL, MANIFEST
from nbp_async.fake import FakeServer, faults

PROMPTS = ["a", "b", "c"]


async def call(server: FakeServer, out: Path, **options: object) -> Batch:
    profile = Profile(name="vendor", base_url=server.openai_url)
    async with Client(profile, server.key) as gen:
        return await gen.many(PROMPTS, size="1K", out=out, **options)  # type: ignore[arg-type]


def forget_what_came_of(item: int, folder: Path) -> None:
    """As if the process had ended between the two."""
    with closing(sqlite3.connect(folder / JOURNAL)) as db, db:
        db.execute(
            "UPDATE item SET state = 'armed', image = NULL, reason = '', message = '' WHERE id = ?",
            (item,),
        )
    lines = (folder / MANIFEST).read_text().splitlines(keepends=True)
    kept = [line for line in lines if f'"index":{item - 1},' not in line]
    assert len(kept) == len(lines) - 1
    (folder / MANIFEST).write_text("".join(kept))


@pytest.mark.parametrize("answers", ["b64_json", "url"])
async def test_its_image_is_there_and_not_bought_again(tmp_path: Path, answers: str) -> None:
    async with FakeServer(latency=0.0) as server:
        first = await call(server, tmp_path, response_format=answers)
        forget_what_came_of(2, tmp_path)
        assert read_run(tmp_path).states == {"stored": 2, "armed": 1}
        again = await call(server, tmp_path)
        assert [image.stored.digest for image in again.images] == [
            image.stored.digest for image in first.images
        ]
        assert all(image.resumed for image in again.images)
        assert server.stats().requests == 3
        report = read_run(tmp_path)
        assert report.states == {"stored": 3}
        assert report.totals.spent == server.bank.billed
        assert len((tmp_path / MANIFEST).read_text().splitlines()) == 3


async def test_without_its_file_it_is_named_and_sent_again_on_request_alone(tmp_path: Path) -> None:
    async with FakeServer(latency=0.0) as server:
        first = await call(server, tmp_path)
        forget_what_came_of(2, tmp_path)
        path = first.images[1].path
        assert path is not None
        path.unlink()
        again = await call(server, tmp_path)
        assert [failure.index for failure in again.failures] == [1]
        assert "its image is not there" in str(again.failures[0].error)
        assert (again.failures[0].billing, server.bank.images) == ("yes", 3)
        assert read_run(tmp_path).states == {"stored": 2, "failed": 1}
        paid = await call(server, tmp_path, retry_failed=True)
        assert len(paid.images) == 3
        assert server.bank.images == 4


async def test_why_it_failed_is_not_forgotten(tmp_path: Path) -> None:
    async with FakeServer(latency=0.0) as server:
        server.script(faults.bad_image("text"), match="b")
        await call(server, tmp_path)
        forget_what_came_of(2, tmp_path)
        again = await call(server, tmp_path)
        (parked,) = again.failures
        assert "NotAnImageError" in str(parked.error)
        assert parked.billing == "yes"
        account = read_run(tmp_path).totals
        assert account.spent <= server.bank.billed <= account.spent * Decimal("1.05")


async def test_what_cost_nothing_is_sent_again(tmp_path: Path) -> None:
    async with FakeServer(latency=0.0) as server:
        server.script(faults.status(400), match="b")
        await call(server, tmp_path)
        forget_what_came_of(2, tmp_path)
        again = await call(server, tmp_path)
        assert len(again.images) == 3
        assert server.bank.images == 3
