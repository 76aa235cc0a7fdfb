"""Kill it at any moment, start it again: nothing is lost, nothing is bought twice in silence."""

import asyncio
import random
from pathlib import Path

import pytest

from nbp_async.fake.process import spawn
from tests.loopback.durable.child import LINKS_ONLY, POINTS
from tests.loopback.durable.kills import assert_books, finish, kill_at, start, task_of

PROMPTS = 8


CASES = [(at, links) for at in POINTS for links in (False, True) if links or at not in LINKS_ONLY]


@pytest.mark.parametrize(("at", "links"), CASES)
async def test_killed_at_a_named_point_and_resumed(at: str, links: bool, tmp_path: Path) -> None:
    out = tmp_path / "out"
    async with await spawn(latency="20-40", speed=400.0) as server:
        task = task_of(server, out, prompts=PROMPTS, links=links, in_flight=3)
        assert await kill_at({**task, "at": at, "nth": 4}), f"{at} was never passed"
        await assert_books(server, out)

        said = await finish(task)
        report = await assert_books(server, out)
        assert said["images"] + said["unclear"] == PROMPTS, said
        assert said["unclear"] <= 3, "no more than was in flight"
        assert report.states.get("armed", 0) == 0

        again = await finish({**task, "resend_ambiguous": True, "max_cost": "20"})
        assert again["images"] == PROMPTS, again
        assert again["resumed"] == said["images"]
        await assert_books(server, out)
    assert not list(out.glob(".*.part")), "no temporary file is left"
    assert len(list(out.glob("0*"))) == PROMPTS


async def test_killed_at_random_moments_until_nothing_is_left_to_do(tmp_path: Path) -> None:
    out, rng = tmp_path / "out", random.Random(11)
    async with await spawn(latency="20-40", speed=300.0) as server:
        task = task_of(server, out, prompts=250, in_flight=4)
        for _ in range(12):
            process = await start(task)
            await asyncio.sleep(rng.uniform(0.45, 0.9))
            if process.returncode is None:
                process.kill()
            await process.communicate()
            if out.exists():
                await assert_books(server, out)
        said = await finish(task)
        assert said["images"] + said["unclear"] == 250
        again = await finish({**task, "resend_ambiguous": True, "max_cost": "200"})
        assert again["images"] == 250
        await assert_books(server, out)
