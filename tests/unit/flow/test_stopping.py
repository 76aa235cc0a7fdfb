"""How a call ends early: stopped, cancelled, refused, out of time; nothing is lost or hidden."""

import asyncio
import gc
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from nbp_async._base.errors import (
    AuthError,
    CancelledAttemptError,
    ClosedError,
    ConfigError,
    ConnectError,
    RateLimitError,
    StoppedError,
    StorageError,
)
from nbp_async._base.http import HttpRequest
from nbp_async._calls.batch import Batch
from nbp_async._client.client import Client
from nbp_async._models.outcomes import Failure, Image, Stored
from nbp_async._models.settings import Limits, Retry, Timeouts
from nbp_async._sinks.base import ImageWriter
from nbp_async._sinks.file_threads import FileThreads
from nbp_async._sinks.memory import MemorySink
from nbp_async._transports.base import Reply
from nbp_async._transports.stage_timer import StageTimer
from nbp_async.testing.transport import Canned, FakeTransport
from tests.unit.flow.helpers import MOST, assert_settled, client, good, refusal

pytestmark = pytest.mark.looptime


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_what_the_iterable_raises_comes_after_what_was_paid_has_ended() -> None:
    def prompts() -> Iterator[str]:
        yield from ("a", "b")
        raise RuntimeError("the file is broken")

    transport = FakeTransport(default=good())
    async with client(transport) as gen:
        plan = gen.many(prompts())
        with pytest.raises(RuntimeError, match="the file is broken"):
            await plan
        assert [o.ok for o in plan.partial] == [True, True]
    assert transport.billed == 2


async def test_stopping_sends_nothing_more_and_waits_for_what_is_paid() -> None:
    transport = FakeTransport(default=good(hold=60))
    async with client(transport, limits=Limits(max_in_flight=3)) as gen:
        plan = gen.many(f"prompt {n}" for n in range(100))
        task = asyncio.create_task(plan)
        await asyncio.sleep(90)
        plan.stop()
        batch = await task
        assert now() == pytest.approx(120, abs=0.1)
    assert len(batch.images) == 6
    assert isinstance(batch.stopped, StoppedError)
    assert_settled(batch, transport)


async def test_a_stopped_list_names_what_was_not_sent() -> None:
    transport = FakeTransport(default=good(hold=60))
    async with client(transport, limits=Limits(max_in_flight=1)) as gen:
        plan = gen.many(["a", "b", "c"])
        task = asyncio.create_task(plan)
        await asyncio.sleep(10)
        plan.stop()
        batch = await task
    assert len(batch.images) == 1
    assert transport.billed == 1


async def test_cancelling_frees_everything_and_says_what_may_have_been_billed() -> None:
    transport = FakeTransport(default=good(hold=60))
    async with client(transport, limits=Limits(max_in_flight=5)) as gen:
        plan = gen.many(f"prompt {n}" for n in range(100))
        task = asyncio.create_task(plan)
        await asyncio.sleep(90)  # five done, five out
        before = now()
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert now() - before < 0.1
        assert gen.in_flight == 0
        partial = plan.partial
        assert [o.ok for o in partial] == [True] * 5 + [False] * 5
        assert {f.billing for f in partial.failures} == {"maybe"}
        assert all(isinstance(f.error, CancelledAttemptError) for f in partial.failures)
        assert "5 images were in flight and may have been billed: up to $0.73" in str(
            caught.value.__notes__
        )
        assert gen.bill().maybe == 5 * MOST
        assert_settled(partial, transport)
        assert len(asyncio.all_tasks()) == 1


async def test_leaving_a_stream_early_cancels_what_is_out() -> None:
    transport = FakeTransport(good(hold=1), default=good(hold=60))
    async with client(transport, limits=Limits(max_in_flight=3)) as gen:
        async for outcome in gen.stream(f"prompt {n}" for n in range(100)):
            assert outcome.ok
            break
        gc.collect()
        await asyncio.sleep(0.01)
        assert transport.in_flight == 0
        assert gen.in_flight == 0


async def test_a_closed_stream_names_what_may_have_been_billed() -> None:
    transport = FakeTransport(good(hold=1), default=good(hold=60))
    async with client(transport, limits=Limits(max_in_flight=3)) as gen:
        async with gen.stream(f"prompt {n}" for n in range(100)) as stream:
            await anext(stream)
            await asyncio.sleep(5)
        assert len(stream.dropped) == 3
        assert {o.billing for o in stream.dropped} == {"maybe"}


async def test_what_ended_and_was_not_consumed_is_handed_out_when_a_stream_is_closed() -> None:
    transport = FakeTransport(default=good(hold=10))
    async with client(transport, limits=Limits(max_in_flight=5)) as gen:
        async with gen.stream(f"prompt {n}" for n in range(100)) as stream:
            first = await anext(stream)
            await asyncio.sleep(500)
        assert_settled(Batch([first, *stream.dropped]), transport)
        assert sum(o.ok for o in stream.dropped) + 1 == transport.billed > 5


async def test_three_refused_keys_in_a_row_stop_the_run() -> None:
    transport = FakeTransport(default=refusal(401))
    async with client(transport, limits=Limits(max_in_flight=1)) as gen:
        batch = await gen.many([f"prompt {n}" for n in range(10)])
    assert len(transport.requests) == 3
    assert [type(f.error) for f in batch.failures] == [AuthError] * 3 + [StoppedError] * 7
    assert isinstance(batch.stopped, AuthError)


@pytest.mark.parametrize("policy", [Retry(), Retry.article()])
async def test_a_pause_of_a_day_is_reported_and_not_waited_for(policy: Retry) -> None:
    """Not even by those who were not refused themselves."""
    refused = refusal(429, retry_after="86400")
    refused.hold = 1.0
    transport = FakeTransport(refused, default=good())
    async with client(transport, limits=Limits(max_in_flight=4), retry=policy) as gen:
        batch = await gen.many(["x"] * 20, max_cost=100)
    assert now() < 200
    assert len(batch.images) == 3
    assert isinstance(batch.stopped, RateLimitError)
    assert {type(f.error) for f in batch.failures} == {RateLimitError, StoppedError}
    assert [len(failure.attempts) for failure in batch.failures] == [1] + [0] * 16
    assert_settled(batch, transport)


async def test_prompts_without_end_are_drawn_no_more_once_the_run_is_stopped() -> None:
    transport = FakeTransport(default=refusal(429, retry_after="86400"))
    async with client(transport, limits=Limits(max_in_flight=4)) as gen:
        batch = await gen.many(f"prompt {n}" for n in itertools.count())
    assert len(batch) < 20
    assert transport.billed == 0


async def test_a_closed_client_and_another_loop_are_refused_before_anything_is_sent() -> None:
    transport = FakeTransport(default=good())
    gen = client(transport)
    await gen.one("a")

    async def elsewhere() -> None:
        with pytest.raises(ClosedError, match="another event loop"):
            await gen.one("b")

    await asyncio.to_thread(asyncio.run, elsewhere())
    await gen.aclose()
    with pytest.raises(ClosedError, match="closed"):
        gen.many(["a"])
    assert transport.billed == 1


@pytest.mark.parametrize("begun", ["opened", "fake", "one", "many", "stream"])
def test_without_a_loop_of_asyncio_it_says_what_to_use(begun: str) -> None:
    gen = client(FakeTransport(default=good()))
    ways: dict[str, Callable[[], Any]] = {
        "opened": gen.__aenter__,
        "fake": lambda: Client.fake().__aenter__(),
        "one": lambda: gen.one("a"),
        "many": lambda: gen.many(["a"]).__await__(),
        "stream": lambda: aiter(gen.stream(["a"])).__anext__(),
    }
    with pytest.raises(ConfigError, match="no event loop of asyncio") as caught:
        ways[begun]().send(None)  # as trio runs it
    assert "SyncClient" in caught.value.hint


async def test_a_deadline_stops_new_attempts_but_not_one_that_is_paid_for() -> None:
    transport = FakeTransport(refusal(500), default=good(hold=100))
    retry = Retry(statuses=frozenset({500}), base=30, cap=60)
    async with client(transport, retry=retry, timeouts=Timeouts(deadline=60)) as gen:
        (outcome,) = await gen.many(["a"])
        assert isinstance(outcome, Image)
        assert now() == pytest.approx(115, abs=0.1)
    transport = FakeTransport(refusal(500), default=good(hold=100))
    async with client(transport, retry=retry, timeouts=Timeouts(deadline=10)) as gen:
        (outcome,) = await gen.many(["a"])
    assert isinstance(outcome, Failure)
    assert len(transport.requests) == 1


async def test_stopping_does_not_wait_for_a_prompt_that_never_comes() -> None:
    async def prompts() -> AsyncIterator[str]:
        yield "a"
        await asyncio.Event().wait()

    transport = FakeTransport(default=good(hold=30))
    async with client(transport) as gen:
        plan = gen.many(prompts())
        task = asyncio.create_task(plan)
        await asyncio.sleep(100)
        plan.stop()
        batch = await task
    assert len(batch.images) == 1
    assert_settled(batch, transport)


async def test_a_place_that_cannot_be_written_to_is_found_before_anything_is_bought(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_bytes(b"")
    transport = FakeTransport(default=good())
    async with client(transport) as gen:
        with pytest.raises(StorageError, match="file"):
            await gen.many(["a"] * 300, out=tmp_path / "file")
        with pytest.raises(StorageError):
            await gen.one("a", out=tmp_path / "file")
    assert transport.billed == 0


async def test_a_disk_that_fails_half_way_stops_the_buying(tmp_path: Path) -> None:
    transport = FakeTransport(default=good(hold=10))
    async with client(transport, limits=Limits(max_in_flight=2)) as gen:
        sink = FailingSink()
        batch = await gen.many(["a"] * 50, out=sink)
    assert transport.billed <= 4
    assert isinstance(batch.stopped, StorageError)
    assert {f.billing for f in batch.failures} == {"yes", "no"}
    assert_settled(batch, transport)


class FailingSink(MemorySink):
    """Full as soon as something is to be committed."""

    def __init__(self) -> None:
        super().__init__(1 << 20, FileThreads())

    async def open(self) -> ImageWriter:
        writer = await super().open()

        async def commit(stem: str, suffix: str) -> Stored:
            raise StorageError("no space left")

        return Borrowed(writer, commit)


class Borrowed:
    """A writer whose commit is another's."""

    def __init__(
        self, writer: ImageWriter, commit: Callable[[str, str], Awaitable[Stored]]
    ) -> None:
        self._writer = writer
        self._commit = commit

    @property
    def stored(self) -> Stored | None:
        return self._writer.stored

    async def write(self, data: bytes) -> None:
        await self._writer.write(data)

    async def commit(self, stem: str, suffix: str) -> Stored:
        return await self._commit(stem, suffix)

    def discard(self) -> None:
        self._writer.discard()


async def test_a_closed_client_lets_go_of_those_who_wait_for_the_pause() -> None:
    transport = FakeTransport(refusal(429, retry_after="300"), default=good())
    gen = client(transport)
    task = asyncio.create_task(gen.many(["a"] * 3))
    await asyncio.sleep(10)
    await gen.aclose()
    batch = await task
    assert not batch.images or transport.billed == len(batch.images)
    assert now() < 200


async def test_somebody_who_waits_for_a_stream_that_is_closed_is_not_left_waiting() -> None:
    transport = FakeTransport(default=good(hold=50))
    async with client(transport) as gen:
        stream = gen.stream(["a"])
        waiting = asyncio.create_task(anext(stream))
        await asyncio.sleep(5)
        await stream.aclose()
        with pytest.raises(StopAsyncIteration):
            await waiting


async def test_the_bill_and_the_partial_batch_outlive_client_and_loop() -> None:
    transport = FakeTransport(default=good())
    gen = client(transport)
    async with gen:
        plan = gen.many(["a", "b"])
        await plan
    assert gen.bill().images == 2
    assert (await asyncio.to_thread(lambda: plan.partial)).billing.images == 2


async def test_prompts_without_end_stop_when_the_cap_is_reached() -> None:
    transport = FakeTransport(default=good())
    async with client(transport, limits=Limits(max_in_flight=4)) as gen:
        batch = await gen.many((f"prompt {n}" for n in itertools.count()), max_cost="1")
    assert transport.billed == 7
    assert len(batch) < 20


async def test_whoever_waits_for_a_token_when_the_run_is_stopped_is_not_sent() -> None:
    transport = FakeTransport(default=good(hold=1))
    async with client(transport, limits=Limits(rate="1/min")) as gen:
        plan = gen.many(["a"] * 10)
        task = asyncio.create_task(plan)
        await asyncio.sleep(30)
        plan.stop()
        batch = await task
    assert transport.billed == 1
    assert_settled(batch, transport)


async def test_a_prompt_that_is_cancelled_in_its_backoff_is_named() -> None:
    transport = FakeTransport(refusal(500), default=good())
    async with client(transport, retry=Retry.article()) as gen:
        plan = gen.many(["a"])
        task = asyncio.create_task(plan)
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert plan.partial.billing.maybe == MOST == gen.bill().maybe


async def test_a_short_outage_does_not_burn_the_whole_list() -> None:
    """No connection for the first five seconds; then all is well."""

    class Outage(FakeTransport):
        def send(
            self, request: HttpRequest, watch: StageTimer
        ) -> AbstractAsyncContextManager[Reply]:
            down = now() < 5
            self._script.append(Canned(error=ConnectError("down")) if down else good(hold=1))
            return super().send(request, watch)

    transport = Outage()
    async with client(transport, limits=Limits(max_in_flight=50)) as gen:
        batch = await gen.many([f"prompt {n}" for n in range(300)])
    assert len(batch.images) == 300


async def test_three_refusals_with_a_success_between_do_not_stop_the_run() -> None:
    script = [refusal(403), good(0), refusal(403), good(0), refusal(403), good(0)]
    transport = FakeTransport(*script, default=good(0))
    async with client(transport, limits=Limits(max_in_flight=1)) as gen:
        batch = await gen.many(["a"] * 10)
    assert len(batch.images) == 7
    assert batch.stopped is None
