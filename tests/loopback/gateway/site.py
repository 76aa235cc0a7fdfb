"""A gateway before a fake vendor, in this process, and users who ask it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from nbp_async import Client, Limits, Profile
from nbp_async.fake import FakeServer
from nbp_async.gateway import GatewaySettings, gateway_app, open_users

CANARY = "sk-canary-0123456789abcdef"


@dataclass(slots=True)
class Site:
    """A running gateway.

    Attributes:
        url: Where it is.
        vendor: The fake that it asks.
        settings: How it runs.
        session: Asks without a token.
    """

    url: str
    vendor: FakeServer
    settings: GatewaySettings
    session: aiohttp.ClientSession

    async def user(self, name: str, *, operator: bool = False, budget: str = "") -> "Asker":
        """A new user."""

        def add() -> str:
            with open_users(self.settings) as users:
                token = users.add(name, "operator" if operator else "user")
                if budget:
                    users.set_budget(name, budget)
                return token

        return Asker(self, name, await asyncio.to_thread(add))


@dataclass(slots=True)
class Asker:
    """A user with a token."""

    site: Site
    name: str
    token: str

    async def ask(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, Any, Any]:
        """Status, JSON and headers of the answer."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.site.session.request(
            method,
            self.site.url + path,
            json=body,
            headers={"Authorization": f"Bearer {self.token}"} | named,
        ) as response:
            return response.status, await response.json(content_type=None), response.headers

    async def submit(self, prompt: str = "a red bicycle", **more: Any) -> dict[str, Any]:
        """A task."""
        path = "/v1/images/generations/async"
        status, task, _ = await self.ask("POST", path, {"prompt": prompt} | more)
        assert status == 202, task
        return dict(task)

    async def task(self, task: str) -> dict[str, Any]:
        status, found, _ = await self.ask("GET", f"/v1/tasks/{task}")
        assert status == 200, found
        return dict(found)

    async def ended(self, task: str) -> dict[str, Any]:
        """The task, once it has ended."""
        while (found := await self.task(task))["status"] in ("pending", "running"):
            await asyncio.sleep(0.02)
        return found

    async def account(self) -> dict[str, Any]:
        return dict((await self.ask("GET", "/v1/account"))[1])


@asynccontextmanager
async def site(
    folder: Path, vendor: FakeServer, *, in_flight: int = 8, **settings: Any
) -> AsyncIterator[Site]:
    """A gateway; a second one in the same folder goes on where the first one ended."""
    given = GatewaySettings(folder=folder, drain=30.0, **settings)
    profile = Profile(name="vendor", base_url=vendor.openai_url, response_format=None)

    def client() -> Client:
        return Client(profile, vendor.key, limits=Limits(max_in_flight=in_flight))

    runner = web.AppRunner(gateway_app(client, given), access_log=None)
    await runner.setup()
    try:
        listening = web.TCPSite(runner, "127.0.0.1", 0)
        await listening.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession() as session:
            yield Site(url, vendor, given, session)
    finally:
        await runner.cleanup()


async def assert_books(vendor: FakeServer, *askers: Asker) -> None:
    """What the users' accounts say was spent, or perhaps, is what the bank billed."""
    accounts = [await asker.account() for asker in askers]
    spent = sum(Decimal(str(one["spent_usd"])) for one in accounts)
    maybe = sum(Decimal(str(one["maybe_usd"])) for one in accounts)
    assert spent <= vendor.stats().dollars <= spent + maybe, (accounts, vendor.stats().dollars)
    assert all(one["held_usd"] == 0 for one in accounts)
