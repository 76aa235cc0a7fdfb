"""A call that runs beside other work: watched, stopped, cancelled, awaited; no error is lost."""

import asyncio
import logging
import sys
from collections.abc import Iterator, Mapping
from types import SimpleNamespace

import pytest

from nbp_async import Client, ConfigError, Limits, Outcome, Progress, StoppedError
from nbp_async._models.events import Listener
from nbp_async.testing.transport import FakeTransport
from tests.unit.flow.helpers import MOST, PRICE, assert_settled, client, good

pytestmark = pytest.mark.looptime


async def test_it_goes_on_while_other_things_are_done_and_is_awaited_for_the_batch() -> None:
    transport = FakeTransport(default=good(hold=100))
    async with client(transport, limits=Limits(max_in_flight=2)) as gen:
        running = gen.start(["a", "b", "c"])
        await asyncio.sleep(150)
        now = running.progress
        assert (now.state, now.total, now.images, now.in_flight) == ("running", 3, 2, 1)
        assert now.spent == 2 * PRICE
        assert now.elapsed == pytest.approx(150)
        assert now.left == pytest.approx(60, abs=20)
        assert len(running.partial) == 2
        assert not running.done()
        batch = await running
        assert running.done()
        assert running.progress.state == "done"
        assert await running is batch
    assert len(batch.images) == 3
    assert_settled(batch, transport)


async def test_stopped_it_sends_nothing_more_and_what_is_paid_for_comes() -> None:
    transport = FakeTransport(default=good(hold=100))
    async with client(transport, limits=Limits(max_in_flight=2)) as gen:
        running = gen.start([f"prompt {n}" for n in range(9)])
        await asyncio.sleep(10)
        running.stop()
        assert running.progress.state == "stopping"
        batch = await running
        assert (running.progress.state, running.progress.not_sent) == ("stopped", 7)
    assert isinstance(batch.stopped, StoppedError)
    assert len(batch.images) == transport.billed == 2
    assert_settled(batch, transport)


async def test_cancelled_it_names_what_was_in_flight() -> None:
    transport = FakeTransport(default=good(hold=100))
    async with client(transport, limits=Limits(max_in_flight=2)) as gen:
        running = gen.start(["a", "b", "c"])
        await asyncio.sleep(10)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert [failure.billing for failure in running.partial.failures] == ["maybe", "maybe"]
        assert (running.progress.state, running.progress.maybe) == ("cancelled", 2 * MOST)
    assert_settled(running.partial, transport)


async def test_cancelled_before_it_began_it_cost_nothing() -> None:
    transport = FakeTransport(default=good())
    async with client(transport) as gen:
        running = gen.start(["a"])
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert running.progress.state == "cancelled"
    assert transport.requests == []


async def test_who_waits_and_is_cancelled_leaves_it_running() -> None:
    transport = FakeTransport(default=good(hold=100))
    async with client(transport) as gen:
        running = gen.start(["a"])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await running
        assert not running.done()
        assert len((await running).images) == 1


async def test_closing_the_client_waits_for_what_is_paid_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    transport = FakeTransport(default=good(hold=100))
    async with client(transport, limits=Limits(max_in_flight=2)) as gen:
        running = gen.start([f"prompt {n}" for n in range(9)])
        await asyncio.sleep(10)
    assert running.done()
    assert len(running.partial.images) == transport.billed == 2
    assert "what was sent is waited for" in caplog.text
    assert_settled(running.partial, transport)


async def test_closing_is_not_held_up_by_who_has_no_patience() -> None:
    transport = FakeTransport(default=good(hold=100))
    gen = client(transport)
    running = gen.start(["a"])
    await asyncio.sleep(10)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await gen.aclose()
    assert running.done()
    assert [failure.billing for failure in running.partial.failures] == ["maybe"]
    assert transport.in_flight == 0


def broken() -> Iterator[str]:
    yield "a"
    raise RuntimeError("the file is broken")


async def test_an_error_that_nobody_waits_for_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with client(FakeTransport(default=good())) as gen:
        running = gen.start(broken())
        await asyncio.sleep(200)
        assert [record.levelno for record in caplog.records] == [logging.ERROR]
        assert "RuntimeError: the file is broken" in caplog.text
        assert (running.progress.state, running.progress.images) == ("broken", 1)
        with pytest.raises(RuntimeError, match="the file is broken"):
            await running


async def test_an_error_that_somebody_waits_for_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with client(FakeTransport(default=good())) as gen:
        with pytest.raises(RuntimeError, match="the file is broken"):
            await gen.start(broken())
    assert not caplog.records


async def test_a_call_without_a_reference_goes_on() -> None:
    transport = FakeTransport(default=good(hold=100))
    async with client(transport) as gen:
        gen.start(["a"])
        await asyncio.sleep(150)
        assert gen.bill().images == 1


@pytest.mark.looptime(False)
def test_without_a_loop_nothing_begins() -> None:
    with pytest.raises(ConfigError, match=r"needs an event loop.*Nothing was sent"):
        client(FakeTransport()).start(["a"])


async def test_calls_of_one_client_are_counted_apart() -> None:
    transport = FakeTransport(default=good(hold=100))
    async with client(transport) as gen:
        one, two = gen.start(["a", "b"]), gen.start([{"text": "c", "n": 3}])
        await asyncio.gather(one, two)
        assert (one.progress.images, one.progress.total) == (2, 2)
        assert (two.progress.images, two.progress.total) == (3, 3)


class Ears(Listener):
    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def on_outcome(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


async def test_a_prompt_that_cannot_be_sent_is_an_outcome_that_listeners_hear() -> None:
    ears = Ears()
    async with client(FakeTransport(default=good()), listeners=[ears]) as gen:
        prompts: list[str | dict[str, str]] = ["a", {"text": ""}]
        running = gen.start(iter(prompts))
        batch = await running
    assert {outcome.index for outcome in ears.outcomes} == {0, 1}
    assert (running.progress.images, running.progress.failed) == (1, 1)
    assert [outcome.ok for outcome in batch] == [True, False]


class Kernel:
    """A notebook's kernel, as far as a display can tell."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kernel = self
        self.execution_count = 1
        self.display_pub = self
        self.events = SimpleNamespace(register=lambda *_: None)
        self.texts: list[str] = []
        found = SimpleNamespace(get_ipython=lambda: self)
        monkeypatch.setitem(sys.modules, "IPython", found)

    def publish(
        self, data: Mapping[str, str], *, transient: Mapping[str, str], update: bool
    ) -> None:
        assert transient["display_id"].startswith("nbp-")
        assert update == bool(self.texts)
        self.texts.append(data["text/plain"])


async def test_in_a_kernel_a_call_is_shown_until_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(monkeypatch)
    async with client(FakeTransport(default=good(hold=100))) as gen:
        await gen.many(["a", "b"])
    assert kernel.texts[0].startswith("0 of 2")
    assert "2 in flight" in kernel.texts[1]
    assert kernel.texts[-1].startswith(f"2 images · ${2 * PRICE:.3f} · 1 m 40 s")


async def test_in_a_kernel_a_stream_is_shown_too(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(monkeypatch)
    async with client(FakeTransport(default=good(hold=100))) as gen:
        assert [outcome.ok async for outcome in gen.stream(iter(["a", "b"]))] == [True, True]
    assert kernel.texts[0].startswith("0 done")
    assert kernel.texts[-1].startswith("2 images")


async def test_what_is_not_wanted_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(monkeypatch)
    async with client(FakeTransport(default=good(hold=100))) as gen:
        await gen.many(["a", "b"], progress=False)
    assert kernel.texts == []


async def test_a_failure_of_the_whole_call_is_its_last_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel = Kernel(monkeypatch)
    async with client(FakeTransport()) as gen:
        with pytest.raises(ConfigError):
            await gen.many(["a", ""])
    assert "Ended by an error" in kernel.texts[-1]
    assert "prompts[1]: A prompt has a text" in kernel.texts[-1]


async def test_a_plan_is_a_page_of_what_it_would_do() -> None:
    gen: Client = client(FakeTransport(default=good()))
    plan = gen.many(["<b>", "b"])
    html = plan._repr_html_()
    assert "2 images: 2 to make, about $0.27" in html
    assert "Nothing is sent before it is awaited" in html
    assert gen.in_flight == 0
    await plan
    assert "It has ended." in plan._repr_html_()
    assert "ended" in repr(plan)
    await gen.aclose()


def test_progress_is_a_value_that_adds_up() -> None:
    assert Progress(total=10, images=3, failed=2).not_sent == 5
    assert not Progress(state="stopping").ended
