"""Every task service that the client knows, at the fake that speaks it: table against words."""

import asyncio
import dataclasses
from typing import Any

import pytest

from nbp_async._client.client import Client
from nbp_async._models.outcomes import Failure, Image
from nbp_async._vendors.profiles import PROFILES, Profile
from nbp_async._vendors.services import services
from nbp_async.fake import FakeServer, faults, task_faults
from nbp_async.fake.bank import LedgerEntry
from tests.loopback.oracle import assert_settled
from tests.loopback.play import KEY

pytestmark = pytest.mark.looptime

NAMES = sorted(services())
# Two call the model by a name of their own, at a price that we do not know.
PRICES = {"*": PROFILES["google"].prices_for("gemini-3-pro-image")}


def profile_of(server: FakeServer, name: str) -> Profile:
    """The service's own profile, at the fake's address."""
    url = server.service_url(name)
    if name in PROFILES:
        return dataclasses.replace(PROFILES[name], base_url=url)
    known = {f: getattr(services()[name], f) for f in services()[name].__struct_fields__}
    return Profile(**{"name": name, **known, "base_url": url, "prices": PRICES})


async def play(name: str, *script: faults.Fault, **server: Any) -> tuple[Any, list[LedgerEntry]]:
    """One prompt as a task at this service; ends with the oracle."""
    settings = {"latency": 60.0, "keys": [KEY], "interactions": True, **server}
    async with FakeServer(**settings) as vendor:
        vendor.script(*script)
        async with Client(profile_of(vendor, name), KEY, rng=lambda: 0.5) as gen:
            batch = await gen.many(["a red bicycle"], size="2K", aspect_ratio="16:9", via="poll")
            await assert_settled(gen, vendor, batch)
        return batch[0], vendor.bank.ledger


@pytest.mark.parametrize("name", NAMES)
async def test_an_image_comes_of_every_service(name: str) -> None:
    outcome, ledger = await play(name)
    assert isinstance(outcome, Image), outcome
    assert (outcome.width, outcome.height) == (2752, 1536)
    assert [(row.size, row.delivered) for row in ledger] == [("2K", True)]


@pytest.mark.parametrize("name", NAMES)
async def test_a_failure_of_every_service_is_told_with_its_words(name: str) -> None:
    outcome, ledger = await play(name, task_faults.failed("odd_failure", "the kiln is cold"))
    assert isinstance(outcome, Failure), outcome
    assert "the kiln is cold" in str(outcome.error)
    assert ledger == []


@pytest.mark.parametrize("name", NAMES)
async def test_every_service_is_waited_for_through_its_faults(name: str) -> None:
    looks = task_faults.look(faults.status(500), faults.ok(), faults.status(502))
    outcome, ledger = await play(name, task_faults.several(looks, task_faults.hidden(looks=1)))
    assert isinstance(outcome, Image), outcome
    assert [row.delivered for row in ledger] == [True]


@pytest.mark.parametrize("name", NAMES)
async def test_a_fast_fake_says_when_to_look_so_that_no_client_waits_for_real_seconds(
    name: str,
) -> None:
    begun = asyncio.get_running_loop().time()
    outcome, _ = await play(name, latency=100.0, speed=20)
    assert isinstance(outcome, Image), outcome
    assert asyncio.get_running_loop().time() - begun < 7
