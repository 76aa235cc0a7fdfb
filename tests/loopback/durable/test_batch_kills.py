"""Kill a batch call at any moment, start it again: nothing is lost, nothing is bought twice."""

from pathlib import Path

import pytest

from nbp_async.fake.process import spawn
from tests.loopback.durable.child import BATCH_POINTS
from tests.loopback.durable.kills import assert_books, finish, kill_at, task_of

PROMPTS = 8
INLINE = (("send:before", 1), ("head", 1), ("keep_batch:after", 3), ("commit:after", 3))
CASES = [(at, nth, False) for at, nth in BATCH_POINTS] + [(at, nth, True) for at, nth in INLINE]


@pytest.mark.parametrize(("at", "nth", "inline"), CASES)
async def test_killed_at_a_named_point_and_resumed(
    at: str, nth: int, inline: bool, tmp_path: Path
) -> None:
    """What a job makes is at the vendor's whoever dies here: all of it comes, and is paid once."""
    out = tmp_path / "out"
    async with await spawn(latency=30, batch_latency=60, speed=400.0) as server:
        task = task_of(server, out, prompts=PROMPTS, via="batch", inline=inline)
        task["url"] = server.gemini_url
        assert await kill_at({**task, "at": at, "nth": nth}), f"{at} was never passed"
        await assert_books(server, out)

        said = await finish(task)
        report = await assert_books(server, out)
        assert (said["images"], said["unclear"]) == (PROMPTS, 0), said
        stats = await server.stats()
        assert (stats.images, stats.dollars) == (PROMPTS, report.account.spent)
        assert report.account.maybe == 0
    assert not list(out.glob(".*.part")), "no temporary file is left"
    assert len(list(out.glob("0*"))) == PROMPTS
