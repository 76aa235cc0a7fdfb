"""A run as a queue: submitted to, worked on, waited for and cancelled, in a file and a database."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nbp_async import (
    BudgetError,
    Client,
    ConfigError,
    Image,
    Limits,
    NbpError,
    Profile,
    Run,
    RunBusyError,
)
from nbp_async._journal.postgres import PostgresJournal
from nbp_async._journal.postgres_queue import PostgresQueue
from nbp_async.fake import FakeServer, faults
from tests.databases import database
from tests.pictures import png

PRICE = Decimal("0.134")


@pytest.fixture(params=["folder", "database"])
def where(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """What names the run."""
    if request.param == "folder":
        yield str(tmp_path / "run")
        return
    monkeypatch.setattr(PostgresQueue, "poll", 0.02)
    monkeypatch.setattr(PostgresJournal, "sweep", 0.05)
    with database() as address:
        yield address


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A run that many processes may open."""
    monkeypatch.setattr(PostgresQueue, "poll", 0.02)
    monkeypatch.setattr(PostgresJournal, "sweep", 0.05)
    with database() as found:
        yield found


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer(latency=0.1, delivery="b64_json") as running:
        yield running


@asynccontextmanager
async def opened(
    server: FakeServer, where: str, out: Path, *, in_flight: int = 4, **more: Any
) -> AsyncIterator[Run]:
    profile = Profile(name="vendor", base_url=server.openai_url, response_format=None)
    given: dict[str, Any] = {"size": "1K"} | more
    if where.startswith("postgresql"):
        given["out"] = out
    async with (
        Client(profile, server.key, limits=Limits(max_in_flight=in_flight)) as gen,
        gen.open_run(where, **given) as run,
    ):
        yield run


async def made(run: Run, **more: Any) -> list[Any]:
    return [outcome async for outcome in run.work(**more)]


async def assert_account(run: Run, server: FakeServer, *, lost: Decimal = Decimal(0)) -> None:
    """What the run says it spent, and perhaps spent, is what the bank billed."""
    stats, account = server.stats(), await run.account()
    assert account.spent <= stats.dollars <= account.spent + account.maybe
    assert account.held == 0
    assert account.maybe <= lost


async def test_submitted_images_are_made_and_every_ticket_has_its_outcome(
    server: FakeServer, where: str, tmp_path: Path
) -> None:
    async with opened(server, where, tmp_path / "out") as run:
        tickets = await run.submit(["a red bicycle", {"text": "a green one", "n": 2}], owner="ann")
        assert (await run.counts()).ready == 3
        outcomes = await made(run)
        assert sorted(o.index for o in outcomes) == [t.number for t in tickets]
        image = await run.wait(tickets[0])
        assert isinstance(image, Image)
        assert image.path is not None
        assert image.path.stat().st_size == image.stored.size
        assert (image.cost, image.prompt.text) == (PRICE, "a red bicycle")
        found = [outcome async for outcome in run.outcomes("ann")]
        assert [o.index for o in found] == [t.number for t in tickets]
        (status,) = await run.status([tickets[1]])
        assert (status.state, status.spent, status.owner) == ("stored", PRICE, "ann")
        assert [one.number for one in await run.tickets("ann", count=2)] == [1, 2]
        assert await run.account("ann") == await run.account()
        await assert_account(run, server)


async def test_a_key_submits_once_from_whatever_process(
    server: FakeServer, where: str, tmp_path: Path
) -> None:
    for _ in range(2):
        async with opened(server, where, tmp_path / "out") as run:
            tickets = await run.submit(["a", "b"], key="order 7")
            await made(run)
    assert [ticket.is_new for ticket in tickets] == [False, False]
    assert server.stats().images == 2
    async with opened(server, where, tmp_path / "out") as run:
        with pytest.raises(ConfigError, match="stands for another submission"):
            await run.submit(["c"], key="order 7")


async def test_money_is_refused_before_anything_is_queued(
    server: FakeServer, where: str, tmp_path: Path
) -> None:
    async with opened(server, where, tmp_path / "out", max_cost="0.30") as run:
        await run.set_budget("ann", "0.10", per="month")
        assert await run.budgets("ann") == {"month": Decimal("0.10")}
        with pytest.raises(BudgetError, match=r"left of what its owner may spend"):
            await run.submit(["d"], owner="ann")
        with pytest.raises(BudgetError, match=r"left of what the run may spend"):
            await run.submit(["a", "b", "c"])
        assert (await run.counts()).ready == 0
        assert len(await run.submit(["a", "b", "c"], part=True)) == 2
        assert len(await made(run)) == 2
        await assert_account(run, server)


async def test_what_failed_for_nothing_is_made_when_it_is_queued_again(
    server: FakeServer, where: str, tmp_path: Path
) -> None:
    server.script(faults.status(400))
    async with opened(server, where, tmp_path / "out") as run:
        (ticket,) = await run.submit(["a"])
        assert not (await made(run))[0].ok
        assert not (await run.wait(ticket)).ok
        assert await run.requeue([ticket]) == [ticket.number]
        assert (await made(run))[0].ok
        assert (await run.wait(ticket)).ok
        await assert_account(run, server)


async def test_references_are_stored_with_the_run(
    server: FakeServer, where: str, tmp_path: Path
) -> None:
    file = tmp_path / "photo.png"
    file.write_bytes(png(64, 64))
    prompt = {"text": "like this", "references": [file, png(32, 32), "https://example.com/a.png"]}
    async with opened(server, where, tmp_path / "out") as run:
        (ticket,) = await run.submit([prompt])
    file.unlink()
    async with opened(server, where, tmp_path / "out") as run:
        await made(run)
        image = await run.wait(ticket)
        assert isinstance(image, Image), image
        assert image.prompt.references == (
            str(file),
            f"{len(png(32, 32))} bytes",
            prompt["references"][2],
        )


async def test_a_prompt_that_cannot_be_made_queues_nothing(
    server: FakeServer, where: str, tmp_path: Path
) -> None:
    async with opened(server, where, tmp_path / "out") as run:
        with pytest.raises(ConfigError, match="16K"):
            await run.submit(["a", {"text": "b", "size": "16K"}])
        assert (await run.counts()).ready == 0


async def test_work_goes_on_for_ever_until_it_is_stopped(
    server: FakeServer, where: str, tmp_path: Path
) -> None:
    async with opened(server, where, tmp_path / "out") as run:
        stream = run.work(forever=True)
        with pytest.raises(ConfigError, match="works on the run already"):
            run.work()
        working = asyncio.ensure_future(_all(stream))
        for n in range(3):
            (ticket,) = await run.submit([f"prompt {n}"])
            assert (await run.wait(ticket)).ok
        stream.stop()
        assert len(await working) == 3
        await run.submit(["left"])
        await run.pause("for the night")
        assert (await run.counts()).paused == "for the night"
        later = asyncio.ensure_future(made(run))
        await asyncio.sleep(0.1)
        assert server.stats().images == 3
        await run.resume()
        assert len(await later) == 1
        await assert_account(run, server)


async def _all(stream: Any) -> list[Any]:
    return [outcome async for outcome in stream]


async def test_leaving_the_run_waits_for_what_was_sent(
    server: FakeServer, where: str, tmp_path: Path
) -> None:
    async with opened(server, where, tmp_path / "out") as run:
        tickets = await run.submit([f"prompt {n}" for n in range(20)])
        async for _ in run.work():
            break
    async with opened(server, where, tmp_path / "out") as run:
        counts = await run.counts()
        assert counts.stored == server.stats().images
        assert counts.stored + counts.ready == len(tickets)
        await made(run)
        await assert_account(run, server)


async def test_changes_are_watched_from_another_task(
    server: FakeServer, where: str, tmp_path: Path
) -> None:
    seen: Counter[str] = Counter()

    async def watch(run: Run) -> None:
        async for status in run.watch():
            seen[status.state] += 1
            if seen["stored"] == 2:
                return

    async with opened(server, where, tmp_path / "out") as run:
        watching = asyncio.ensure_future(watch(run))
        await asyncio.sleep(0)
        await run.submit(["a", "b"])
        await made(run)
        await asyncio.wait_for(watching, 30)
    assert seen["stored"] == 2


async def test_a_folder_belongs_to_one_process_and_has_no_limits_for_many(
    server: FakeServer, tmp_path: Path
) -> None:
    where = str(tmp_path / "run")
    async with opened(server, where, tmp_path) as run:
        with pytest.raises(RunBusyError):
            async with opened(server, where, tmp_path):
                pass
        with pytest.raises(ConfigError, match="give the limits to its client"):
            await run.limit(Limits(max_in_flight=3))
        with pytest.raises(ConfigError, match="no ticket 7"):
            await run.wait(7)
        with pytest.raises(ConfigError, match="is a Ticket or its number"):
            await run.status(["a"])  # type: ignore[list-item]
    with pytest.raises(ConfigError, match="not open"):
        await run.counts()


async def test_batch_jobs_are_no_work_for_a_queue(server: FakeServer, tmp_path: Path) -> None:
    profile = Profile(name="vendor", base_url=server.openai_url)
    async with Client(profile, server.key) as gen:
        with pytest.raises(NbpError, match="image by image"):
            gen.open_run(tmp_path / "run", via="batch")


async def test_many_processes_share_the_work_and_its_limit(
    server: FakeServer, address: str, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        runs = [
            await stack.enter_async_context(opened(server, address, tmp_path / "out"))
            for _ in range(3)
        ]
        await runs[0].limit(Limits(max_in_flight=2))
        tickets = await runs[0].submit([f"prompt {n}" for n in range(24)])
        done = await asyncio.gather(*map(made, runs))
        numbers = sorted(outcome.index for some in done for outcome in some)
        assert numbers == [ticket.number for ticket in tickets]
        assert server.stats().peak_in_flight <= 2
        outcomes = await asyncio.gather(*(runs[2].wait(ticket) for ticket in tickets))
        assert all(outcome.ok for outcome in outcomes)
        await assert_account(runs[1], server)


async def test_a_429_at_one_process_holds_all_back(
    server: FakeServer, address: str, tmp_path: Path
) -> None:
    server.script(faults.rate_limited(30.0))
    async with (
        opened(server, address, tmp_path / "out") as one,
        opened(server, address, tmp_path / "out") as other,
    ):
        await one.submit(["a"])
        working = asyncio.ensure_future(made(one))
        while server.stats().requests == 0:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        await other.submit(["b"])
        second = asyncio.ensure_future(made(other))
        await asyncio.sleep(0.3)
        assert server.stats().requests == 1
        for task in (working, second):
            task.cancel()
        await asyncio.wait([working, second])


async def test_a_hundred_that_wait_are_woken_each_by_its_own(
    server: FakeServer, where: str, tmp_path: Path
) -> None:
    async with opened(server, where, tmp_path / "out", in_flight=20) as run:
        tickets = await run.submit([f"prompt {n}" for n in range(100)], note="for the shop")
        waiting = [asyncio.ensure_future(run.wait(ticket)) for ticket in tickets]
        await asyncio.sleep(0)
        assert await run.position(tickets[5]) == 5
        await made(run)
        outcomes = await asyncio.gather(*waiting)
        assert [outcome.index for outcome in outcomes] == [ticket.number for ticket in tickets]
        assert {one.note for one in await run.status(tickets)} == {"for the shop"}
        assert await run.position(tickets[5]) is None
        left = asyncio.ensure_future(run.wait((await run.submit(["never made"]))[0]))
        await asyncio.sleep(0.05)
    with pytest.raises(asyncio.CancelledError):
        await left
