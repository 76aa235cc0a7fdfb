"""Tickets of a run that are made by their numbers, in several streams at once."""

import asyncio
from contextlib import nullcontext
from pathlib import Path

import pytest

from nbp_async import ConfigError
from nbp_async.fake import FakeServer
from tests.databases import database
from tests.loopback.test_open_run import assert_account, made, opened


async def test_they_are_made_alone(tmp_path: Path) -> None:
    async with (
        FakeServer(latency=0.1, delivery="b64_json") as server,
        opened(server, str(tmp_path / "run"), tmp_path) as run,
    ):
        tickets = await run.submit([f"prompt {n}" for n in range(6)])
        chosen = [tickets[:2], [tickets[2].number, 99]]
        done = await asyncio.gather(*(made(run, tickets=some) for some in chosen))
        assert [sorted(one.index for one in some) for some in done] == [[1, 2], [3]]
        assert await made(run, tickets=tickets[:3]) == [], "they have been made"
        counts = await run.counts()
        assert (counts.stored, counts.ready) == (3, 3)
        with pytest.raises(ConfigError, match="tickets end"):
            run.work(tickets=tickets, forever=True)
        assert len(await made(run)) == 3
        await assert_account(run, server)


@pytest.mark.parametrize("kind", ["folder", "database"])
async def test_what_one_stream_has_out_is_no_leftover_for_the_next(
    kind: str, tmp_path: Path
) -> None:
    with database() if kind == "database" else nullcontext(str(tmp_path / "run")) as where:
        async with (
            FakeServer(latency=1.0, delivery="b64_json") as server,
            opened(server, where, tmp_path / "out", in_flight=8) as run,
        ):
            tickets = await run.submit([f"prompt {n}" for n in range(6)])
            first = asyncio.ensure_future(made(run, tickets=tickets[:3]))
            while server.stats().in_flight < 3:
                await asyncio.sleep(0.01)
            second = asyncio.ensure_future(made(run, tickets=tickets[3:]))
            while server.stats().in_flight < 6:
                await asyncio.sleep(0.01)
            states = [one.state for one in await run.status(tickets)]
            assert "failed" not in states, "they are out, and not lost"
            assert (await run.account()).maybe == 0
            assert all(one.ok for one in (*await first, *await second))
            await assert_account(run, server)


async def test_a_run_is_left_while_another_task_works_on_it(tmp_path: Path) -> None:
    async with FakeServer(latency=0.1, delivery="b64_json") as server:
        async with opened(server, str(tmp_path / "run"), tmp_path) as run:
            working = asyncio.ensure_future(made(run, forever=True))
            (ticket,) = await run.submit(["a"])
            assert (await run.wait(ticket)).ok
        await asyncio.wait_for(working, 30)
        assert server.stats().images == 1
