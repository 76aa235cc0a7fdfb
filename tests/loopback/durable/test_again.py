"""`batch.retry_failed()` on a run: its journal goes on, and the bank's books are the run's."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nbp_async import Batch, Client, ConfigError, Image, Profile, RunBusyError, read_run
from nbp_async._journal.base import JOURNAL
from nbp_async._journal.sqlite import SqliteJournal
from nbp_async.fake import FakeServer, faults
from tests.loopback.oracle import assert_settled

PRICE = Decimal("0.134")


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer(latency=0.0, delivery="b64_json") as running:
        yield running


def client(server: FakeServer, **options: Any) -> Client:
    profile = Profile(name="vendor", base_url=server.openai_url, response_format=None)
    return Client(profile, server.key, account="tests", **options)


def assert_books(server: FakeServer, batch: Batch, folder: Path) -> None:
    """The bank, the batch and the journal say the same."""
    bill, account = batch.billing, read_run(folder).totals
    assert (account.spent, account.maybe) == (bill.spent, bill.maybe)
    assert bill.spent <= server.bank.billed <= bill.spent + bill.maybe
    assert account.images == len(batch.images)


async def test_failures_of_a_run_are_made_again_in_its_journal(
    server: FakeServer, tmp_path: Path
) -> None:
    prompts = ["a", "b", "c", "d"]
    server.script(faults.ok(), faults.status(400), faults.disconnect(), faults.bad_json("cut"))
    async with client(server) as gen:
        batch = await gen.many(prompts, size="1K", out=tmp_path)
        whole = await batch.retry_failed()
        assert [o.prompt.text for o in whole] == prompts
        assert sum(o.ok for o in whole) == 3
        assert [f.billing for f in whole.failures] == ["maybe"]
        assert server.bank.images == 4 + 1  # the page was rendered for nothing, the cut one too
        await assert_settled(gen, server, whole, out=tmp_path)
        assert_books(server, whole, tmp_path)
        paid = await whole.retry_failed(resend_ambiguous=True, max_cost=2)
        assert all(o.ok for o in paid)
        assert [sum(a.billing == "maybe" for a in o.attempts) for o in paid].count(1) == 1
        await assert_settled(gen, server, paid, out=tmp_path)
        assert_books(server, paid, tmp_path)
    assert read_run(tmp_path).states == {"stored": 4}
    assert read_run(tmp_path).processes == 3


async def test_of_equal_prompts_only_those_that_failed_are_made(
    server: FakeServer, tmp_path: Path
) -> None:
    """Though the files of the others were taken away: nobody asked for these again."""
    server.script(faults.ok(), faults.status(400), faults.ok(), faults.disconnect())
    async with client(server) as gen:
        batch = await gen.many(["a"] * 4, size="1K", out=tmp_path)
        for image in batch.images:
            assert image.path is not None
            image.path.unlink()
        whole = await batch.retry_failed()
        again = [o for o in whole if len(o.attempts) == 2]
        assert len(again) == 1
        assert isinstance(again[0], Image)
        assert again[0].read()[:4] == b"\x89PNG"
        assert server.bank.images == 4
        await server.drain()
        assert_books(server, whole, tmp_path)


@pytest.mark.looptime
async def test_an_image_behind_a_link_is_fetched_and_not_bought(tmp_path: Path) -> None:
    async with FakeServer(latency=0.0, delivery="url") as server:
        server.script(*[faults.download(faults.status(500))] * 8)
        async with client(server) as gen:
            batch = await gen.many(["a"], size="1K", out=tmp_path)
            assert batch.failures[0].links
            whole = await batch.retry_failed()
            assert whole[0].ok
            assert server.bank.images == 1
            await assert_settled(gen, server, whole, out=tmp_path)
            assert_books(server, whole, tmp_path)


async def test_a_run_in_use_by_another_process_can_be_retried_later(
    server: FakeServer, tmp_path: Path
) -> None:
    server.script(faults.status(400))
    async with client(server) as gen:
        batch = await gen.many(["a"], size="1K", out=tmp_path)
        other = await SqliteJournal.open(
            tmp_path / JOURNAL, account="vendor:tests", folder=tmp_path, wall_clock=lambda: 0.0
        )
        with pytest.raises(RunBusyError):
            await batch.retry_failed()
        await other.aclose()
        whole = await batch.retry_failed()
        assert whole[0].ok
        await assert_settled(gen, server, whole, out=tmp_path)


async def test_a_journal_of_ones_own_was_closed_with_the_call(
    server: FakeServer, tmp_path: Path
) -> None:
    server.script(faults.status(400))
    journal = await SqliteJournal.open(
        tmp_path / JOURNAL, account="vendor:tests", folder=tmp_path, wall_clock=lambda: 0.0
    )
    async with client(server) as gen:
        batch = await gen.many(["a"], size="1K", out=tmp_path, journal=journal)
        with pytest.raises(ConfigError, match="Nothing was sent"):
            batch.retry_failed()
        await assert_settled(gen, server, batch, out=tmp_path)


@pytest.mark.looptime
@pytest.mark.parametrize(("status", "made"), [(500, False), (410, True)])
async def test_without_a_journal_only_an_image_whose_link_has_ended_is_bought_again(
    status: int, made: bool
) -> None:
    async with FakeServer(latency=0.0, delivery="url") as server:
        server.script(*[faults.download(faults.status(status))] * (1 if made else 8))
        async with client(server) as gen:
            batch = await gen.many(["a"], size="1K")
            assert batch.failures[0].billing == "yes"
            again = await batch.retry_failed()
            assert (again is batch, again[0].ok) == (not made, made)
            assert again.billing.spent == (1 + made) * PRICE
            await assert_settled(gen, server, again)
