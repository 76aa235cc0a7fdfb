"""The same call again: what is there is not bought, what is unclear named, what changed new."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nbp_async import (
    Batch,
    Client,
    ConfigError,
    DisconnectedError,
    Failure,
    Image,
    JournalError,
    Limits,
    ParkedError,
    Profile,
    RunBusyError,
    StorageError,
)
from nbp_async._journal.base import JOURNAL
from nbp_async._journal.identity import identity
from nbp_async._journal.reader import read_run
from nbp_async._journal.sqlite import SqliteJournal
from nbp_async._models.outcomes import Job
from nbp_async._vendors.sizes import canvas_for
from nbp_async.fake import FakeServer, faults

PRICE = Decimal("0.134")


@asynccontextmanager
async def vendor(*, links: bool = False, **options: Any) -> AsyncIterator[FakeServer]:
    options["delivery"] = "url" if links else "b64_json"
    async with FakeServer(latency=30.0, speed=2000.0, **options) as server:
        yield server


def client(server: FakeServer, **options: Any) -> Client:
    profile = Profile(
        name="vendor", base_url=server.openai_url, response_format=None, link_lifetime=604800.0
    )
    return Client(profile, server.key, **options)


async def call(server: FakeServer, prompts: list[Any], out: Path, **ask: Any) -> Batch:
    async with client(server) as gen:
        return await gen.many(prompts, size="1K", out=out, **ask)


async def test_what_is_there_is_not_bought_again_and_what_is_new_is(tmp_path: Path) -> None:
    async with vendor() as server:
        await call(server, ["a", "b", "c"], tmp_path)
        batch = await call(server, ["c", "d", "a", "e"], tmp_path)
        assert [i.prompt.text for i in batch.images] == ["c", "d", "a", "e"]
        assert [i.index for i in batch.images] == [0, 1, 2, 3]
        assert [i.resumed for i in batch.images] == [True, False, True, False]
        assert server.bank.images == 5
        assert batch.billing.spent == 2 * PRICE
        assert batch.billing.saved == 2 * PRICE
        assert [image.read()[:4] for image in batch.images] == [b"\x89PNG"] * 4
        report = read_run(tmp_path)
        assert report.totals.spent == server.bank.billed == 5 * PRICE
        assert report.states == {"stored": 5}


async def test_equal_prompts_are_jobs_of_their_own(tmp_path: Path) -> None:
    async with vendor() as server:
        await call(server, ["a", "a"], tmp_path)
        batch = await call(server, ["a", {"text": "a", "n": 2}, "a"], tmp_path)
        assert len({image.path for image in batch.images}) == 4
        assert server.bank.images == 4
        assert batch.billing.saved == 2 * PRICE


@pytest.mark.parametrize(
    "changed",
    [
        {"text": "b"},
        {"size": "2K"},
        {"aspect_ratio": "16:9"},
        {"seed": 7},
        {"extra": {"style": "vivid"}},
        {"references": [b"\x89PNG\r\n\x1a\n" + bytes(20)]},
    ],
)
async def test_another_option_makes_a_new_job(changed: dict[str, Any], tmp_path: Path) -> None:
    async with vendor() as server:
        await call(server, [{"text": "a"}], tmp_path)
        batch = await call(server, [{"text": "a", **changed}], tmp_path)
        assert [image.resumed for image in batch.images] == [False]
        assert server.bank.images == 2


async def test_what_may_have_been_billed_is_reported_and_resent_only_on_request(
    tmp_path: Path,
) -> None:
    async with vendor() as server:
        server.script(faults.reset())
        first = await call(server, ["a", "b"], tmp_path)
        assert first.billing.maybe > PRICE
        second = await call(server, ["a", "b"], tmp_path)
        (parked,) = second.failures
        assert isinstance(parked.error, ParkedError)
        assert parked.billing == "maybe"
        assert second.billing.maybe == first.billing.maybe
        assert "resend_ambiguous=True" in str(parked.error)
        assert server.bank.images == 2
        with pytest.raises(ConfigError, match="max_cost"):
            await call(server, ["a", "b"], tmp_path, resend_ambiguous=True)
        third = await call(server, ["a", "b"], tmp_path, resend_ambiguous=True, max_cost="5")
        assert len(third.images) == 2
        assert server.bank.images == 3
        account = read_run(tmp_path).totals
        assert account.spent <= server.bank.billed <= account.spent + account.maybe


async def test_what_was_refused_unbilled_is_sent_again(tmp_path: Path) -> None:
    async with vendor() as server:
        server.script(faults.status(400))
        first = await call(server, ["a"], tmp_path)
        assert first.failures[0].billing == "no"
        assert (await call(server, ["a"], tmp_path)).images
        assert server.bank.billed == PRICE == read_run(tmp_path).totals.spent


async def test_the_cap_holds_over_all_calls_of_a_run(tmp_path: Path) -> None:
    prompts = [f"prompt {n}" for n in range(10)]
    async with vendor() as server:
        first = await call(server, prompts, tmp_path, max_cost="0.5")
        assert len(first.images) == 3
        second = await call(server, prompts, tmp_path, max_cost="0.5")
        assert len(second.images) == 3
        assert server.bank.images == 3
        third = await call(server, prompts, tmp_path, max_cost="1")
        assert len(third.images) == 7
        assert server.bank.billed == 7 * PRICE


async def test_a_file_that_is_gone_or_was_changed_is_not_bought_again_unasked(
    tmp_path: Path,
) -> None:
    async with vendor() as server:
        first = await call(server, ["a", "b", "c"], tmp_path)
        gone, cut, painted = (image.path for image in first.images)
        assert gone and cut and painted
        gone.unlink()
        cut.write_bytes(cut.read_bytes()[:-1])
        painted.write_bytes(painted.read_bytes()[:-1] + b"x")
        second = await call(server, ["a", "b", "c"], tmp_path)
        assert [o.ok for o in second] == [False, False, True], "a size is always compared"
        assert all(isinstance(f.error, ParkedError) for f in second.failures)
        third = await call(server, ["a", "b", "c"], tmp_path, verify=True)
        assert [o.ok for o in third] == [False, False, False]
        assert server.bank.images == 3
        last = await call(server, ["a", "b", "c"], tmp_path, verify=True, retry_failed=True)
        assert len(last.images) == 3
        assert server.bank.images == 6


async def test_a_link_that_was_not_fetched_is_fetched_by_the_next_call(tmp_path: Path) -> None:
    async with vendor(links=True) as server:
        server.script(faults.download(faults.hang()))
        async with client(server) as gen:
            plan = gen.many(["a"], size="1K", out=tmp_path)
            task = asyncio.create_task(plan)
            while not server.bank.images:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            (failure,) = plan.partial.failures
            assert failure.links
        assert read_run(tmp_path).states == {"answered": 1}
        batch = await call(server, ["x"], tmp_path)
        assert len(batch.images) == 1, "the link is fetched though its prompt is not asked for"
        assert read_run(tmp_path).states == {"stored": 2}
        again = await call(server, ["a"], tmp_path)
        assert again.images[0].resumed
        assert server.bank.images == 2


async def test_a_missing_file_is_fetched_by_its_link_while_that_lives(tmp_path: Path) -> None:
    async with vendor(links=True) as server:
        first = await call(server, ["a"], tmp_path)
        path = first.images[0].path
        assert path is not None
        path.unlink()
        second = await call(server, ["a"], tmp_path)
        assert second.images[0].path == path
        assert path.exists()
        assert server.bank.images == 1


async def test_a_run_can_be_moved(tmp_path: Path) -> None:
    async with vendor() as server:
        await call(server, ["a", "b"], tmp_path / "old")
        shutil.move(tmp_path / "old", tmp_path / "new")
        batch = await call(server, ["a", "b"], tmp_path / "new")
        assert all(image.resumed for image in batch.images)
        assert all(image.path and image.path.parent == tmp_path / "new" for image in batch.images)


async def test_a_second_call_on_the_same_run_is_refused_while_the_first_works(
    tmp_path: Path,
) -> None:
    async with vendor() as server, client(server) as gen:
        task = asyncio.create_task(gen.many(["a"], size="1K", out=tmp_path))
        while not server.stats().in_flight:
            await asyncio.sleep(0.001)
        with pytest.raises(RunBusyError, match=r"Process \d+ is working on this run"):
            await gen.many(["b"], size="1K", out=tmp_path)
        assert len((await task).images) == 1
        assert server.bank.images == 1


async def test_another_accounts_run_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    async with vendor(keys=["sk-first-123456", "sk-second-123456"]) as server:
        await call(server, ["a"], tmp_path)
        before = {path.name: path.read_bytes() for path in tmp_path.glob("journal.s*")}
        profile = Profile(name="vendor", base_url=server.openai_url)
        async with Client(profile, "sk-second-123456") as gen:
            with pytest.raises(JournalError, match="belongs to another account"):
                await gen.many(["a"], size="1K", out=tmp_path)
        assert {path.name: path.read_bytes() for path in tmp_path.glob("journal.s*")} == before
        assert server.bank.images == 1


async def test_an_account_with_a_name_outlives_its_keys(tmp_path: Path) -> None:
    async with vendor(keys=["sk-first-123456", "sk-second-123456"]) as server:
        profile = Profile(name="vendor", base_url=server.openai_url)
        for key in server.bank.accounts:
            async with Client(profile, key, account="shop") as gen:
                batch = await gen.many(["a"], size="1K", out=tmp_path)
                assert len(batch.images) == 1
        assert server.bank.images == 1


async def test_a_journal_that_is_damaged_or_none_of_ours_is_never_overwritten(
    tmp_path: Path,
) -> None:
    async with vendor() as server:
        for content in (b"not a database at all" * 100, b"SQLite format 3\0" + bytes(4096)):
            folder = tmp_path / str(len(content))
            folder.mkdir()
            (folder / "journal.sqlite3").write_bytes(content)
            with pytest.raises(JournalError, match=r"Nothing was changed"):
                await call(server, ["a"], folder)
            assert (folder / "journal.sqlite3").read_bytes() == content
        assert server.stats().requests == 0


async def test_a_run_without_a_folder_may_have_a_journal_of_its_own(tmp_path: Path) -> None:
    journal = tmp_path / "shop.sqlite3"
    async with vendor() as server:
        async with client(server) as gen:
            batch = await gen.many(["a"], size="1K", journal=journal)
            assert batch.images[0].path is None
        async with client(server) as gen:
            again = await gen.many(["a"], size="1K", journal=journal)
            (image,) = again.images
            assert image.resumed
            with pytest.raises(StorageError, match="process that has ended"):
                image.read()
        assert server.bank.images == 1
        assert (tmp_path / "shop.jsonl").exists()


async def test_without_a_journal_nothing_is_remembered(tmp_path: Path) -> None:
    async with vendor() as server:
        for _ in range(2):
            batch = await call(server, ["a"], tmp_path, journal=False)
            assert not batch.images[0].resumed
        assert server.bank.images == 2
        assert not list(tmp_path.glob("journal*"))


async def test_options_of_a_run_need_one() -> None:
    async with vendor() as server, client(server) as gen:
        for ask in ({"retry_failed": True}, {"journal": True}, {"verify": True}):
            with pytest.raises(ConfigError, match="Nothing was sent"):
                gen.many(["a"], **ask)  # type: ignore[arg-type]


async def test_a_plan_says_what_is_there_and_what_it_would_buy(tmp_path: Path) -> None:
    async with vendor() as server:
        server.script(faults.reset())
        await call(server, ["a", "b", "c"], tmp_path)
        async with client(server, limits=Limits(max_in_flight=2, rate="60/min")) as gen:
            plan = gen.many([*"abcdefg"], size="1K", out=tmp_path)
            found = plan.preview()
            assert (found.images, found.there, found.unclear, found.to_send) == (7, 2, 1, 4)
            assert found.cost == 4 * PRICE
            assert found.most > found.cost
            assert found.seconds == 200
            assert found.fits
            assert "7 images: 4 to make, about $0.54" in repr(plan)
            plan.close()
            resend = gen.many([*"abc"], size="1K", out=tmp_path, resend_ambiguous=True, max_cost=9)
            assert resend.preview().to_send == 1
            resend.close()
            lazy = gen.many(iter("abc"))
            with pytest.raises(ConfigError, match="drawn lazily"):
                lazy.preview()
            lazy.close()
        assert server.stats().requests == 3


async def test_the_manifest_has_one_line_for_each_outcome_even_after_a_torn_end(
    tmp_path: Path,
) -> None:
    manifest = tmp_path / "manifest.jsonl"
    async with vendor() as server:
        server.script(faults.status(400))
        await call(server, ["a", "b", "c"], tmp_path)
        assert manifest.read_text().count("\n") == 3
        manifest.write_text(manifest.read_text()[:-20])
        batch = await call(server, ["a", "b", "c"], tmp_path)
        assert len(batch.images) == 3
        lines = [line for line in manifest.read_text().splitlines() if '"ok":true' in line]
        assert len(lines) == 3 == manifest.read_text().count("\n")


async def test_a_cancelled_run_names_what_was_out_in_its_journal(tmp_path: Path) -> None:
    async with FakeServer(latency=100.0, speed=100.0) as server:
        async with client(server, limits=Limits(max_in_flight=5)) as gen:
            plan = gen.many([*"abcdefgh"], size="1K", out=tmp_path)
            task = asyncio.create_task(plan)
            while server.stats().in_flight < 5:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await server.drain()
        report = read_run(tmp_path)
        assert report.states == {"failed": 5}
        unclear = [row for row in report.rows() if row.billing == "maybe"]
        assert len(unclear) == 5
        assert report.totals.spent <= server.bank.billed <= report.totals.maybe


async def test_a_failure_that_is_resumed_keeps_what_it_was(tmp_path: Path) -> None:
    async with vendor() as server:
        server.script(faults.reset())
        first = await call(server, ["a"], tmp_path)
        (failure,) = first.failures
        assert isinstance(failure.error, DisconnectedError)
        (again,) = (await call(server, ["a"], tmp_path)).failures
        assert isinstance(again, Failure)
        assert "DisconnectedError" in str(again.error)
        assert not isinstance(again, Image)


async def test_a_resent_prompt_keeps_its_idempotency_key_over_processes(tmp_path: Path) -> None:
    async with vendor(idempotency=True) as server:
        profile = Profile(name="vendor", base_url=server.openai_url, idempotency=True)
        server.script(faults.reset())
        asks: list[dict[str, Any]] = [{}, {"resend_ambiguous": True, "max_cost": "5"}]
        for ask in asks:
            async with Client(profile, server.key) as gen:
                batch = await gen.many(["a", "b"], size="1K", out=tmp_path, **ask)
        assert len(batch.images) == 2
        assert server.bank.images == 2, "the vendor knew it again, and billed it once"
        assert server.stats().requests == 3


async def test_a_link_that_was_journaled_in_the_last_moment_is_paid_for_once(
    tmp_path: Path,
) -> None:
    """The process ended between the answer and the download."""
    async with vendor(links=True) as server:
        lost = (await call(server, ["a"], tmp_path / "other")).images[0]
        async with client(server) as gen:
            plan = gen.many(["a"], size="1K", out=tmp_path)
            account = gen._accounts.owner
            plan.close()
        journal = await SqliteJournal.open(
            tmp_path / JOURNAL, account=account, folder=tmp_path, wall_clock=time.time
        )
        canvas = canvas_for("nano-banana-pro", "1K", None)
        job = Job(0, lost.prompt, 0, "nano-banana-pro", canvas, PRICE, PRICE)
        entry = await journal.claim(job, identity(job, account, ()))
        await journal.arm(entry.item, 1, PRICE, 2 * PRICE, "000000")
        await journal.record_answer(entry.item, 1, (lost.url,), None, "req-1")
        await journal.aclose()
        batch = await call(server, ["a"], tmp_path)
        (image,) = batch.images
        assert image.resumed
        assert image.sha256 == lost.sha256
        assert server.bank.images == 1
        report = read_run(tmp_path)
        assert (report.totals.spent, report.totals.maybe) == (PRICE, Decimal(0))
