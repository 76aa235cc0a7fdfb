"""Two accounts, each a fake server of its own, and what both banks say in the end."""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from nbp_async import Account, Client, Image, Limits, Outcome, Profile
from nbp_async.fake import FakeServer

KEYS = {"google": "sk-canary-of-google-0001", "relay": "sk-canary-of-a-relay-0002"}


class TwoAccounts:
    """`google` speaks Gemini and calls the model gemini-3-pro-image; `relay` is cheaper, and calls
    it nano-banana-pro."""

    def __init__(self, google: FakeServer, relay: FakeServer) -> None:
        self.servers = {"google": google, "relay": relay}
        self.google, self.relay = google, relay

    def account(self, name: str, **options: Any) -> Account:
        """One of them, with these options."""
        options.setdefault("limits", Limits(max_in_flight=10))
        options.setdefault("price", None if name == "google" else "0.05")
        return Account(self.profile(name), options.pop("key", KEYS[name]), **options)

    def profile(self, name: str) -> Profile:
        """Where it is."""
        google = name == "google"
        return Profile(
            name=name,
            base_url=self.google.gemini_url if google else self.relay.openai_url,
            dialect="gemini" if google else "openai_images",
            model="gemini-3-pro-image" if google else "nano-banana-pro",
        )

    def accounts(self, **options: Any) -> list[Account]:
        """Both, with these options for each."""
        return [self.account(name, **options) for name in self.servers]

    def images(self) -> dict[str, int]:
        """How many images each has made."""
        return {name: server.bank.images for name, server in self.servers.items()}

    async def assert_settled(self, gen: Client, outcomes: Iterable[Outcome]) -> None:
        """Each bank has billed what the attempts at its account say, certainly or perhaps."""
        outcomes = list(outcomes)
        for name, server in self.servers.items():
            await server.drain()
            mine = [a for o in outcomes for a in o.attempts if a.account == name]
            spent = sum((a.cost for a in mine if a.billing == "yes"), Decimal(0))
            maybe = sum((a.cost for a in mine if a.billing == "maybe"), Decimal(0))
            billed = server.bank.billed
            # Without token counts the list price counts, which leaves out a cent of text.
            assert spent <= billed <= (spent + maybe) * Decimal("1.05"), (name, spent, billed)
            named: Counter[str] = Counter()
            for o in outcomes:
                named[o.prompt.text] += sum(
                    a.billing != "no" for a in o.attempts if a.account == name
                )
                named[o.prompt.text] += len(o.extras) if isinstance(o, Image) else 0
            for text, count in named.items():
                assert server.bank.billed_for(text) <= count
        assert {a.account for o in outcomes for a in o.attempts} <= self.servers.keys()
        assert gen.in_flight == 0
        for gate in gen.statistics().values():
            assert (gate.in_flight, gate.waiting) == (0, 0)
        await asyncio.sleep(0.05)
        gc.collect()
        assert all(server.stats().in_flight == 0 for server in self.servers.values())


@asynccontextmanager
async def two_accounts(**options: Any) -> AsyncIterator[TwoAccounts]:
    """Both servers; an option is for both, or a dict with one for each."""

    def of(name: str) -> dict[str, Any]:
        mine = {k: v[name] if isinstance(v, dict) else v for k, v in options.items()}
        prices = {} if name == "google" else {"prices": {"*": "0.05"}}
        return {"latency": 60.0, "keys": [KEYS[name]], **prices, **mine}

    async with FakeServer(**of("google")) as google, FakeServer(**of("relay")) as relay:
        yield TwoAccounts(google, relay)
