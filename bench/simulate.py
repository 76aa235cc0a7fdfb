"""`python -m bench simulate`: a million images across machines, planned by the library's own code.

Each worker is a client of its own, as on a machine of its own, with its share of the prompts; all
of them meet one vendor without sockets. Time is virtual: days take minutes, and memory stays flat.
"""

import asyncio
import gc
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import zip_longest
from typing import TypeVar

import msgspec

from bench.meter import resident
from bench.simulated_vendor import Outage, SimulatedVendor
from nbp_async import Client, Failure, Limits, Outcome, Profile
from nbp_async.fake.latency import parse_latency
from nbp_async.fake.quotas import Quotas
from nbp_async.testing.sink import NowhereSink
from nbp_async.testing.virtual_time import run_virtual

MINUTE = 60.0
Number = TypeVar("Number", int, float)
OnPercent = Callable[[int], None]
VENDOR = Profile(name="simulated", base_url="https://vendor.example/v1")


class Plan(msgspec.Struct, frozen=True):
    """What to simulate. Times in seconds of virtual time.

    Attributes:
        n: Images.
        workers: Clients, each with its own limits.
        concurrency: Calls in flight of each client.
        latency: Of an image, as the fake server reads it.
        size: "1K", "2K" or "4K".
        rate: Each client's own limit of departures, as "60/min"; "" for none.
        spend: Each client's own limit of dollars, as "$50/10min"; "" for none.
        per_minute: Requests that the vendor takes in a minute, of all clients together.
        tier: Dollars that the vendor bills in any ten minutes, of all clients together.
        outages: [begin, length] of times when it answers 503 to everything.
        faults: By probability: statuses, reset and disconnect.
        seed: Of latencies, faults and jitter.
        window: Length of the windows that spending is summed by.
    """

    n: int = 1_000_000
    workers: int = 100
    concurrency: int = 500
    latency: str = "30-170"
    size: str = "4K"
    rate: str = ""
    spend: str = ""
    per_minute: int | None = None
    tier: float | None = None
    outages: list[tuple[float, float]] = []
    faults: str = ""
    seed: int = 7
    window: float = 600.0

    def __post_init__(self) -> None:
        if min(self.n, self.workers, self.concurrency) < 1 or self.window <= 0:
            raise ValueError("n, workers and concurrency are at least 1, a window is above 0 s")

    @property
    def is_shared(self) -> bool:
        """The vendor's limits are of all machines together: none can be played without the rest."""
        return self.per_minute is not None or self.tier is not None

    def prompts(self, worker: int) -> Iterator[str]:
        """This worker's share: every `workers`-th."""
        return (f"picture {number}" for number in range(worker, self.n, self.workers))


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted. Times in seconds of virtual time, dollars as the client counts them.

    Attributes:
        makespan: Until the last outcome.
        images: How many came.
        failures: How many did not, by the name of their error.
        spent: Certainly billed.
        maybe: May have been billed in addition.
        requests: That the vendor took or refused.
        refused: That it refused, at no cost.
        peak_in_flight: The most at once.
        spend_by_window: Dollars of each window, in order; empty windows are 0.
        images_by_window: Images of each.
        growth: Bytes that memory grew from a tenth of the outcomes to nine tenths.
    """

    makespan: float
    images: int
    failures: dict[str, int]
    spent: Decimal
    maybe: Decimal
    requests: int
    refused: int
    peak_in_flight: int
    spend_by_window: list[float]
    images_by_window: list[int]
    growth: int


class Forecast(Counts, frozen=True, kw_only=True):
    """What a simulation found.

    Attributes:
        bound: The shortest that anybody could take: slots, longest image, or the vendor's rate.
        real_seconds: That the simulation took.
    """

    bound: float
    real_seconds: float

    @property
    def ended(self) -> int:
        """Outcomes."""
        return self.images + sum(self.failures.values())


class Share(msgspec.Struct, frozen=True):
    """Some of the machines of a plan: every `step`-th, from the `first` one on."""

    plan: Plan
    first: int = 0
    step: int = 1

    @property
    def machines(self) -> range:
        return range(self.first, self.plan.workers, self.step)

    @property
    def images(self) -> int:
        """How many they make together."""
        plan = self.plan
        return sum(len(range(number, plan.n, plan.workers)) for number in self.machines)


class Part(Counts, frozen=True, kw_only=True):
    """What came of a share.

    Attributes:
        holds: Seconds of all its images, together.
        longest: The longest of them.
    """

    holds: float
    longest: float


class OutcomeTotals:
    """Counts outcomes as they come, and keeps none of them."""

    def __init__(self, share: Share, on_percent: OnPercent | None) -> None:
        self._window = share.plan.window
        self._total = total = max(1, share.images)
        self._on_percent = on_percent
        self._percent = 0
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        tenth = max(1, total // 10)
        self._samples = {tenth: 0, max(tenth, total * 9 // 10): 0}
        self.ended = 0
        self.images = 0
        self.makespan = 0.0
        self.failures: Counter[str] = Counter()
        self.spent = Decimal(0)
        self.maybe = Decimal(0)
        self.images_in: Counter[int] = Counter()
        self._dollars: dict[int, Decimal] = {}

    def count(self, outcome: Outcome) -> None:
        """One prompt ended."""
        self.ended += 1
        self.makespan = self._loop.time() - self._began
        window = int(self.makespan // self._window)
        self.spent += outcome.spent
        self.maybe += outcome.maybe_spent
        self._dollars[window] = self._dollars.get(window, Decimal(0)) + outcome.spent
        if isinstance(outcome, Failure):
            self.failures[type(outcome.error).__name__] += 1
        else:
            self.images += 1
            self.images_in[window] += 1
        percent = 100 * self.ended // self._total
        if self._on_percent is not None and percent > self._percent:
            self._percent = percent
            self._on_percent(percent)
        if self.ended in self._samples:
            gc.collect()
            self._samples[self.ended] = resident()

    @property
    def growth(self) -> int:
        """Bytes that memory grew between two moments with as many in flight."""
        samples = list(self._samples.values())
        return samples[-1] - samples[0]

    @property
    def windows(self) -> int:
        return max(self._dollars, default=-1) + 1

    def dollars_by_window(self) -> list[float]:
        return [float(self._dollars.get(number, 0)) for number in range(self.windows)]


def simulate(plan: Plan, on_percent: OnPercent | None = None) -> Forecast:
    """Play a plan to its end, in a loop of its own; `on_percent` hears of each percent of it.

    Raises:
        ValueError: Its latency or its faults cannot be read or played.
    """
    began = time.perf_counter()
    part = play_share(Share(plan), on_percent)
    return forecast_of(plan, [part], time.perf_counter() - began)


def play_share(share: Share, on_percent: OnPercent | None = None) -> Part:
    """Play some of the machines, in a loop of its own.

    Raises:
        ValueError: As `simulate`.
    """
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 1000)  # tens of thousands of tasks live for minutes: look seldom
    try:
        books, vendor = run_virtual(_play(share, on_percent), sockets=False)
    finally:
        gc.set_threshold(*before)
    return Part(
        makespan=books.makespan,
        images=books.images,
        failures=dict(books.failures),
        spent=books.spent,
        maybe=books.maybe,
        requests=vendor.requested,
        refused=vendor.refused,
        peak_in_flight=vendor.peak,
        holds=vendor.holds,
        longest=vendor.longest,
        spend_by_window=books.dollars_by_window(),
        images_by_window=[books.images_in[number] for number in range(books.windows)],
        growth=books.growth,
    )


def forecast_of(plan: Plan, parts: Sequence[Part], seconds: float) -> Forecast:
    """All parts of a plan, that were played in so many real seconds."""
    failures: Counter[str] = Counter()
    for part in parts:
        failures.update(part.failures)
    return Forecast(
        makespan=max(part.makespan for part in parts),
        bound=_bound(plan, parts),
        images=sum(part.images for part in parts),
        failures=dict(failures),
        spent=sum((part.spent for part in parts), Decimal(0)),
        maybe=sum((part.maybe for part in parts), Decimal(0)),
        requests=sum(part.requests for part in parts),
        refused=sum(part.refused for part in parts),
        peak_in_flight=sum(part.peak_in_flight for part in parts),  # each at its beginning
        spend_by_window=_added([part.spend_by_window for part in parts]),
        images_by_window=_added([part.images_by_window for part in parts]),
        real_seconds=round(seconds, 1),
        growth=sum(part.growth for part in parts),
    )


def _added(lists: Sequence[list[Number]]) -> list[Number]:
    """Window by window; some lists end before others."""
    return [sum(values) for values in zip_longest(*lists, fillvalue=0)]


def _price(size: str) -> Decimal:
    prices = VENDOR.prices_for(VENDOR.model)
    price = None if prices is None else prices.estimate(size)
    assert price is not None, "the vendor's own model is in its list"
    return price


async def _play(
    share: Share, on_percent: OnPercent | None
) -> tuple[OutcomeTotals, SimulatedVendor]:
    plan = share.plan
    quotas = Quotas(
        per_minute=plan.per_minute,
        dollars_per_ten_minutes=None if plan.tier is None else Decimal(str(plan.tier)),
    )
    vendor = SimulatedVendor(
        latency=parse_latency(plan.latency),
        size=plan.size,
        seed=plan.seed,
        price=_price(plan.size),
        quotas=quotas,
        outages=[Outage(*outage) for outage in plan.outages],
        faults=plan.faults,
    )
    books = OutcomeTotals(share, on_percent)
    async with asyncio.TaskGroup() as group:
        for number in share.machines:
            group.create_task(_work(plan, number, vendor, books))
    return books, vendor


async def _work(plan: Plan, number: int, vendor: SimulatedVendor, books: OutcomeTotals) -> None:
    limits = Limits(
        max_in_flight=plan.concurrency, rate=plan.rate or None, spend=plan.spend or None
    )
    rng = random.Random(plan.seed * 1_000_003 + number).random
    async with Client(VENDOR, "sk-simulated", limits=limits, transport=vendor, rng=rng) as gen:
        async for outcome in gen.stream(plan.prompts(number), size=plan.size, out=NowhereSink()):
            books.count(outcome)


def _bound(plan: Plan, parts: Sequence[Part]) -> float:
    """By what the vendor made: its images through all slots, the longest of them, its rate."""
    slots = sum(part.holds for part in parts) / (plan.workers * plan.concurrency)
    quota = plan.per_minute
    rate = (plan.n - 1) // quota * MINUTE if quota else 0.0
    return max(slots, max(part.longest for part in parts), rate)
