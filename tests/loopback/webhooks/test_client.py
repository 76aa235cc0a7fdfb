"""Calls whose tasks call back: from the submit to the image, before the bank, in virtual time."""

import asyncio
import dataclasses
import socket
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nbp_async import Client, ConfigError, Image, Limits, Webhook
from nbp_async._journal.base import JOURNAL
from nbp_async._vendors.profiles import Profile
from nbp_async._vendors.services import services
from nbp_async.fake import FakeServer, faults, task_faults
from nbp_async.fake.faults import Fault
from nbp_async.testing.journal import inline_journal
from tests.loopback.oracle import assert_settled
from tests.loopback.play import KEY, now, profile
from tests.loopback.test_services import profile_of
from tests.loopback.webhooks.sender import SECRET

pytestmark = pytest.mark.looptime


def relay(server: FakeServer) -> Profile:
    return dataclasses.replace(profile(server, "openai_images"), tasks=services()["article"].tasks)


async def play(
    *script: Fault,
    count: int = 1,
    hook: Webhook | None = None,
    service: str = "",
    server: dict[str, Any] | None = None,
    **ask: Any,
) -> tuple[Any, FakeServer, float]:
    """So many prompts, called back: batch, server, seconds. Ends with the oracle."""
    settings = {"latency": 60.0, "keys": [KEY], "webhook_secret": SECRET, "interactions": True}
    async with FakeServer(**{**settings, **(server or {})}) as vendor:
        vendor.script(*script)
        endpoint = profile_of(vendor, service) if service else relay(vendor)
        hook = hook or Webhook(secret=SECRET)
        async with Client(endpoint, KEY, webhook=hook, rng=lambda: 0.5) as gen:
            began = now()
            prompts = [f"bicycle {number}" for number in range(count)]
            batch = await gen.many(prompts, size="1K", via="webhook", **ask)
            took = now() - began
            await assert_settled(gen, vendor, batch)
        return batch, vendor, took


async def test_the_image_is_fetched_as_soon_as_the_service_calls_back() -> None:
    batch, vendor, took = await play(count=20)
    assert batch.images
    assert len(batch.images) == 20
    assert took == pytest.approx(60, abs=2)
    assert vendor.stats().looks == 20, "one look each, and none in vain"


async def test_without_a_callback_the_looks_end_it(caplog: pytest.LogCaptureFixture) -> None:
    """A webhook that never comes."""
    batch, _vendor, took = await play(task_faults.hook(times=0))
    assert isinstance(batch[0], Image)
    assert 60 < took < 300
    assert not caplog.records


@pytest.mark.parametrize("forged", ["key", "body", "id", "old", "garbage", "unsigned"])
async def test_a_forged_callback_has_no_effect(
    forged: Any, caplog: pytest.LogCaptureFixture
) -> None:
    batch, _vendor, took = await play(task_faults.hook(times=0, forged=forged))
    assert isinstance(batch[0], Image)
    assert took > 100, "it was not looked at any sooner"
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_forged_ones_before_the_right_one_do_not_matter() -> None:
    batch, _vendor, took = await play(task_faults.hook(times=2, forged="key"))
    assert isinstance(batch[0], Image)
    assert took == pytest.approx(60, abs=2)


async def test_a_callback_that_overtakes_the_answer_to_the_submit_is_kept_for_it() -> None:
    batch, _vendor, took = await play(server={"latency": 5.0, "submit_latency": 20.0})
    assert isinstance(batch[0], Image)
    assert took == pytest.approx(20, abs=2)


@pytest.mark.parametrize(
    "hook", [{"times": 5}, {"late": 20.0}, {"reverse": True}, {"times": 3, "late": 7.0}]
)
async def test_callbacks_that_come_twice_late_or_in_disorder_bring_each_image_once(
    hook: dict[str, Any],
) -> None:
    batch, vendor, _took = await play(*[task_faults.hook(**hook)] * 10, count=10)
    assert len(batch.images) == 10
    assert len(vendor.bank.ledger) == 10


async def test_a_callback_that_lies_only_costs_a_look() -> None:
    """The services' own word counts: it says failed where the webhook said nothing of it."""
    batch, _vendor, _ = await play(task_faults.failed("odd", "the kiln is cold"))
    assert "the kiln is cold" in str(batch.failures[0].error)


@pytest.mark.parametrize(
    ("service", "hook"),
    [
        ("article", Webhook(secret=SECRET)),
        ("replicate", Webhook(secret=SECRET)),
        ("kie", Webhook(secret=SECRET, scheme="kie")),
        ("evolink", Webhook(scheme="none")),
    ],
)
async def test_every_service_that_calls_back_is_understood(service: str, hook: Webhook) -> None:
    batch, vendor, took = await play(service=service, hook=hook)
    assert isinstance(batch[0], Image), batch[0]
    assert took == pytest.approx(60, abs=3)
    assert vendor.stats().looks == 1, "one that begins calls back at some: no reason to look"
    assert vendor.stats().webhooks_delivered == vendor.stats().webhooks


async def test_a_run_goes_on_with_tasks_whose_callbacks_nobody_heard(tmp_path: Path) -> None:
    """Dropped while its tasks are out, it asks for them again, and buys nothing twice."""
    async with FakeServer(latency=60.0, keys=[KEY], webhook_secret=SECRET) as vendor:
        hook = Webhook(secret=SECRET)
        async with Client(relay(vendor), KEY, webhook=hook) as gen:
            journal = await inline_journal(tmp_path / JOURNAL)
            plan = gen.many(["a", "b"], size="1K", via="webhook", journal=journal)
            working = asyncio.ensure_future(plan)
            await asyncio.sleep(30)
            working.cancel()
            with pytest.raises(asyncio.CancelledError):
                await working
        await asyncio.sleep(40)
        assert vendor.stats().looks == 0
        async with Client(relay(vendor), KEY, webhook=hook) as gen:
            journal = await inline_journal(tmp_path / JOURNAL)
            began = now()
            batch = await gen.many(["a", "b"], size="1K", via="webhook", journal=journal)
            assert len(batch.images) == 2
            assert now() - began < 5
        assert [row.delivered for row in vendor.bank.ledger] == [True, True]


async def test_one_image_is_called_back_too_and_the_port_is_given_back() -> None:
    async with Client.fake(
        webhook=Webhook(secret=SECRET),
        server={"latency": 60.0, "webhook_secret": SECRET},
        rng=lambda: 0.5,
    ) as gen:
        began = now()
        image = await gen.one("a red bicycle", size="1K", via="webhook")
        assert now() - began == pytest.approx(60, abs=2)
        assert gen.server is not None
        (sent,) = gen.server.webhooks_sent
        port = int(sent.url.split(":")[2].split("/")[0])
        await gen.one("another", size="1K", via="poll")
        assert len(gen.server.webhooks_sent) == 1, "who polls is not called back"
        assert image.attempts[0].billing == "yes"
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))


async def test_open_tasks_of_both_ways_share_one_limit() -> None:
    limits = Limits(max_in_flight=10, max_open=3)
    async with FakeServer(latency=60.0, keys=[KEY], webhook_secret=SECRET) as vendor:
        hook = Webhook(secret=SECRET)
        async with Client(relay(vendor), KEY, limits=limits, webhook=hook) as gen:
            began = now()
            ways: list[Any] = ["poll", "webhook"]
            batches = await asyncio.gather(
                *(gen.many([f"{via} {n}" for n in range(6)], size="1K", via=via) for via in ways)
            )
            assert [len(batch.images) for batch in batches] == [6, 6]
            assert now() - began >= 4 * 60, "twelve tasks, three at a time"
            await assert_settled(gen, vendor, [*batches[0], *batches[1]])


async def test_what_cannot_call_back_is_refused_before_anything_is_sent() -> None:
    async with FakeServer(keys=[KEY]) as vendor:
        hook = Webhook(secret=SECRET)
        cases = [
            (relay(vendor), None, "webhook=Webhook"),
            (profile_of(vendor, "comfly"), hook, "is not known to call back"),
            (profile_of(vendor, "kie"), hook, 'scheme="kie"'),
            (profile(vendor, "gemini"), hook, "is not known to take tasks"),
        ]
        for endpoint, webhook, words in cases:
            async with Client(endpoint, KEY, webhook=webhook) as gen:
                with pytest.raises(ConfigError, match=words):
                    gen.many(["a"], via="webhook")
                with pytest.raises(ConfigError, match=words):
                    await gen.one("a", via="webhook")
        assert vendor.bank.billed == Decimal(0)
        assert vendor.stats().requests == 0


async def test_a_port_that_is_in_use_is_told_before_anything_is_sent() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        hook = Webhook(secret=SECRET, port=taken.getsockname()[1])
        async with (
            FakeServer(keys=[KEY]) as vendor,
            Client(relay(vendor), KEY, webhook=hook) as gen,
        ):
            with pytest.raises(ConfigError, match="Cannot listen for webhooks on"):
                await gen.many(["a"], via="webhook")
            with pytest.raises(ConfigError, match="Cannot listen for webhooks on"):
                await gen.one("a", via="webhook")
            assert vendor.stats().requests == 0


async def test_a_full_house_of_faults_ends_settled() -> None:
    """Everything at once: duplicates, forgeries, none at all, and looks that fail."""
    script = [
        task_faults.several(task_faults.hook(times=3), task_faults.look(faults.status(500))),
        task_faults.hook(times=0),
        task_faults.hook(times=1, forged="garbage"),
        task_faults.several(task_faults.hook(late=300.0), task_faults.hidden(looks=2)),
    ]
    batch, _, _ = await play(*script, count=8)
    assert len(batch.images) == 8
