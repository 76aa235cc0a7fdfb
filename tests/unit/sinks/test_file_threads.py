"""Blocking work in threads: what was begun is waited for, what was not is dropped."""

import asyncio
import hashlib
import threading

import pytest

from nbp_async._sinks.file_threads import MAX_THREADS, FileThreads


@pytest.mark.looptime
async def test_virtual_time_stands_still_while_a_thread_works() -> None:
    loop = asyncio.get_running_loop()
    timer = loop.call_later(30, lambda: None)
    digest = await FileThreads().run(lambda: hashlib.pbkdf2_hmac("sha256", b"", b"", 100_000))
    assert len(digest) == 32
    assert loop.time() == 0
    timer.cancel()


async def test_a_cancelled_caller_waits_for_what_has_begun() -> None:
    threads, begun, finish = FileThreads(), threading.Event(), threading.Event()
    done: list[str] = []

    def work() -> None:
        begun.set()
        finish.wait()
        done.append("written")

    caller = asyncio.create_task(threads.run(work))
    await asyncio.to_thread(begun.wait)
    caller.cancel()
    await asyncio.sleep(0)
    assert not caller.done()
    finish.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done == ["written"]


@pytest.mark.parametrize("must_finish", [False, True])
async def test_a_cancelled_caller_drops_what_is_queued_unless_it_must_be_done(
    must_finish: bool,
) -> None:
    threads, finish = FileThreads(), threading.Event()
    busy = [asyncio.create_task(threads.run(finish.wait)) for _ in range(MAX_THREADS)]
    await asyncio.sleep(0)
    done: list[str] = []
    run = threads.finish if must_finish else threads.run
    caller = asyncio.create_task(run(lambda: done.append("written")))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.sleep(0)
    assert caller.done() is not must_finish
    finish.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await asyncio.gather(*busy)
    await threads.run(lambda: None)
    assert done == (["written"] if must_finish else [])
