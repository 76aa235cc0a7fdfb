"""Images that are made by a proxy or past a gateway, before the bank's ledger."""

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest

from nbp_async._base.errors import ProxyRefusedError
from nbp_async._client.client import Client
from nbp_async._models.outcomes import Failure, Image
from nbp_async._vendors.profiles import Profile
from nbp_async._vendors.services import services
from nbp_async.fake import FakeServer
from tests.forward_proxy import ForwardProxy, forward_proxy
from tests.loopback.oracle import assert_settled
from tests.loopback.play import KEY
from tests.transports import TRANSPORTS, Name

pytestmark = [
    pytest.mark.looptime,
    pytest.mark.filterwarnings("ignore:The key and the prompts go to images.invalid"),
]

PASSWORD = "pa55word-of-anna"
HEADER = {"X-Gateway-Token": "gw-0123456789"}


@asynccontextmanager
async def office(**rules: Any) -> AsyncIterator[tuple[FakeServer, ForwardProxy, Profile]]:
    """A vendor behind a proxy, which alone knows its name."""
    async with FakeServer(latency=30.0, keys=[KEY]) as server:
        port = int(server.base_url.rpartition(":")[2])
        proxy = ForwardProxy(leads_to=port, user=f"anna:{PASSWORD}", **rules)
        profile = Profile(
            name="vendor",
            base_url=f"http://images.invalid:{port}/v1",
            model="nano-banana-pro",
            response_format="url",
            link_lifetime=604800,
            tasks=services()["article"].tasks,
        )
        async with forward_proxy(proxy):
            yield server, proxy, profile


@pytest.mark.parametrize("via", ["held", "poll"])
@TRANSPORTS
async def test_calls_polls_and_links_go_by_the_same_proxy(
    via: Literal["held", "poll"], transport: Name
) -> None:
    async with office() as (server, proxy, profile):
        way = proxy.with_user(f"anna:{PASSWORD}")
        async with Client(
            profile, KEY, proxy=way, transport=transport, headers=HEADER, allow_private=True
        ) as gen:
            batch = await gen.many(["a red bicycle"], size="1K", via=via)
            await assert_settled(gen, server, batch)
            assert PASSWORD not in repr(gen)
    assert len(batch.images) == 1
    to_vendor = [head for head in proxy.heads if "images.invalid" in head[0]]
    to_store = [head for head in proxy.heads if "images.invalid" not in head[0]]
    # Polls share a connection, unless the kept one ends just when it is wanted.
    assert len(to_vendor) in ((1,) if via == "held" else (2, 3))
    assert len(to_store) == 1
    token = f"X-Gateway-Token: {HEADER['X-Gateway-Token']}"
    assert all(token in head for head in to_vendor)
    assert not any(token in head or KEY in str(head) for head in to_store)


@TRANSPORTS
async def test_a_proxy_that_wants_a_password_lets_nothing_out(
    transport: Name,
) -> None:
    async with office() as (server, proxy, profile):
        way = proxy.with_user("anna:wrong")
        async with Client(profile, KEY, proxy=way, transport=transport) as gen:
            batch = await gen.many(["a red bicycle"] * 3, size="1K")
            await assert_settled(gen, server, batch)
        assert server.stats().requests == 0
    assert len(proxy.heads) == 3
    for outcome in batch:
        assert isinstance(outcome, Failure)
        assert isinstance(outcome.error, ProxyRefusedError)
        assert (outcome.billing, len(outcome.attempts)) == ("no", 1)
        assert "It refused the name or the password of proxy" in str(outcome.error)
        assert "wrong" not in repr(outcome)


async def test_a_connect_that_fails_for_a_while_is_tried_again() -> None:
    async with office(status=502) as (server, proxy, profile):
        secure = dataclasses.replace(profile, base_url="https://images.invalid/v1")
        way = proxy.with_user(f"anna:{PASSWORD}")
        async with Client(secure, KEY, proxy=way) as gen:
            batch = await gen.many(["a red bicycle"], size="1K")
            await assert_settled(gen, server, batch)
    failure = batch[0]
    assert isinstance(failure, Failure)
    assert (failure.billing, len(failure.attempts)) == ("no", len(proxy.heads))
    assert len(proxy.heads) > 1
    assert "did not connect to images.invalid: it answered HTTP 502" in str(failure.error)


@pytest.mark.parametrize("trusted", [True, False])
async def test_the_environment_counts_if_it_is_trusted(
    monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    async with office() as (server, proxy, profile):
        monkeypatch.setenv("HTTP_PROXY", proxy.with_user(f"anna:{PASSWORD}"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        near = dataclasses.replace(profile, base_url=server.openai_url)
        target = profile if trusted else near
        async with Client(target, KEY, trust_env=trusted, allow_private=True) as gen:
            batch = await gen.many(["a red bicycle"], size="1K")
            await assert_settled(gen, server, batch)
    assert isinstance(batch[0], Image)
    assert len(proxy.heads) == (1 if trusted else 0)  # the link leads to 127.0.0.1
