"""`python -m bench pace`: what finds a hidden ceiling, and what it costs to ask.

Virtual time and the library's own code against a vendor whose ceiling is known to nobody. Beside
it a number that somebody guessed, and AIMD on completions as peers do it.
"""

import asyncio
import logging
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from bench.account_pace import accounts
from bench.hidden_cap import HiddenCap, Sample
from bench.kept_limits import kept
from bench.suite import Session, Suite
from bench.table import table_lines
from nbp_async import AutoLimit, Client, Limits, Profile
from nbp_async.testing.sink import NowhereSink
from nbp_async.testing.virtual_time import run_virtual

VENDOR = Profile(name="hidden", base_url="https://vendor.example/v1")
GUESS = 50
CEILING = 1000
LEARNED_BY = 600.0  # seconds that a limit may take to be found
STEP = 1800.0  # seconds of one step of a ceiling that changes
STEPS = (30, 12, 120, 30)

Way = Literal["auto", "guess", "aimd"]


def steady(cap: int) -> Callable[[float], int]:
    """A ceiling that stays."""
    return lambda _: cap


def in_steps(now: float) -> int:
    """A ceiling that changes every half hour."""
    return STEPS[int(now // STEP) % len(STEPS)]


@dataclass(frozen=True)
class Case:
    """One vendor, and how many clients meet it; its ceiling changes every so many seconds."""

    name: str
    cap: Callable[[float], int]
    clients: int = 1
    per_minute: int | None = None
    changes: float = math.inf
    seconds: float = 3600.0


CASES = (
    Case("5", steady(5), seconds=7200.0),
    Case("12", steady(12), seconds=7200.0),
    Case("50", steady(50)),
    Case("400", steady(400)),
    Case("1,000", steady(1000), seconds=2400.0),
    Case("30, 12, 120, 30 in turn", in_steps, changes=STEP, seconds=4 * STEP),
    Case("60 a minute", steady(CEILING), per_minute=60),
    Case("100, two clients", steady(100), clients=2, seconds=7200.0),
    Case("400, five clients", steady(400), clients=5, seconds=7200.0),
)


class PaceRow(msgspec.Struct, frozen=True):
    """What came of a case.

    Attributes:
        case: Its name.
        way: "auto", "guess" (50 in flight) or "aimd".
        share: Of the ceiling, in the time that is ten minutes after it changed: 1.0 is all of it.
        overall: The same from the beginning on.
        refusals: On a hundred images.
        fair: What the client with the least held, of what the one with the most held; 1.0 alone.
        peak: The most requests of all clients together.
        samples: One for each ten seconds.
    """

    case: str
    way: Way
    share: float
    overall: float
    refusals: float
    fair: float
    peak: int
    samples: tuple[Sample, ...] = ()


def measure(case: Case, way: Way, seed: int = 7) -> PaceRow:
    """Play one case to its end, in a loop of its own."""
    return run_virtual(_play(case, way, seed), sockets=False)


async def _play(case: Case, way: Way, seed: int) -> PaceRow:
    vendor = HiddenCap(case.cap, per_minute=case.per_minute, seed=seed)
    works = [_Client(way, vendor, case, seed * 1000 + n) for n in range(case.clients)]
    tasks = [asyncio.create_task(work.run()) for work in works]
    held: list[list[int]] = []

    def limits() -> tuple[int, ...]:
        held.append([work.in_flight for work in works])
        return tuple(work.limit for work in works)

    await vendor.watch(case.seconds, limits)
    made, refused = vendor.made, vendor.refused
    logging.getLogger("nbp_async").setLevel(logging.ERROR)  # requests that end with the case
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    late = [sample for sample in vendor.samples if sample.at % case.changes >= LEARNED_BY]
    return PaceRow(
        case.name,
        way,
        _share(case, late, made),
        _share(case, vendor.samples, made),
        100 * refused / max(1, made),
        _fairness(held[int(LEARNED_BY) :]),
        vendor.peak,
        tuple(vendor.samples[::10]),
    )


def _share(case: Case, samples: Sequence[Sample], made: int) -> float:
    if case.per_minute is not None:  # the images of the first holds are still to come
        return made / (case.per_minute * (case.seconds - 100.0) / 60.0)
    used = sum(min(sample.held, sample.cap) for sample in samples)
    return used / sum(sample.cap for sample in samples)


def _fairness(held: Sequence[Sequence[int]]) -> float:
    sums = [sum(column) for column in zip(*held, strict=True)]
    return float(min(sums) / max(1, max(sums)))


class _Client:
    """One client that has prompts without end."""

    def __init__(self, way: Way, vendor: HiddenCap, case: Case, seed: int) -> None:
        self._way: Way = way
        self._vendor = vendor
        self._rng = random.Random(seed)
        self._most = min(CEILING, max(map(case.cap, (0.0, STEP, 2 * STEP))) * 2)
        self._gen: Client | None = None
        self._aimd = AimdLimit()

    @property
    def in_flight(self) -> int:
        if self._way == "aimd":
            return self._aimd.in_flight
        return self._gen.in_flight if self._gen is not None else 0

    @property
    def limit(self) -> int:
        if self._way == "aimd":
            return int(self._aimd.limit)
        found = self._gen.statistics().values() if self._gen is not None else ()
        return max((gate.limit for gate in found), default=0)

    async def run(self) -> None:
        if self._way == "aimd":
            await self._aimd.work(self._vendor)
            return
        auto = AutoLimit(ceiling=self._most)
        limits = Limits(max_in_flight=auto if self._way == "auto" else GUESS)
        async with Client(
            VENDOR, "sk-simulated", limits=limits, transport=self._vendor, rng=self._rng.random
        ) as self._gen:
            async for _ in self._gen.stream(_prompts(), size="2K", out=NowhereSink()):
                pass


def _prompts() -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield f"picture {number}"


class AimdLimit:
    """As peers do it: one more for as many completions as are allowed, three quarters at a 429."""

    def __init__(self) -> None:
        self.limit = 8.0
        self.in_flight = 0
        self._lowered_at = float("-inf")
        self._changed = asyncio.Event()

    async def work(self, vendor: HiddenCap) -> None:
        """Ask until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                while self.in_flight >= int(self.limit):
                    self._changed.clear()
                    await self._changed.wait()
                self.in_flight += 1
                group.create_task(self._ask(vendor))

    async def _ask(self, vendor: HiddenCap) -> None:
        left = vendor.now
        seconds, wait = vendor.hold()
        await asyncio.sleep(seconds)
        if wait is None:
            self.limit += 1 / self.limit
        else:
            if left > self._lowered_at:
                self.limit, self._lowered_at = max(1.0, self.limit * 0.75), vendor.now
            await asyncio.sleep(max(wait, 1.0))
        self.in_flight -= 1
        self._changed.set()


async def ceilings(session: Session) -> None:
    """hidden ceilings, found by the library, guessed, and by AIMD"""
    cases = CASES[1:3] if session.quick else CASES
    rows = []
    for case in cases:
        for way in ("auto", "guess", "aimd"):
            row = await asyncio.to_thread(measure, case, way)
            rows.append(row)
            session.show(
                f"  {row.case}, {row.way}: {row.share:.0%} used, {row.refusals:.1f} refusals"
            )
    session.show("", *_table(rows))
    for row in rows:
        if row.way == "auto":
            session.check(f"unused of the ceiling: {row.case}", 1 - row.share, 0.10, "")
            session.check(f"refusals on 100 images: {row.case}", row.refusals, 6.0, "")
            session.check(f"unequal clients: {row.case}", 1 - row.fair, 0.20, "")
    session.readings["ceilings"] = [msgspec.to_builtins(row) for row in rows]


def _table(rows: Sequence[PaceRow]) -> Iterator[str]:
    cells = []
    for name in dict.fromkeys(row.case for row in rows):
        mine = {row.way: row for row in rows if row.case == name}
        figures = [
            f"{mine[w].share:.0%} / {mine[w].refusals:.1f}" for w in ("guess", "aimd", "auto")
        ]
        cells.append((name, *figures))
    yield "share of the ceiling that was used / refusals on 100 images"
    yield from table_lines(["hidden ceiling", f"{GUESS} guessed", "AIMD", "auto"], cells)


PACE = Suite(
    name="pace",
    help="finding a hidden ceiling: auto, a guess, AIMD; the next call; several accounts; in "
    "virtual time",
    quick="two ceilings, one route, some seconds",
    measurements={"ceilings": ceilings, "kept": kept, "accounts": accounts},
)
