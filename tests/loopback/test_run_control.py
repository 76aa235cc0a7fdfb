"""A run that is looked after without a key, and what its readers say of the queue."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from nbp_async import (
    Client,
    ConfigError,
    Image,
    Limits,
    Listener,
    NoRunError,
    Outcome,
    Profile,
    RunControl,
    RunLimits,
    read_run,
)
from nbp_async.fake import FakeServer
from tests.loopback import test_open_run
from tests.loopback.test_open_run import PRICE, assert_account, made, opened

# Fixtures, which pytest finds here by their names.
where, address, server = test_open_run.where, test_open_run.address, test_open_run.server


async def test_a_run_is_looked_after_without_a_key(
    server: FakeServer, where: str, tmp_path: Path
) -> None:
    with pytest.raises(NoRunError):
        await RunControl(where).__aenter__()
    async with opened(server, where, tmp_path / "out") as run:
        first, second = await run.submit(["a", "b"], owner="ann")
        assert first.held == second.held > PRICE
    async with RunControl(where) as control:
        assert (await control.account("ann")).held == first.held * 2
        await control.set_budget("ann", "5")
        assert await control.cancel([first]) == {first.number: "cancelled"}
        assert not (await control.wait(first)).ok
        assert [one.state for one in await control.tickets("ann")] == ["failed", "queued"]
    async with opened(server, where, tmp_path / "out") as run:
        (image,) = await made(run)
        assert image.index == second.number
        assert await run.budgets("ann") == {"all": Decimal(5)}
        await assert_account(run, server)
    async with RunControl(where) as control:
        found = await control.wait(second)
        assert isinstance(found, Image)
        assert Path(found.location).stat().st_size == found.stored.size


async def test_who_only_submits_need_not_say_where_images_go(
    server: FakeServer, address: str, tmp_path: Path
) -> None:
    profile = Profile(name="vendor", base_url=server.openai_url)
    async with Client(profile, server.key) as gen:
        with pytest.raises(NoRunError, match="There is no run"):
            await gen.open_run(address).__aenter__()
        async with opened(server, address, tmp_path / "out") as worker:
            async with gen.open_run(address, size="1K") as run:
                (ticket,) = await run.submit(["a"])
                with pytest.raises(ConfigError, match="need one place for its images"):
                    run.work()
            assert [outcome.index for outcome in await made(worker)] == [ticket.number]
            await assert_account(worker, server)


async def test_limits_are_kept_in_the_run(server: FakeServer, address: str, tmp_path: Path) -> None:
    async with opened(server, address, tmp_path / "out") as run:
        assert await run.limits() == RunLimits()
        await run.limit(Limits(max_in_flight=7, rate="120/min", burst=2, spend="5/hour"))
    async with RunControl(address) as control:
        limits = await control.limits()
        assert limits == RunLimits(7, 0.5, 2, Decimal(5), 3600.0)
        await control.limit(RunLimits(max_in_flight=None, rate_seconds=limits.rate_seconds))
        assert await control.limits() == RunLimits(rate_seconds=0.5)


async def test_a_reader_names_tickets_and_what_they_hold(
    server: FakeServer, where: str, tmp_path: Path
) -> None:
    async with opened(server, where, tmp_path / "out") as run:
        done, left = await run.submit(["a", "b"])
        await run.cancel([left])
        await made(run)
        (waits,) = await run.submit(["c"])
    report = read_run(where)
    assert [(row.ticket, row.state, row.held_usd) for row in report.rows()] == [
        (done.number, "stored", 0),
        (left.number, "failed", 0),
        (waits.number, "queued", waits.held),
    ]
    assert [outcome.ok for outcome in report.outcomes()] == [True, False]


class Outcomes(Listener):
    """What a listener hears."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def on_outcome(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


async def test_listeners_hear_once_of_what_is_cancelled_while_it_is_out(tmp_path: Path) -> None:
    heard = Outcomes()
    async with FakeServer(latency=30.0, delivery="b64_json") as server:
        profile = Profile(name="vendor", base_url=server.openai_url)
        async with (
            Client(profile, server.key, listeners=[heard]) as gen,
            gen.open_run(tmp_path / "run", size="1K") as run,
        ):
            (ticket,) = await run.submit(["a"])
            working = asyncio.ensure_future(made(run))
            while server.stats().in_flight == 0:
                await asyncio.sleep(0.01)
            await run.cancel([ticket], accept_price=True)
            assert await working == heard.outcomes
            (outcome,) = heard.outcomes
            assert outcome.maybe_spent > 0
            await assert_account(run, server, lost=outcome.maybe_spent)
