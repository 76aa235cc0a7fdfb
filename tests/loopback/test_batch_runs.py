"""Batch jobs looked after from a run's folder alone, before the bank."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nbp_async import (
    BatchRun,
    Client,
    ConfigError,
    Failure,
    JournalError,
    Profile,
    TaskLostError,
    TaskOpenError,
    read_run,
    recover_run,
)
from nbp_async._batch_api import batch_client, batch_job, gemini_batch
from nbp_async._batch_api import batch_pool as batch
from nbp_async._batch_api.journal_lines import batches_of
from nbp_async._vendors.profiles import DialectName
from nbp_async.fake import FakeServer, faults
from tests.loopback.play import KEY
from tests.object_server import CREDENTIALS, object_server

PROMPTS = [f"bicycle {number}" for number in range(5)]
HOUR = 3600.0


@pytest.fixture(autouse=True)
def _small_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "MOST_LINES", 3)
    monkeypatch.setattr(gemini_batch, "MOST_INLINE", 0)


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer(keys=[KEY], batch_latency=0.0) as running:
        yield running


def environ(server: FakeServer, key: str = KEY) -> dict[str, str]:
    return {"NBP_BASE_URL": server.gemini_url, "NBP_API_KEY": key}


async def hand_in(
    server: FakeServer, out: Path | str, *, journal: Path | None = None, **options: Any
) -> None:
    async with Client.from_env(environ=environ(server), **options) as gen:
        made = await gen.many(PROMPTS, size="1K", via="batch", out=out, journal=journal, wait=False)
        assert {type(f.error) for f in made.failures} == {TaskOpenError}


def settled(server: FakeServer, folder: Path) -> None:
    """The bank's view: what it billed is what the run's journal says."""
    account = read_run(folder).totals
    assert account.spent <= server.bank.billed <= account.spent + account.maybe
    assert account.images == server.bank.images


async def over(run: BatchRun) -> None:
    """Wait until the vendor has nothing open."""
    while any(job.state in ("open", "doubtful") for job in await run.jobs()):
        await asyncio.sleep(0.01)


async def test_a_run_in_a_moved_folder_is_resumed(server: FakeServer, tmp_path: Path) -> None:
    await hand_in(server, tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    async with BatchRun(tmp_path / "there", environ=environ(server)) as run:
        await over(run)
        jobs = await run.jobs()
        assert [(j.state, j.lines, j.done, j.waiting) for j in jobs] == [
            ("done", 3, 3, 3),
            ("done", 2, 2, 2),
        ]
        made = await run.fetch()
        assert [o.prompt.text for o in made] == PROMPTS
        assert {i.path.parent for i in made.images if i.path} == {tmp_path / "there"}
        assert sum(i.spent_earlier for i in made.images) == server.bank.billed
        assert [j.state for j in await run.jobs()] == ["over", "over"]
        assert not await run.fetch()
    async with Client.from_env(environ=environ(server)) as gen:
        again = await gen.many(PROMPTS, size="1K", via="batch", out=tmp_path / "there")
        assert len(again.images) == 5
        assert server.bank.images == 5, "what was brought is not bought again"
    settled(server, tmp_path / "there")


async def test_inline_results_that_are_broken_end_a_fetch(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gemini_batch, "MOST_INLINE", 19_000_000)
    monkeypatch.setattr(batch_client, "LOOKS", (0.0, 0.0, 0.0))
    server.script(faults.mixed_results(broken=1), match="create")
    await hand_in(server, tmp_path)
    async with BatchRun(tmp_path, environ=environ(server)) as run:
        await over(run)
        made = await run.fetch()
        assert [type(f.error).__name__ for f in made.failures] == ["TruncatedError"]
        assert len(made.images) == 4
        assert Path(made.failures[0].unread).is_file()
        assert [job.state for job in await run.jobs()] == ["over", "over"]
    account = read_run(tmp_path).totals
    assert account.spent <= server.bank.billed <= account.spent * Decimal("1.05")


async def test_what_is_not_done_stays_and_is_named(tmp_path: Path) -> None:
    async with FakeServer(keys=[KEY], batch_latency=HOUR) as server:
        await hand_in(server, tmp_path)
        async with BatchRun(tmp_path, environ=environ(server)) as run:
            made = await run.fetch()
            assert {type(f.error) for f in made.failures} == {TaskOpenError}
            first, second = await run.jobs()
            assert (first.state, first.done, first.waiting) == ("open", 0, 3)
            assert first.most + second.most == sum(a.cost for f in made for a in f.earlier)
            assert first.expires is not None
            assert abs(first.expires - time.time() - 48 * HOUR) < 60
            assert abs(first.made - time.time()) < 60
        assert server.bank.images == 0


async def test_an_interrupted_fetch_is_resumed(server: FakeServer, tmp_path: Path) -> None:
    await hand_in(server, tmp_path)
    async with BatchRun(tmp_path, environ=environ(server)) as run:
        await over(run)
        came = asyncio.Event()
        task = asyncio.ensure_future(run.fetch(lambda _: came.set()))
        await came.wait()
        task.cancel()
        await asyncio.wait([task])
    async with BatchRun(tmp_path, environ=environ(server)) as run:
        await run.fetch()
    found = batches_of(tmp_path / "journal.sqlite3").values()
    assert sum(job.done for job in found) == 5
    settled(server, tmp_path)
    assert len(list(tmp_path.glob("*.jpg"))) == 5


async def test_a_job_in_doubt_is_found_in_the_list_and_fetched(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script(faults.disconnect(), match="create")
    async with Client.from_env(environ=environ(server), rng=lambda: 0.0) as gen:
        with monkeypatch.context() as patch:
            # The process ends before it reads the list, with nothing of it under way: the folder
            # is copied while nobody writes it.
            patch.setattr(batch_job, "POLLS_OF_THE_LIST", (HOUR,))
            task = asyncio.ensure_future(
                gen.many(PROMPTS[:2], via="batch", out=tmp_path, wait=False)
            )
            while server.bank.images < 2:
                await asyncio.sleep(0.01)
            shutil.copytree(tmp_path, tmp_path.with_name("left"))
            task.cancel()
            await asyncio.wait([task])
    async with BatchRun(tmp_path.with_name("left"), environ=environ(server)) as run:
        await over(run)
        assert [job.state for job in await run.jobs()] == ["done"]
        assert len((await run.fetch()).images) == 2
    settled(server, tmp_path.with_name("left"))


async def test_cancelled_jobs_end_and_say_what_they_may_cost(tmp_path: Path) -> None:
    async with FakeServer(keys=[KEY], batch_latency=HOUR) as server:
        await hand_in(server, tmp_path)
        async with BatchRun(tmp_path, environ=environ(server)) as run:
            jobs = await run.cancel()
            assert [job.state for job in jobs] == ["cancelled"] * 2
            assert all(job.most > 0 for job in jobs)
            made = await run.fetch()
            assert {type(f.error) for f in made.failures} == {TaskLostError}
            assert [job.state for job in await run.jobs()] == ["over"] * 2
        settled(server, tmp_path)


async def test_a_vendor_that_does_not_answer_loses_nothing(
    server: FakeServer, tmp_path: Path
) -> None:
    await hand_in(server, tmp_path)
    async with BatchRun(tmp_path, environ=environ(server)) as run:
        await over(run)
        server.script(faults.status(500), faults.status(500), match="look at")
        assert [job.state for job in await run.jobs()] == ["unknown"] * 2
        server.script(faults.status(500), match="look at")
        made = await run.fetch()
        assert "could not be fetched" in str(made.failures[0].error)
        assert len((await run.fetch()).failures) == 0
    settled(server, tmp_path)


async def test_a_key_goes_only_where_its_owner_said(server: FakeServer, tmp_path: Path) -> None:
    await hand_in(server, tmp_path)
    asked = server.stats().requests
    with pytest.raises(ConfigError, match="only its journal says so"):
        async with BatchRun(tmp_path, environ={"NBP_API_KEY": KEY}):
            pass
    with pytest.raises(JournalError, match="another account"):
        async with BatchRun(tmp_path, environ=environ(server, "sk-another-0123456789")):
            pass
    assert server.stats().requests == asked


async def test_a_named_account_needs_no_more_than_its_key(tmp_path: Path) -> None:
    async with FakeServer(keys=[KEY], batch_latency=HOUR) as server:
        await hand_in(server, tmp_path, account="shop: spring")
        async with BatchRun(tmp_path, environ=environ(server)) as run:
            assert len(await run.jobs()) == 2


@pytest.mark.parametrize("dialect", ["gemini", "openai_images"])
async def test_a_profile_of_ones_own_is_known_by_its_address(
    server: FakeServer, tmp_path: Path, dialect: DialectName
) -> None:
    url = server.gemini_url if dialect == "gemini" else server.openai_url
    relay = Profile(name="relay", base_url=url, dialect=dialect, batches=True)
    async with Client(relay, KEY) as gen:
        await gen.many(PROMPTS[:1], size="1K", via="batch", out=tmp_path, wait=False)
    async with BatchRun(tmp_path, environ=environ(server) | {"NBP_BASE_URL": url}) as run:
        await over(run)
        assert len((await run.fetch()).images) == 1
    settled(server, tmp_path)


async def test_images_go_to_the_store_that_the_journal_names(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "run.sqlite3"
    with object_server(tmp_path) as store:
        (store.root / "shop").mkdir()
        for name, value in (CREDENTIALS | {"AWS_ENDPOINT_URL": store.url}).items():
            monkeypatch.setenv(name, value)
        await hand_in(server, "s3://shop/spring", journal=journal)
        async with BatchRun(journal, environ=environ(server)) as run:
            await over(run)
            made = await run.fetch()
        assert all(i.location.startswith("s3://shop/spring/") for i in made.images)
        assert len(list((store.root / "shop" / "spring").iterdir())) == 5
    settled(server, journal)


async def test_results_without_keys_are_kept_in_the_store_and_recovered_from_it(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "run.sqlite3"
    with object_server(tmp_path) as store:
        (store.root / "shop").mkdir()
        for name, value in (CREDENTIALS | {"AWS_ENDPOINT_URL": store.url}).items():
            monkeypatch.setenv(name, value)
        server.script(faults.mixed_results(keyless=True), match="create")
        await hand_in(server, "s3://shop/spring", journal=journal)
        async with BatchRun(journal, out="s3://shop/spring", environ=environ(server)) as run:
            await over(run)
            made = await run.fetch()
        assert [type(f.error) for f in made.failures] == [TaskLostError] * 3
        found = await recover_run(journal, out="s3://shop/spring")
        assert len(found.images) == 3
        assert all("spring/unknown-nbp-" in image.location for image in found.images)
        assert len(list((store.root / "shop" / "spring").glob("*.*"))) == 5
    account = read_run(journal).totals
    assert account.spent <= server.bank.billed <= account.spent + account.maybe


async def test_a_journal_elsewhere_wants_to_know_the_folder(
    server: FakeServer, tmp_path: Path
) -> None:
    journal = tmp_path / "run.sqlite3"
    await hand_in(server, tmp_path / "shop", journal=journal)
    async with BatchRun(journal, environ=environ(server)) as run:
        await over(run)
        with pytest.raises(ConfigError, match="where its images belong"):
            await run.fetch()
    async with BatchRun(journal, out=tmp_path / "shop", environ=environ(server)) as run:
        assert len((await run.fetch()).images) == 5
    settled(server, journal)


async def test_a_run_without_jobs_is_refused(tmp_path: Path) -> None:
    async with Client.fake(server={"latency": 0.0}) as gen:
        made = await gen.many(["a cat"], size="1K", out=tmp_path)
        assert not [o for o in made if isinstance(o, Failure)]
    with pytest.raises(JournalError, match="no batch jobs"):
        async with BatchRun(tmp_path, api_key=KEY):
            pass
