"""Kill it at any moment, start it again: nothing is lost, nothing is bought twice in silence."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from nbp_async import recover_run
from nbp_async.fake.process import SpawnedServer, spawn
from tests.loopback.durable.child import KEPT_ONLY, LINKS_ONLY, POINTS, TASKS_ONLY
from tests.loopback.durable.kills import (
    Child,
    assert_books,
    billed,
    finish,
    has_begun,
    kill_at,
    task_of,
)

PROMPTS = 8


LINKS: dict[str, Any] = {"links": True}
TASKS: dict[str, Any] = {"links": True, "via": "poll"}
WAYS: dict[str, dict[str, Any]] = {"held": {}, "links": LINKS, "tasks": TASKS}
CASES = [
    (at, way)
    for at in POINTS
    for way in WAYS
    if (way != "held" or at not in LINKS_ONLY) and (way == "tasks" or at not in TASKS_ONLY)
]


@pytest.mark.parametrize(("at", "way"), CASES)
async def test_killed_at_a_named_point_and_resumed(at: str, way: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    async with await spawn(latency="20-40", speed=400.0) as server:
        task = task_of(server, out, prompts=PROMPTS, in_flight=3) | WAYS[way]
        assert await kill_at({**task, "at": at, "nth": 4}), f"{at} was never passed"
        await assert_books(server, out)

        said = await finish(task)
        report = await assert_books(server, out)
        assert said["images"] + said["unclear"] == PROMPTS, said
        assert said["unclear"] <= 3, "no more than was in flight"
        assert report.states.get("armed", 0) == report.states.get("submitted", 0) == 0

        again = await finish({**task, "resend_ambiguous": True, "max_cost": "20"})
        assert again["images"] == PROMPTS, again
        assert again["resumed"] == said["images"]
        await assert_books(server, out)
    assert not list(out.glob(".*.part")), "no temporary file is left"
    assert len(list(out.glob("0*"))) == PROMPTS


KEPT_POINTS = ["body", *KEPT_ONLY, "settle:before", "settle:after", "finish:before", "finish:after"]


async def recover_all(server: SpawnedServer, out: Path) -> int:
    """Read kept answers with a version that can; how many images that gave."""
    before = await billed(server)
    batch = await recover_run(out)
    assert not batch.failures
    assert await billed(server) == before, "nothing was bought"
    assert not (out / "unread").exists()
    await assert_books(server, out)
    return len(batch.images)


@pytest.mark.parametrize("at", KEPT_POINTS)
async def test_killed_with_kept_answers_and_recovered(at: str, tmp_path: Path) -> None:
    """What a killed process kept is an image afterwards, and is not bought again."""
    out = tmp_path / "out"
    async with await spawn(latency="20-40", speed=400.0) as server:
        task = task_of(server, out, prompts=PROMPTS, in_flight=2, blind=True)
        assert await kill_at({**task, "at": at, "nth": 3}), f"{at} was never passed"
        await assert_books(server, out)
        if at == "keep:after":
            assert len(list((out / "unread").glob("*.reply"))) == 3
        recovered = await recover_all(server, out)

        said = await finish(task)
        assert said["resumed"] >= recovered
        await assert_books(server, out)
        recovered += await recover_all(server, out)
        assert recovered >= 3

        again = await finish({**task, "blind": False, "resend_ambiguous": True, "max_cost": "20"})
        assert again["images"] == PROMPTS, again
        await assert_books(server, out)
    assert len(list(out.glob("0*"))) == PROMPTS
    assert not list(out.glob(".*.part"))


async def test_killed_with_kept_answers_at_random_moments(tmp_path: Path) -> None:
    out, rng = tmp_path / "out", random.Random(12)
    async with await spawn(latency="20-40", speed=300.0) as server:
        task = task_of(server, out, prompts=60, in_flight=4, blind=True)
        for _ in range(6):
            process = Child(task)
            await asyncio.sleep(rng.uniform(0.1, 0.5))
            process.kill()
            await process.end()
            if await has_begun(server, out):
                await assert_books(server, out)
                if rng.random() < 0.5:
                    await recover_all(server, out)
        await finish(task)
        await recover_all(server, out)
        again = await finish({**task, "blind": False, "resend_ambiguous": True, "max_cost": "99"})
        assert again["images"] == 60
        await assert_books(server, out)


async def test_killed_at_random_moments_until_nothing_is_left_to_do(tmp_path: Path) -> None:
    out, rng = tmp_path / "out", random.Random(11)
    async with await spawn(latency="20-40", speed=300.0) as server:
        task = task_of(server, out, prompts=250, in_flight=4)
        for _ in range(12):
            process = Child(task)
            await asyncio.sleep(rng.uniform(0.1, 0.5))
            process.kill()
            await process.end()
            if await has_begun(server, out):
                await assert_books(server, out)
        said = await finish(task)
        assert said["images"] + said["unclear"] == 250
        again = await finish({**task, "resend_ambiguous": True, "max_cost": "200"})
        assert again["images"] == 250
        await assert_books(server, out)


async def test_a_killed_run_of_tasks_asks_for_them_and_buys_none_again(tmp_path: Path) -> None:
    """Killed when most were submitted: what had an id is fetched, and only that is there twice."""
    out = tmp_path / "out"
    async with await spawn(latency="20-40", speed=20.0) as server:
        task = task_of(server, out, prompts=30, in_flight=2) | TASKS
        process = Child(task)
        while (await server.stats()).open_tasks < 15:
            await asyncio.sleep(0.02)
        process.kill()
        await process.end()
        open_now = (await assert_books(server, out)).states.get("submitted", 0)
        said = await finish(task)
        assert said["images"] + said["unclear"] == 30
        assert said["unclear"] <= 2
        assert said["resumed"] >= open_now
        await assert_books(server, out)
