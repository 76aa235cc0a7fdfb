"""Several accounts in one client: how much of all ceilings is used, and what a dead account costs.

Virtual time and the library's own code, as in `pace`; each account is a vendor with a hidden
ceiling, and one of them may die: it cuts what it has, and takes no connection from then on.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from functools import partial
from itertools import pairwise
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from bench.hidden_cap import HiddenCap
from bench.suite import Session
from bench.table import table_lines
from nbp_async import (
    Account,
    Client,
    ConnectError,
    DisconnectedError,
    Failure,
    Image,
    Limits,
    Outcome,
    Profile,
)
from nbp_async.testing.sink import NowhereSink
from nbp_async.testing.transport import Canned, FakeTransport
from nbp_async.testing.virtual_time import run_virtual

Route = Literal["balanced", "cheapest", "fastest"]
ROUTES: tuple[Route, ...] = ("balanced", "cheapest", "fastest")
CEILINGS = {"one": 60, "two": 140}
LEARNED_BY = 600.0  # seconds that limits may take to be found
DIES_AT, ENDS_AT = 1200.0, 1800.0  # seconds
PRICE = Decimal("0.05")


class Vendors(FakeTransport):
    """Vendors by host, each with its own ceiling; one that is dead takes no connection."""

    def __init__(self, ceilings: dict[str, Callable[[float], int]], seed: int) -> None:
        super().__init__()
        self.keep_requests = False
        self.by_name = {
            name: HiddenCap(cap, seed=seed + n) for n, (name, cap) in enumerate(ceilings.items())
        }
        self.dies_at: dict[str, float] = {}

    def choose(self, request: object) -> Canned:
        """The answer of the vendor that this request goes to."""
        host = urlsplit(getattr(request, "url", "")).hostname or ""
        name = host.partition(".")[0]
        vendor = self.by_name[name]
        dies_at = self.dies_at.get(name, float("inf"))
        if vendor.now >= dies_at:
            return Canned(error=ConnectError("Connection refused."))
        answer = vendor.choose(request)
        if vendor.now + answer.hold <= dies_at:
            return answer
        return Canned(error=DisconnectedError("The connection was cut."), hold=dies_at - vendor.now)

    async def sample(self, seconds: float) -> tuple[int, int]:
        """Slots that the vendors held, and that they would have held, summed once a second."""
        held = room = 0
        vendors = list(self.by_name.values())
        while (now := vendors[0].now) < seconds:
            if now >= LEARNED_BY:
                held += sum(min(vendor.held, vendor.cap(now)) for vendor in vendors)
                room += sum(vendor.cap(now) for vendor in vendors)
            await asyncio.sleep(1.0)
        return held, room


class ShareRow(msgspec.Struct, frozen=True):
    """How much of both ceilings a route used after ten minutes, and refusals on 100 images."""

    route: Route
    share: float
    refusals: float


class DeathRow(msgspec.Struct, frozen=True):
    """What the death of one account cost.

    Attributes:
        prompts: How many there were.
        images: Prompts that brought their image.
        named: Prompts whose request was cut, which are named as possibly billed.
        lost: Prompts that brought no image and cost nothing.
        unnamed: Requests that may have been billed, and neither brought an image nor are named.
        refused: Attempts that found no connection.
        takeover: Seconds until the last of these prompts was on its way to the other account.
    """

    prompts: int
    images: int
    named: int
    lost: int
    unnamed: int
    refused: int
    takeover: float


def accounts_of(vendors: Vendors, most: int) -> list[Account]:
    """An account at each vendor; the second one costs less."""
    limits = Limits(max_in_flight=f"auto:{most}")
    return [
        Account(
            Profile(name=name, base_url=f"https://{name}.example/v1"),
            "sk-simulated",
            limits=limits,
            price=PRICE / (n + 1),
        )
        for n, name in enumerate(vendors.by_name)
    ]


def measure_share(route: Route, *, seconds: float = 3600.0, seed: int = 7) -> ShareRow:
    """Two accounts and prompts without end."""
    return run_virtual(_share(route, seconds, seed), sockets=False)


def _steady(cap: int, _: float) -> int:
    return cap


async def _share(route: Route, seconds: float, seed: int) -> ShareRow:
    vendors = Vendors({name: partial(_steady, cap) for name, cap in CEILINGS.items()}, seed)
    rng = random.Random(seed)
    accounts = accounts_of(vendors, 2 * max(CEILINGS.values()))
    async with Client(accounts, route=route, transport=vendors, rng=rng.random) as gen:

        async def work() -> None:
            async for _ in gen.stream(_endless(), size="2K", out=NowhereSink()):
                pass

        task = asyncio.create_task(work())
        held, room = await vendors.sample(seconds)
        made = sum(vendor.made for vendor in vendors.by_name.values())
        refused = sum(vendor.refused for vendor in vendors.by_name.values())
        task.cancel()
        await asyncio.wait([task])
    return ShareRow(route, held / room, 100 * refused / max(1, made))


def _endless() -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield f"picture {number}"


def _takeovers(outcome: Outcome) -> Iterator[float]:
    """Seconds from each attempt that found no connection to the prompt's next departure."""
    for refused, following in pairwise(outcome.attempts):
        if refused.error.startswith("ConnectError") and following.timings.connecting is not None:
            yield following.timings.connecting - refused.timings.done


def measure_death(*, seed: int = 7) -> DeathRow:
    """A prompt a second for half an hour; one of two accounts dies after twenty minutes."""
    return run_virtual(_death(seed), sockets=False)


async def _death(seed: int) -> DeathRow:
    vendors = Vendors(dict.fromkeys(CEILINGS, partial(_steady, 200)), seed)
    vendors.dies_at["one"] = DIES_AT
    rng = random.Random(seed)

    async def prompts() -> AsyncIterator[str]:
        for number in range(int(ENDS_AT)):
            yield f"picture {number}"
            await asyncio.sleep(1.0)

    async with Client(accounts_of(vendors, 400), transport=vendors, rng=rng.random) as gen:
        outcomes = [o async for o in gen.stream(prompts(), size="2K", out=NowhereSink())]
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    seconds = [span for outcome in outcomes for span in _takeovers(outcome)]
    named = sum(a.billing != "no" for outcome in outcomes for a in outcome.attempts)
    return DeathRow(
        prompts=len(outcomes),
        images=sum(isinstance(outcome, Image) for outcome in outcomes),
        named=sum(failure.billing != "no" for failure in failures),
        lost=sum(failure.billing == "no" for failure in failures),
        unnamed=vendors.billed - named,
        refused=len(seconds),
        takeover=max(seconds, default=float("inf")),
    )


async def accounts(session: Session) -> None:
    """two accounts in one client: all ceilings are used, and a dead one is replaced"""
    logging.getLogger("nbp_async").setLevel(logging.ERROR)  # what is cut is counted below
    routes = ROUTES[:1] if session.quick else ROUTES
    shares = [await asyncio.to_thread(measure_share, route) for route in routes]
    total = sum(CEILINGS.values())
    session.show(
        "",
        f"share of both ceilings ({total}) that was used after ten minutes",
        *table_lines(
            ["route", "used", "refusals on 100"],
            [(row.route, f"{row.share:.0%}", f"{row.refusals:.1f}") for row in shares],
        ),
    )
    death = await asyncio.to_thread(measure_death)
    session.show(
        "",
        f"one of two dies: {death.refused} requests found no connection, and the last of them was "
        f"on its way to the other after {death.takeover:.2f} s;",
        f"{death.images:,} of {death.prompts:,} prompts have their image, {death.named} were cut "
        f"and are named, {death.lost} are lost, {death.unnamed} may be billed unnamed",
    )
    for row in shares:
        session.check(f"unused of both ceilings: {row.route}", 1 - row.share, 0.05, "")
    session.check("until the other account takes over", death.takeover, 3.0, "s")
    session.check("images lost", death.lost, 0, "")
    session.check("billed and not named", death.unnamed, 0, "")
    session.readings["accounts"] = [msgspec.to_builtins(row) for row in (*shares, death)]
