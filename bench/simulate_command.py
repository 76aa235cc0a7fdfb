"""The command around `simulate`: its options, its words, and the check against real runs."""

import argparse
import asyncio
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from bench.fresh_process import Child, started
from bench.records import Scenario
from bench.server import spawn_fast
from bench.simulate import Forecast, Plan
from bench.simulated_shares import simulate_on_all_cores
from bench.strategies.base import Job, Work
from bench.suite import RESULTS, Check
from bench.trial import TrialReport, TrialTask, play
from nbp_async.fake import spawn

AGREE = 0.05  # how far a prediction may be from a real run
GROWTH = 64 * 1024 * 1024  # bytes; what a million outcomes may add is nothing of this kind
SHOWN = 12  # windows that are printed
MILLION = RESULTS / "million" / "run.json"
"""The run that the README speaks of."""
HELP = "a million images across machines, in virtual time"


class SimulatedRun(msgspec.Struct, frozen=True):
    """What is saved."""

    plan: Plan
    forecast: Forecast


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line's options."""
    add = parser.add_argument
    add("--n", type=int, default=1_000_000, help="images (default 1,000,000)")
    add("--workers", type=int, default=100, help="machines (default 100)")
    add("--concurrency", type=int, default=500, help="in flight of each machine (default 500)")
    add("--latency", default="30-170", help="seconds of an image")
    add("--size", default="4K", choices=("1K", "2K", "4K"))
    add("--rate", default="", help="each machine's own limit, as 60/min")
    add("--spend", default="", help="each machine's own limit, as $50/10min")
    add("--per-minute", type=int, help="requests that the vendor takes of all together")
    add("--tier", type=float, help="dollars that the vendor bills in ten minutes, of all together")
    add("--outage", action="append", default=[], metavar="BEGIN+SECONDS", help="as 600+300: 503")
    add("--faults", default="", help="as 503=0.01,reset=0.001")
    add("--window", type=float, default=600.0, help="seconds; for the spending")
    add("--seed", type=int, default=7)
    add("--check", action="store_true", help="for small sizes: run it on the fake server as well")
    add("--scale", type=float, default=50.0, help="how much faster the check goes than real time")
    add("--out", type=Path, default=RESULTS / "simulate.json")


def plan_of(options: argparse.Namespace) -> Plan:
    """Read the options.

    Raises:
        ValueError: One of them cannot work.
    """
    outages = []
    for text in options.outage:
        begin, plus, seconds = text.partition("+")
        if not plus:
            raise ValueError(f"--outage {text!r}: its begin and its length in seconds, as 600+300")
        outages.append((float(begin), float(seconds)))
    return Plan(
        n=options.n,
        workers=options.workers,
        concurrency=options.concurrency,
        latency=options.latency,
        size=options.size,
        rate=options.rate,
        spend=options.spend,
        per_minute=options.per_minute,
        tier=options.tier,
        outages=outages,
        faults=options.faults,
        seed=options.seed,
        window=options.window,
    )


def report_lines(plan: Plan, forecast: Forecast) -> Iterator[str]:
    """The lines."""
    yield (
        f"{plan.n:,} images of {plan.size}, {plan.latency} s each, by {plan.workers:,} machines "
        f"with {plan.concurrency:,} in flight, in virtual time"
    )
    yield (
        f"  {_span(forecast.makespan)} ({forecast.makespan:,.0f} s), "
        f"{forecast.bound / forecast.makespan:.1%} of what is possible; at most "
        f"{forecast.peak_in_flight:,} in flight"
    )
    failures = ", ".join(f"{count:,} {name}" for name, count in forecast.failures.items())
    yield (
        f"  {forecast.images:,} images, {failures or 'no failure'}; {forecast.requests:,} "
        f"requests, {forecast.refused:,} of them refused at no cost"
    )
    yield f"  ${forecast.spent:,.2f} spent, and perhaps ${forecast.maybe:,.2f} more"
    windows = list(zip(forecast.spend_by_window, forecast.images_by_window, strict=True))
    for number, (dollars, images) in enumerate(windows[:SHOWN]):
        yield f"  from {number * plan.window:8,.0f} s: ${dollars:12,.2f}  {images:9,} images"
    if len(windows) > SHOWN:
        yield f"  … and {len(windows) - SHOWN:,} more windows in the file"
    yield (
        f"  it took {forecast.real_seconds:.1f} s; memory grew by "
        f"{forecast.growth / 2**20:.1f} MiB from a tenth to nine"
    )


def _span(seconds: float) -> str:
    if seconds < 5400:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86400:.1f} days"


async def really(plan: Plan, scale: float) -> float:
    """The makespan of the same with a process for each worker, and a server; virtual seconds.

    Raises:
        ValueError: The plan has options that a real server process does not take.
        RuntimeError: A worker broke.
    """
    if plan.outages or plan.tier or plan.rate or plan.spend or plan.faults:
        raise ValueError("a check plays latencies and --per-minute; leave out the others")
    async with AsyncExitStack() as stack:
        warm = await stack.enter_async_context(await spawn(latency=0.05))
        scenario = Scenario(
            "check", "", plan.latency, size=plan.size, per_minute=plan.per_minute, scale=scale
        )
        server = await stack.enter_async_context(await spawn_fast(scenario, plan.seed))
        warm_up = (warm.openai_url, warm.base_url, warm.key)
        children = []
        for number in range(plan.workers):
            jobs = [Job(place, prompt) for place, prompt in enumerate(plan.prompts(number))]
            work = Work(
                server.openai_url,
                server.base_url,
                server.key,
                jobs,
                plan.concurrency,
                size=plan.size,
                scale=scale,
            )
            task = TrialTask("nbp", work, warm_up)
            children.append(await stack.enter_async_context(started(play, task)))
        for _ in range(2):  # imported, ready
            await asyncio.gather(*(child.line() for child in children))
            for child in children:
                child.go_on()
        done = await asyncio.gather(*(_done(child) for child in children))
        began = min(one.began for one in done)
        return (max(records.ended for one in done for records in one.records) - began) * scale


def _show_percent(percent: int) -> None:
    """One line that changes, for a person who waits; it is gone at the end."""
    sys.stderr.write(f"\r{percent:3} % simulated" if percent < 100 else "\r\x1b[K")
    sys.stderr.flush()


def _show_tenths(percent: int) -> None:
    """A line for each tenth, where nobody watches a line change."""
    if percent % 10 == 0:
        sys.stderr.write(f"{percent:3} % simulated\n")
        sys.stderr.flush()


async def _done(child: Child) -> TrialReport:
    done = msgspec.json.decode(await child.line(), type=TrialReport)
    child.go_on()
    return done


def main(options: argparse.Namespace) -> int:
    """Simulate, check if asked to, save, and say what came of it; 1 if a check failed."""
    try:
        plan = plan_of(options)
        show = _show_percent if sys.stderr.isatty() else _show_tenths
        forecast = simulate_on_all_cores(plan, show)
        print("\n".join(report_lines(plan, forecast)))
        checks = [Check("growth of memory", forecast.growth / 2**20, GROWTH / 2**20, "MiB")]
        if options.check:
            real = asyncio.run(really(plan, options.scale))
            print(f"  really, {options.scale:g} times faster: {real:,.1f} s")
            apart = abs(forecast.makespan - real) / real
            checks.append(Check("distance to a real run", apart * 100, AGREE * 100, "%"))
    except ValueError as exc:
        sys.stderr.write(f"bench simulate: {exc}\n")
        return 2
    for check in checks:
        print(check)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    document = SimulatedRun(plan, forecast)
    options.out.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")
    return 0 if all(check.ok for check in checks) else 1
