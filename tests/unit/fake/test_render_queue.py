"""The parts of the fake's batch jobs: lines, spools and the render queue."""

import asyncio
import hashlib
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbp_async.fake.render_queue import RenderQueue, split_lines
from nbp_async.fake.spool import Spool


@given(pieces=st.lists(st.lists(st.binary() | st.sampled_from([b"\n", b"a\nb", b"\n\n"]))))
def test_lines_are_the_same_wherever_they_are_cut(pieces: list[list[bytes]]) -> None:
    async def read() -> list[bytes]:
        return [line async for line in split_lines(pieces)]

    data = b"".join(piece for some in pieces for piece in some)
    lines = data.split(b"\n")
    assert asyncio.run(read()) == (lines if lines[-1] else lines[:-1])


async def test_other_tasks_run_while_lines_are_read() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    pieces = [[b"a line\n" * 100]] * 50
    assert len([line async for line in split_lines(pieces)]) == 5000
    assert turns >= 49
    counting.cancel()


def test_a_spool_keeps_little_in_memory_and_returns_everything() -> None:
    spool, whole = Spool(), hashlib.sha256()
    tracemalloc.start()
    for number in range(80):
        data = bytes([number]) * 100_003
        whole.update(data)
        spool.append(data)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2_500_000
    assert (spool.size, spool.sha256) == (8_000_240, whole.digest())
    first, second = spool.content(), spool.content()  # two readers
    assert next(first) == next(second)
    read = hashlib.sha256(bytes(100_003)[: len(next(spool.content())[0])])
    for (piece,) in second:
        read.update(piece)
    assert read.digest() == whole.digest()
    spool.close()
    assert not list(spool.content())


@pytest.mark.looptime
async def test_a_render_queue_renders_evenly_until_it_is_stopped_or_finished() -> None:
    loop = asyncio.get_running_loop()
    done: list[tuple[str, float]] = []
    queue = RenderQueue(
        "abcdef", 10.0, 40.0, lambda item: done.append((item, round(loop.time(), 6)))
    )
    await asyncio.sleep(22)
    assert done == [("a", 15.0), ("b", 20.0)]
    queue.stop()
    await asyncio.sleep(100)
    assert len(done) == 2
    queue.finish()
    queue.finish()
    assert "".join(item for item, _ in done) == "abcdef"
