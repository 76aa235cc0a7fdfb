"""Runs with a journal, each in a fresh process, which may be killed at any moment."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from bench.bodies import answer_with, png
from bench.killed_process import Step
from bench.meter import Meter, resident
from nbp_async import (
    Batch,
    Client,
    ConnectError,
    DisconnectedError,
    Limits,
    Listener,
    Outcome,
    Profile,
    recover_run,
)
from nbp_async.testing.journal import inline_journal
from nbp_async.testing.transport import Canned, FakeTransport
from nbp_async.testing.virtual_time import run_virtual

RELAY, KEY = "https://relay.example/v1", "sk-bench-1234"


@dataclass(frozen=True)
class RunTask:
    """A run of images from a fake server into a folder.

    Attributes:
        url: The server's.
        key: The key.
        folder: Of the run.
        prompts: How many.
        in_flight: At most.
        journal: Keep one.
        warm: Make some images before, which are not measured.
        resend: Dollars for sending again what may have been billed; "" to leave that as it is.
        links: What becomes of links among the answers, "fetch" or "keep".
    """

    url: str
    key: str
    folder: str
    prompts: int
    in_flight: int
    journal: bool = True
    warm: bool = False
    resend: str = ""
    links: Literal["fetch", "keep"] = "fetch"


@dataclass(frozen=True)
class RunDone:
    """What a run came to; times in seconds. `stopped`: some of its prompts were not sent."""

    images: int
    unclear: int
    wall: float
    cpu: float
    stopped: bool = False


@dataclass(frozen=True)
class RecoveryDone:
    """How many kept answers became images, and how many are still kept."""

    images: int
    left: int


@dataclass(frozen=True)
class SimulatedDone:
    """What a run in virtual time came to; `growth` in bytes, `billed` in requests."""

    images: int
    failures: int
    spent: Decimal
    maybe: Decimal
    billed: int
    growth: int
    wall: float
    cpu: float
    simulated_s: float


@dataclass(frozen=True)
class CountedTask:
    """So many prompts, with a journal in this folder."""

    folder: str
    prompts: int


def make_images(task: RunTask) -> RunDone:
    """Make images from a fake server into a folder."""
    return asyncio.run(_images(task))


def make_images_in_steps(task: RunTask, step: Step) -> None:
    """The same; each attempt that has ended is a step."""
    asyncio.run(_images(task, [Steps(step)]))


class Steps(Listener):
    """Each attempt is a step; outcomes of earlier calls are none."""

    def __init__(self, step: Step) -> None:
        self._step = step

    def on_attempt(self, event: object) -> None:  # noqa: ARG002
        self._step()


async def _images(task: RunTask, listeners: Sequence[Listener] = ()) -> RunDone:
    profile = Profile(name="bench", base_url=task.url)
    limits = Limits(max_in_flight=task.in_flight, reuse_connections=True)
    prompts = [f"prompt {number}" for number in range(task.prompts)]
    resend: dict[str, Any] = {}
    if task.resend:
        resend = {"resend_ambiguous": True, "max_cost": Decimal(task.resend)}
    async with Client(profile, task.key, limits=limits, listeners=listeners) as gen:
        if task.warm:
            await gen.many(["warm up"] * limits.most_in_flight, size="1K")
        meter = Meter()
        batch = await gen.many(
            prompts,
            size="1K",
            out=Path(task.folder),
            journal=None if task.journal else False,
            links=task.links,
            **resend,
        )
        reading = meter.read(len(batch.images))
    images, unclear = len(batch.images), len(batch.billing.unclear)
    return RunDone(images, unclear, reading.wall, reading.cpu, batch.stopped is not None)


def recover_images(task: RunTask) -> RecoveryDone:
    """Read the kept answers of a run again; links lead to the fake server, on this machine."""
    batch = asyncio.run(_recovered(task))
    return RecoveryDone(len(batch.images), len(list(Path(task.folder).glob("unread/*.reply"))))


def recover_images_in_steps(task: RunTask, step: Step) -> None:
    """The same; each outcome is a step."""
    asyncio.run(_recovered(task, lambda _: step()))


async def _recovered(task: RunTask, on_outcome: Callable[[Outcome], object] | None = None) -> Batch:
    return await recover_run(
        task.folder, allow_private=True, allow_http=True, on_outcome=on_outcome
    )


def make_transitions(task: CountedTask) -> RunDone:
    """Images from a transport without sockets, as fast as possible: only the journal takes time.

    Each passes three states: planned, armed, and stored with its attempt settled.
    """
    return asyncio.run(_transitions(task))


async def _transitions(task: CountedTask) -> RunDone:
    transport = FakeTransport(default=Canned(answer_with(png(500))))
    transport.keep_requests = False
    limits = Limits(max_in_flight=200)
    async with Client(RELAY, KEY, limits=limits, transport=transport) as gen:
        meter = Meter()
        journal = str(Path(task.folder) / "run.sqlite3")
        prompts = (f"prompt {number}" for number in range(task.prompts))
        batch = await gen.many(prompts, size="1K", journal=journal)
        reading = meter.read(len(batch.images))
    return RunDone(len(batch.images), len(batch.billing.unclear), reading.wall, reading.cpu)


def make_simulated_run(task: CountedTask) -> SimulatedDone:
    """A long run with faults in virtual time, through `stream`, which keeps no outcome."""
    return run_virtual(_simulated(task))


async def _simulated(task: CountedTask) -> SimulatedDone:
    transport = unreliable_transport()
    journal = await inline_journal(Path(task.folder) / "run.sqlite3")
    images = failures = early = 0
    spent = maybe = Decimal(0)
    limits = Limits(max_in_flight=200)
    async with Client(RELAY, KEY, transport=transport, limits=limits) as gen:
        meter = Meter()
        prompts = (f"prompt {number}" for number in range(task.prompts))
        async for outcome in gen.stream(prompts, size="1K", journal=journal):
            images += outcome.ok
            failures += not outcome.ok
            spent, maybe = spent + outcome.spent, maybe + outcome.maybe_spent
            if images + failures == task.prompts // 10:
                early = resident()
        reading = meter.read(images)
        growth = resident() - early
        simulated_s = asyncio.get_running_loop().time()
    return SimulatedDone(
        images,
        failures,
        spent,
        maybe,
        billed=transport.billed,
        growth=growth,
        wall=reading.wall,
        cpu=reading.cpu,
        simulated_s=simulated_s,
    )


def unreliable_transport() -> FakeTransport:
    """A vendor where one request in twenty fails, each time differently."""
    rng = random.Random(5)
    faults: tuple[Callable[[], Canned], ...] = (
        lambda: Canned(b"{}", status=429, headers={"retry-after": "7"}),
        lambda: Canned(b"{}", status=400),
        lambda: Canned(error=ConnectError("refused")),
        lambda: Canned(error=DisconnectedError("gone"), hold=50.0),
        lambda: Canned(b'{"data": [{"b64_json": "iVBO', hold=100.0),
    )

    def draw() -> Canned | None:
        return rng.choice(faults)() if rng.random() < 0.05 else None

    transport = FakeTransport(default=Canned(answer_with(png(500)), hold=100.0), draw=draw)
    transport.keep_requests = False
    return transport
