"""What a stop or a cancellation finds waiting: it ends at once, and what it may cost is named."""

import asyncio
import itertools
import json
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from nbp_async._base.errors import StoppedError
from nbp_async._models.settings import Limits, Retry
from nbp_async._sinks.base import ImageWriter
from nbp_async._sinks.directory import DirectorySink
from nbp_async._sinks.file_threads import FileThreads
from nbp_async._sinks.memory import MemorySink
from nbp_async.testing.transport import Canned, FakeTransport
from tests.unit.flow.helpers import PRICE, assert_settled, client, good, refusal

T = TypeVar("T")
pytestmark = pytest.mark.looptime


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_stop_ends_every_wait_at_once() -> None:
    """One waits out a pause of ten minutes, one a backoff, one for room in the spend window."""
    slowly = Retry(base=60, cap=60, statuses=frozenset({500}), jitter=False)
    cases: list[tuple[FakeTransport, dict[str, object]]] = [
        (FakeTransport(default=refusal(429, retry_after="600")), {}),
        (FakeTransport(default=refusal(500)), {"retry": slowly}),
        (FakeTransport(default=good(hold=1)), {"limits": Limits(spend="$0.20/10min")}),
    ]
    for transport, options in cases:
        async with client(transport, **options) as gen:
            plan = gen.many(["a", "b", "c"])
            task = asyncio.create_task(plan)
            await asyncio.sleep(10)
            plan.stop()
            began = now()
            batch = await task
            assert now() - began < 1
            assert any(isinstance(f.error, StoppedError) for f in batch.failures)
        assert_settled(batch, transport)


async def test_a_cancellation_that_races_a_stop_is_not_swallowed() -> None:
    transport = FakeTransport(default=refusal(429, retry_after="600"))
    async with client(transport) as gen:
        plan = gen.many(["a", "b"])
        task = asyncio.create_task(plan)
        await asyncio.sleep(10)
        plan.stop()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert gen.in_flight == 0


async def test_an_async_generator_of_prompts_is_closed_when_the_run_is() -> None:
    closed = False

    async def prompts() -> AsyncIterator[str]:
        nonlocal closed
        try:
            for n in itertools.count():
                yield f"prompt {n}"
        finally:
            closed = True

    transport = FakeTransport(default=good(hold=10))
    async with client(transport, limits=Limits(max_in_flight=2)) as gen:
        plan = gen.many(prompts())
        task = asyncio.create_task(plan)
        await asyncio.sleep(15)
        plan.stop()
        await task
    assert closed


async def test_a_sink_that_is_cancelled_by_itself_does_not_end_its_worker_in_silence() -> None:
    class Broken(MemorySink):
        async def open(self) -> ImageWriter:
            if transport.billed:
                raise asyncio.CancelledError
            return await super().open()

    transport = FakeTransport(default=good(hold=1))
    async with client(transport) as gen:
        sink = Broken(1 << 20, FileThreads())
        plan = gen.many(["a"], out=sink)
        with pytest.raises(RuntimeError, match="cancelled by itself"):
            await plan
        assert plan.partial.billing.maybe or plan.partial.billing.spent


async def test_the_link_of_a_paid_image_is_in_the_failure_when_the_caller_leaves() -> None:
    body = json.dumps({"data": [{"url": "https://images.example/a.png"}]}).encode()
    transport = FakeTransport(default=Canned(body, hold=1))
    async with client(transport) as gen:
        store = FakeTransport(default=Canned(b"", hold=60))
        gen._open().resources.downloads._transport = store
        plan = gen.many(["a"])
        task = asyncio.create_task(plan)
        await asyncio.sleep(2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (failure,) = plan.partial.failures
    assert failure.billing == "yes"
    assert failure.links == ("https://images.example/a.png",)
    assert len(store.requests) == 1


async def test_an_image_that_was_stored_in_the_moment_of_leaving_is_an_image(
    tmp_path: Path,
) -> None:
    left = threading.Event()

    class Slow(FileThreads):
        """Comes back from storing when the caller has left."""

        async def finish(self, work: Callable[[], T]) -> T:
            def and_wait() -> T:
                result = work()
                left.wait(30)  # in a thread
                return result

            return await super().finish(and_wait)

    threads = Slow()
    transport = FakeTransport(default=good(hold=1))
    async with client(transport) as gen:
        plan = gen.many(["a"], out=DirectorySink(tmp_path, threads), journal=False)
        task = asyncio.create_task(plan)
        while not list(tmp_path.glob("0*")):
            await asyncio.sleep(0.01)
        task.cancel()
        asyncio.get_running_loop().call_soon(left.set)
        with pytest.raises(asyncio.CancelledError):
            await task
        (image,) = plan.partial.images
        assert image.path in set(tmp_path.glob("0*"))
        assert plan.partial.billing.spent == PRICE == gen.bill().spent
    threads.close()
