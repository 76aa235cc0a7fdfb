"""Tasks, from the submit to the image, over real sockets and in virtual time, before the bank."""

import asyncio
import dataclasses
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from nbp_async._base.errors import ConfigError, TaskOpenError
from nbp_async._client.client import Client
from nbp_async._journal.base import JOURNAL
from nbp_async._models.outcomes import Failure, Image, Outcome
from nbp_async._models.settings import Limits, Timeouts
from nbp_async._vendors.profiles import PROFILES, Profile
from nbp_async._vendors.services import services
from nbp_async.fake import FakeServer, faults, task_faults
from nbp_async.fake.faults import Fault
from nbp_async.testing.journal import inline_journal
from tests.loopback.oracle import assert_settled
from tests.loopback.play import KEY, now, profile

pytestmark = pytest.mark.looptime

ARTICLE = services()["article"].tasks


def tasks(server: FakeServer, **more: Any) -> Profile:
    return dataclasses.replace(profile(server, "openai_images"), tasks=ARTICLE, **more)


async def journaled(folder: Path) -> dict[str, Any]:
    """The options of a run with a journal for virtual time; files would need real threads."""
    return {"journal": await inline_journal(folder / JOURNAL)}


async def play(
    *script: Fault, server: dict[str, Any] | None = None, **options: Any
) -> tuple[Outcome, FakeServer]:
    """One prompt as a task; ends with the oracle."""
    settings: dict[str, Any] = {"latency": 60.0, "keys": [KEY], **(server or {})}
    async with FakeServer(**settings) as vendor:
        vendor.script(*script)
        options = {"rng": lambda: 0.5, "response_format": "b64_json", **options}
        async with Client(tasks(vendor), KEY, **options) as gen:
            batch = await gen.many(["a red bicycle"], size="1K", via="poll")
            await assert_settled(gen, vendor, batch)
        return batch[0], vendor


@pytest.mark.parametrize("delivery", ["url", "b64_json"])
async def test_a_task_becomes_an_image_without_a_connection_held(
    delivery: Literal["url", "b64_json"],
) -> None:
    async with FakeServer(latency=60.0, keys=[KEY], submit_latency=2.0) as vendor:
        relay, rng = tasks(vendor), lambda: 0.5
        async with Client(relay, KEY, rng=rng, response_format=delivery) as gen:
            began = now()
            working = asyncio.ensure_future(gen.many(["a red bicycle"], size="1K", via="poll"))
            await asyncio.sleep(20)
            assert gen.in_flight == 0, "no slot is held while it waits"
            assert vendor.stats().in_flight == 0
            batch = await working
            (image,) = batch
            assert isinstance(image, Image)
            assert (image.width, image.height) == (1024, 1024)
            assert bool(image.url) == (delivery == "url")
            assert 60 <= now() - began < 73, "looked at when it may be done"
            assert image.attempts[0].timings.service >= 60
            await assert_settled(gen, vendor, batch)
        stats = vendor.stats()
        assert stats.tasks == 1
        assert stats.looks <= 12


async def test_one_image_can_be_a_task_too() -> None:
    server = FakeServer(latency=60.0, keys=[KEY])
    async with server as vendor, Client(tasks(vendor), KEY) as gen:
        image = await gen.one("a red bicycle", via="poll")
        await assert_settled(gen, vendor, [image])


@pytest.mark.slow
async def test_hundreds_of_tasks_are_open_on_a_handful_of_slots_and_polled_in_turn() -> None:
    async with FakeServer(latency=(30, 170), keys=[KEY], submit_latency=(1, 3)) as vendor:
        limits = Limits(max_in_flight=10, poll_rate="10/s")
        async with Client(tasks(vendor), KEY, limits=limits) as gen:
            began = now()
            prompts = [f"picture {number}" for number in range(300)]
            batch = await gen.many(prompts, size="1K", via="poll")
            assert len(batch.images) == 300
            assert now() - began < 300
            await assert_settled(gen, vendor, batch)
        stats = vendor.stats()
        assert stats.peak_in_flight <= 10, "submits are held to the slots"
        assert stats.peak_looks_per_second <= 10


async def test_open_tasks_are_bounded() -> None:
    server, limits = FakeServer(latency=60.0, keys=[KEY]), Limits(max_open=7)
    async with server as vendor, Client(tasks(vendor), KEY, limits=limits) as gen:
        working = asyncio.ensure_future(gen.many([f"p{n}" for n in range(30)], via="poll"))
        seen = set()
        while not working.done():
            await asyncio.sleep(5)
            seen.add(vendor.stats().open_tasks)
        assert max(seen) == 7
        await assert_settled(gen, vendor, working.result())


# fault, the error's class ("" for an image), who pays, how many tasks were taken in
TOLD: list[tuple[Fault, str, str, int]] = [
    (faults.rate_limited(), "", "yes", 1),
    (faults.overloaded(), "", "yes", 1),
    (faults.reset(before=True), "DisconnectedError", "maybe", 0),
    (faults.disconnect(), "DisconnectedError", "maybe", 1),
    (faults.hang(), "ReadTimeout", "maybe", 1),
    (faults.status(504, billed=True), "ServerError", "maybe", 1),
    (task_faults.late(20.0), "", "yes", 1),
    (task_faults.late(40.0), "ReadTimeout", "maybe", 1),
    (task_faults.look(*[faults.status(500)] * 8), "", "yes", 1),
    (task_faults.look(*[faults.status(429, retry_after=20)] * 3), "", "yes", 1),
    (task_faults.look(faults.hang(), faults.hang()), "", "yes", 1),
    (task_faults.look(faults.cut_body(0.5), faults.ok(), faults.cut_body(0.5)), "", "yes", 1),
    (task_faults.hidden(seconds=50.0), "", "yes", 1),
    (task_faults.hidden(looks=6), "", "yes", 1),
    (task_faults.lost(), "TaskLostError", "maybe", 1),
    (task_faults.lost(billed=False), "TaskLostError", "maybe", 1),
    (task_faults.lost(after=40.0), "TaskLostError", "maybe", 1),
    (task_faults.unknown_state(looks=2), "", "yes", 1),
    (task_faults.unknown_state(), "TaskOpenError", "maybe", 1),
    (task_faults.swapped("id"), "TaskOpenError", "maybe", 1),
    (task_faults.stuck(), "TaskFailedError", "maybe", 1),
    (task_faults.failed(), "TaskFailedError", "maybe", 1),
    (task_faults.failed(billed=True), "TaskFailedError", "maybe", 1),
    (faults.blocked(), "ContentBlockedError", "maybe", 1),
    (faults.bad_image("text"), "NotAnImageError", "yes", 1),
]


@pytest.mark.parametrize(("fault", "error", "billing", "taken"), TOLD, ids=lambda v: str(v)[:60])
async def test_what_can_go_wrong_with_a_task(
    fault: Fault, error: str, billing: str, taken: int
) -> None:
    outcome, vendor = await play(fault, timeouts=Timeouts(read=300.0))
    if error:
        assert isinstance(outcome, Failure)
        assert (type(outcome.error).__name__, outcome.billing) == (error, billing)
        assert KEY not in str(outcome.error)
    else:
        assert isinstance(outcome, Image), outcome
        assert [a.billing for a in outcome.attempts][-1] == billing
    assert vendor.stats().tasks == taken


async def test_a_failed_task_that_is_not_billed_is_submitted_again() -> None:
    table = msgspec.structs.replace(ARTICLE, billed_failed="no", passing=("generation_failed",))
    async with FakeServer(latency=60.0, keys=[KEY]) as vendor:
        vendor.script(task_faults.failed())
        relay = dataclasses.replace(tasks(vendor), tasks=table)
        async with Client(relay, KEY, rng=lambda: 0.5) as gen:
            batch = await gen.many(["a red bicycle"], via="poll")
            (image,) = batch.images
            assert [a.billing for a in image.attempts] == ["no", "yes"]
            await assert_settled(gen, vendor, batch)


async def test_a_stuck_task_is_cancelled_and_costs_what_the_vendor_says() -> None:
    outcome, vendor = await play(task_faults.stuck(), timeouts=Timeouts(task=100.0))
    assert isinstance(outcome, Failure)
    assert "cancelled" in str(outcome.error)
    assert vendor.bank.billed == 0


async def test_without_a_journal_a_cancelled_call_cancels_its_tasks() -> None:
    async with FakeServer(latency=60.0, keys=[KEY]) as vendor:
        async with Client(tasks(vendor), KEY) as gen:
            plan = gen.many([f"p{n}" for n in range(20)], via="poll")
            working = asyncio.ensure_future(plan)
            await asyncio.sleep(30)
            began = now()
            working.cancel()
            with pytest.raises(asyncio.CancelledError):
                await working
            assert now() - began < 0.1
            partial = plan.partial
            assert {o.billing for o in partial.failures} == {"maybe"}
            assert len(partial) == 20
        await vendor.drain()
        assert vendor.bank.billed == 0, "each was cancelled before it was made"


async def test_with_a_journal_a_cancelled_call_leaves_its_tasks_to_the_next(tmp_path: Path) -> None:
    """The next one asks for them, and buys nothing."""
    prompts = [f"p{n}" for n in range(20)]
    async with FakeServer(latency=60.0, keys=[KEY]) as vendor:
        async with Client(tasks(vendor), KEY) as gen:
            plan = gen.many(prompts, via="poll", **await journaled(tmp_path))
            working = asyncio.ensure_future(plan)
            await asyncio.sleep(30)
            working.cancel()
            with pytest.raises(asyncio.CancelledError):
                await working
            assert {type(o.error) for o in plan.partial.failures} == {TaskOpenError}
        async with Client(tasks(vendor), KEY) as gen:
            look = gen.many(prompts, via="poll", journal=tmp_path / JOURNAL)
            assert (look.preview().out, look.preview().to_send) == (20, 0)
            look.close()
            batch = await gen.many(prompts, via="poll", **await journaled(tmp_path))
            assert len(batch.images) == 20
            assert vendor.stats().tasks == 20
            await vendor.drain()
            assert batch.billing.spent == 0
            assert sum((o.spent_earlier for o in batch), Decimal(0)) == Decimal("0.134") * 20
            again = await gen.many(prompts, **await journaled(tmp_path))
            assert again.billing.spent == 0
        assert vendor.stats().tasks == 20
        assert vendor.stats().images == 20


async def test_a_task_of_an_earlier_call_that_failed_for_nothing_is_sent_again(
    tmp_path: Path,
) -> None:
    table = msgspec.structs.replace(ARTICLE, billed_failed="no")
    async with FakeServer(latency=60.0, keys=[KEY]) as vendor:
        vendor.script(task_faults.failed())
        relay = dataclasses.replace(tasks(vendor), tasks=table)
        async with Client(relay, KEY) as gen:
            working = asyncio.ensure_future(
                gen.many(["a"], via="poll", **await journaled(tmp_path))
            )
            await asyncio.sleep(30)
            working.cancel()
            with pytest.raises(asyncio.CancelledError):
                await working
        async with Client(relay, KEY) as gen:
            batch = await gen.many(["a"], via="poll", **await journaled(tmp_path))
            assert len(batch.images) == 1
            await vendor.drain()
        assert (vendor.stats().tasks, vendor.stats().images) == (2, 1)


async def test_an_open_task_is_polled_by_a_held_call_of_the_same_endpoint(
    tmp_path: Path,
) -> None:
    async with FakeServer(latency=60.0, keys=[KEY]) as vendor:
        vendor.script(task_faults.unknown_state(looks=3))
        async with Client(tasks(vendor), KEY, rng=lambda: 0.5) as gen:
            batch = await gen.many(["a"], via="poll", **await journaled(tmp_path))
            assert isinstance(batch.failures[0].error, TaskOpenError)
        blind = dataclasses.replace(tasks(vendor), tasks=None)
        async with Client(blind, KEY) as gen:
            batch = await gen.many(["a"], **await journaled(tmp_path))
            assert "works on it" in str(batch.failures[0].error)
            assert batch.failures[0].billing == "maybe"
        async with Client(tasks(vendor), KEY) as gen:
            batch = await gen.many(["a"], via="held", **await journaled(tmp_path))
            assert len(batch.images) == 1
        assert vendor.stats().images == 1


async def test_an_endpoint_without_tasks_says_so_before_anything_is_sent() -> None:
    gen = Client(PROFILES["google"], KEY)
    with pytest.raises(ConfigError, match="not known to take tasks"):
        gen.many(["a"], via="poll")
    with pytest.raises(ConfigError, match='give "held", "poll"'):
        gen.many(["a"], via="pigeon")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="does not hold calls open"):
        Client("kie", KEY).many(["a"], via="held")
    await gen.aclose()


async def test_a_poll_that_fails_at_the_deadline_cancels_no_task_that_is_done() -> None:
    """Its image is paid: the poll is repeated before anything is cancelled."""
    fails_twice = task_faults.look(faults.status(500), faults.reset())
    outcome, vendor = await play(
        fails_twice, server={"latency": 20.0}, timeouts=Timeouts(task=30.0)
    )
    assert isinstance(outcome, Image), outcome
    assert not [r for r in vendor.received if "cancel" in r.path]
    assert vendor.bank.billed == outcome.spent


async def test_tasks_that_cannot_be_polled_stop_the_call() -> None:
    """Each may be billed, and none can be read: three are enough."""
    async with FakeServer(latency=60.0, keys=[KEY]) as vendor:
        vendor.script(*[task_faults.lost()] * 12)
        gen = Client(tasks(vendor), KEY, rng=lambda: 0.5, limits=Limits(max_open=1))
        async with gen:
            batch = await gen.many([f"p{n}" for n in range(12)], size="1K", via="poll")
            await assert_settled(gen, vendor, batch)
        kinds = [type(failure.error).__name__ for failure in batch.failures]
        assert kinds == ["TaskLostError"] * 3 + ["StoppedError"] * 9
        assert "3 attempts in a row ended alike" in str(batch.failures[-1].error)
        assert vendor.stats().tasks == 3


async def test_a_service_that_takes_no_tasks_is_said_to() -> None:
    async with FakeServer(latency=60.0, keys=[KEY]) as vendor:
        nowhere = msgspec.structs.replace(ARTICLE, submit="/images/nowhere")
        relay = dataclasses.replace(tasks(vendor), tasks=nowhere)
        async with Client(relay, KEY, limits=Limits(max_in_flight=1)) as gen:
            batch = await gen.many([f"p{n}" for n in range(8)], size="1K", via="poll")
            await assert_settled(gen, vendor, batch)
        kinds = [type(failure.error).__name__ for failure in batch.failures]
        assert kinds == ["InvalidRequestError"] * 3 + ["StoppedError"] * 5
        assert "takes no tasks at" in str(batch.failures[-1].error)
        assert not vendor.bank.ledger
