"""Kill a batch call at any moment, start it again: nothing is lost, nothing is bought twice."""

from pathlib import Path

import pytest

from nbp_async.fake.process import spawn
from tests.loopback.durable.child import BATCH_POINTS
from tests.loopback.durable.kills import assert_books, finish, kill_at, task_of

PROMPTS = 8
INLINE = (("send:before", 1), ("head", 1), ("save_batch:after", 3), ("commit:after", 3))
OPENAI = (
    ("head", 1),
    ("send:before", 2),
    ("head", 2),
    ("save_batch:after", 3),
    ("body", 7),
    ("settle:after", 3),
)
CASES = [
    *((at, nth, "gemini") for at, nth in BATCH_POINTS),
    *((at, nth, "inline") for at, nth in INLINE),
    *((at, nth, "openai_images") for at, nth in OPENAI),
]


@pytest.mark.parametrize(("at", "nth", "way"), CASES)
async def test_killed_at_a_named_point_and_resumed(
    at: str, nth: int, way: str, tmp_path: Path
) -> None:
    """What a job makes is at the vendor's whoever dies here: all of it comes, and is paid once."""
    out = tmp_path / "out"
    async with await spawn(latency=30, batch_latency=60, speed=400.0) as server:
        task = task_of(server, out, prompts=PROMPTS, via="batch", inline=way == "inline")
        task |= {"dialect": way, "url": server.gemini_url}
        if way == "openai_images":
            task["url"] = server.openai_url
        assert await kill_at({**task, "at": at, "nth": nth}), f"{at} was never passed"
        await assert_books(server, out)

        said = await finish(task)
        report = await assert_books(server, out)
        assert (said["images"], said["unclear"]) == (PROMPTS, 0), said
        stats = await server.stats()
        assert (stats.images, stats.dollars) == (PROMPTS, report.totals.spent)
        assert report.totals.maybe == 0
    assert not list(out.glob(".*.part")), "no temporary file is left"
    assert len(list(out.glob("0*"))) == PROMPTS
