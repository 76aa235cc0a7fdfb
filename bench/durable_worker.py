"""One process of a run, told by JSON what to do; it may be killed at any moment.

python -m bench.durable_worker '{"url": ..., "key": ..., "folder": ..., "prompts": 2000}'
"""

import asyncio
import json
import random
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from bench.bodies import answer_with, png
from bench.meter import Meter, resident
from nbp_async import Client, ConnectError, DisconnectedError, Limits, Profile
from nbp_async.testing.journal import inline_journal
from nbp_async.testing.transport import Canned, FakeTransport
from nbp_async.testing.virtual_time import run_virtual


async def images(task: dict[str, Any]) -> dict[str, Any]:
    """Make images from a fake server into a folder; `journal` False for none."""
    profile = Profile(name="bench", base_url=task["url"])
    limits = Limits(max_in_flight=task["in_flight"], reuse_connections=True)
    prompts = [f"prompt {number}" for number in range(task["prompts"])]
    again: dict[str, Any] = {}
    if task.get("resend"):
        again = {"resend_ambiguous": True, "max_cost": Decimal(task["resend"])}
    async with Client(profile, task["key"], limits=limits) as gen:
        if task.get("warm"):
            await gen.many(["warm up"] * limits.max_in_flight, size="1K")
        meter = Meter()
        batch = await gen.many(
            prompts,
            size="1K",
            out=Path(task["folder"]),
            journal=None if task.get("journal", True) else False,
            **again,
        )
        reading = meter.read(len(batch.images))
    return {
        "images": len(batch.images),
        "unclear": len(batch.billing.unclear),
        "wall": reading.wall,
        "cpu": reading.cpu,
    }


async def transitions(task: dict[str, Any]) -> dict[str, Any]:
    """Images from a transport without sockets, as fast as it goes: only the journal is in the way.

    Each passes three states: it is planned, armed, and stored with its attempt settled.
    """
    transport = FakeTransport(default=Canned(answer_with(png(500))))
    transport.keep_requests = False
    count = task["prompts"]
    limits = Limits(max_in_flight=200)
    async with Client("https://relay.example/v1", "sk-bench-1234", limits=limits,
                      transport=transport) as gen:  # fmt: skip
        meter = Meter()
        journal = str(Path(task["folder"]) / "run.sqlite3")
        batch = await gen.many((f"prompt {n}" for n in range(count)), size="1K", journal=journal)
        reading = meter.read(len(batch.images))
    return {"images": len(batch.images), "wall": reading.wall, "cpu": reading.cpu}


def unsteady() -> FakeTransport:
    """A vendor with whom one request in twenty goes wrong, each time in another way."""
    luck = random.Random(5)
    wrong: tuple[Callable[[], Canned], ...] = (
        lambda: Canned(b"{}", status=429, headers={"retry-after": "7"}),
        lambda: Canned(b"{}", status=400),
        lambda: Canned(error=ConnectError("refused")),
        lambda: Canned(error=DisconnectedError("gone"), hold=50.0),
        lambda: Canned(b'{"data": [{"b64_json": "iVBO', hold=100.0),
    )

    def draw() -> Canned | None:
        return luck.choice(wrong)() if luck.random() < 0.05 else None

    transport = FakeTransport(default=Canned(answer_with(png(500)), hold=100.0), draw=draw)
    transport.keep_requests = False
    return transport


async def simulated(task: dict[str, Any]) -> dict[str, Any]:
    """A long run in virtual time with faults, through `stream`, which keeps no outcome."""
    transport, count = unsteady(), task["prompts"]
    journal = await inline_journal(Path(task["folder"]) / "run.sqlite3")
    images = failures = 0
    spent = maybe = Decimal(0)
    early = 0
    async with Client("https://relay.example/v1", "sk-bench-1234", transport=transport,
                      limits=Limits(max_in_flight=200)) as gen:  # fmt: skip
        meter = Meter()
        prompts = (f"prompt {number}" for number in range(count))
        async for outcome in gen.stream(prompts, size="1K", journal=journal):
            images += outcome.ok
            failures += not outcome.ok
            spent, maybe = spent + outcome.spent, maybe + outcome.maybe_spent
            if images + failures == count // 10:
                early = resident()
        reading = meter.read(images)
        growth = resident() - early
        simulated_s = asyncio.get_running_loop().time()
    return {
        "images": images, "failures": failures, "spent": str(spent), "maybe": str(maybe),
        "billed": transport.billed, "growth": growth, "wall": reading.wall, "cpu": reading.cpu,
        "simulated_s": simulated_s,
    }  # fmt: skip


def main() -> None:
    task = json.loads(sys.argv[1])
    if task.get("what") == "simulated":
        print(json.dumps(run_virtual(simulated(task))))
        return
    work = transitions if task.get("what") == "transitions" else images
    print(json.dumps(asyncio.run(work(task))))


if __name__ == "__main__":
    main()
