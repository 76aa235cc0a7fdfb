"""`python -m bench compare`: strategies side by side, at which size and at what cost."""

import argparse
import asyncio
import os
import shlex
import shutil
import sys
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import msgspec

from bench.conditions import Condition, conditions
from bench.environment import environment
from bench.page.report import write_report
from bench.records import SCHEMA, Clock, Run, Scenario, Strategy
from bench.result_files import save
from bench.row_summary import article_of, verdicts_of
from bench.scenarios import QUICK, SCENARIOS, chosen, entries_of
from bench.strategies import STRATEGIES
from bench.terminal_report import checks_of, report_lines
from bench.trial_runner import Comparison, RowPlan, Settings, compare
from nbp_async.fake.fault_injection import fault_rates_of
from nbp_async.fake.latency import latency_of

HELP = "sequential, threads, processes, async, side by side"
CLOCKS: tuple[Clock, ...] = ("scaled", "virtual")
FAILED = 7  # exit status where a condition of --fail-if holds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line's options."""
    parser.add_argument("--scenario", default="", help=f"of {', '.join(SCENARIOS)}; or all")
    parser.add_argument("--strategies", default="", help="as threads:5,asyncio,nbp")
    parser.add_argument("--at-once", default="", help="calls in flight, as 1,10,100")
    parser.add_argument("--n", type=int, help="images, instead of the scenario's")
    parser.add_argument("--latency", help="seconds of an image, as 120 or 30-170")
    parser.add_argument("--size", choices=("1K", "2K", "4K"))
    parser.add_argument("--faults", help="as 503=0.05,reset=0.02")
    parser.add_argument("--per-minute", type=int, help="requests that the server takes a minute")
    parser.add_argument("--scale", type=float, help="times faster than real; 1 for true latency")
    parser.add_argument("--clock", default="scaled,virtual", help="one of them, or both")
    parser.add_argument("--reps", type=int, default=5, help="repetitions of each row (default 5)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--limit", type=float, default=1800.0, help="real seconds of one trial")
    parser.add_argument("--quick", action="store_true", help="the article's ten images, a minute")
    parser.add_argument("--out", type=Path, help="folder of the results")
    parser.add_argument(
        "--fail-if",
        action="append",
        default=[],
        metavar="CONDITION",
        help="as nbp.of_bound<0.95; exit status 7 if it holds for any row",
    )


@dataclass(frozen=True)
class ComparePlan:
    """What the command line asks for."""

    entries: list[RowPlan]
    settings: Settings
    conditions: list[Condition]
    folder: Path
    command: str


def plan_of(options: argparse.Namespace) -> ComparePlan:
    """Read the command line's options.

    Raises:
        ValueError: One of them cannot work.
    """
    clocks = tuple(cast("Clock", name) for name in _list(options.clock))
    if not clocks or set(clocks) - set(CLOCKS):
        raise ValueError(f"--clock {options.clock!r}: scaled, virtual, or both with a comma")
    names = list(SCENARIOS) if options.scenario == "all" else _list(options.scenario)
    own = options.n is not None or options.latency is not None
    if not names and not own:
        names = list(QUICK)
    unknown = set(names) - set(SCENARIOS)
    if unknown:
        raise ValueError(f"scenario {unknown.pop()!r}: one of {', '.join(SCENARIOS)}")
    entries = []
    for name in names or ["article"]:
        entries += _entries(name, options, clocks)
    if not entries:
        raise ValueError("none of these strategies can run on this clock")
    reps = 1 if options.quick else options.reps
    folder = options.out or Path(__file__).parent / "results" / "latest"
    settings = Settings(options.seed, reps, options.limit)
    command = shlex.join(["python", "-m", "bench", "compare", *options.words])
    return ComparePlan(entries, settings, conditions(options.fail_if), folder, command)


def _entries(name: str, options: argparse.Namespace, clocks: tuple[Clock, ...]) -> list[RowPlan]:
    planned = SCENARIOS[name]
    scenario = _changed(planned.scenario, options)
    sizes = [int(size) for size in _list(options.at_once)]
    if not options.strategies and not sizes:
        return entries_of(replace(planned, scenario=scenario), clocks)
    names = _list(options.strategies) or ["asyncio", "nbp"]
    return chosen(scenario, names, sizes or [options.n or 10], clocks)


def _changed(scenario: Scenario, options: argparse.Namespace) -> Scenario:
    given = {
        "jobs": options.n,
        "latency": options.latency,
        "size": options.size,
        "faults": options.faults,
        "per_minute": options.per_minute,
        "scale": options.scale,
    }
    changes = {
        name: value
        for name, value in given.items()
        if value is not None and value != getattr(scenario, name)
    }
    changed = msgspec.structs.replace(scenario, **changes)
    latency_of(changed.latency)
    fault_rates_of(changed.faults)
    if changed.scale <= 0 or (changed.jobs is not None and changed.jobs < 1):
        raise ValueError("--scale is above 0, and --n at least 1")
    if changes.keys() <= {"scale"}:
        return changed
    count = (
        f"{changed.jobs} images" if changed.jobs else f"{changed.waves} for each place in flight"
    )
    words = f"{count}, {changed.latency} s each"
    return msgspec.structs.replace(changed, name=f"{scenario.name}*", words=words)


def _list(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def run_of(
    order: ComparePlan,
    found: Comparison,
    started: datetime,
    seconds: float,
    load: tuple[float, float, float],
) -> Run:
    """All of it as one document."""
    used = dict.fromkeys(entry.strategy for entry in order.entries)
    scenarios = {entry.scenario.name: entry.scenario for entry in order.entries}
    return Run(
        schema=SCHEMA,
        name=order.folder.name,
        command=order.command,
        seed=order.settings.seed,
        started=started.isoformat(timespec="seconds"),
        seconds=round(seconds, 1),
        environment=environment(load),
        strategies=[_described(name) for name in used],
        scenarios=list(scenarios.values()),
        rows=found.rows,
        trials=found.trials,
        verdicts=verdicts_of(found.rows, found.trials),
        article=article_of(found.rows),
        checks=checks_of(list(scenarios.values()), found.rows, found.trials, found.failed),
    )


def _described(name: str) -> Strategy:
    known = STRATEGIES[name]
    source = f"bench/strategies/{known.module}.py"
    return Strategy(name, known.words, known.trap, known.is_async, source)


def main(options: argparse.Namespace) -> int:
    """Compare, save, and say what came of it; 0, 1 if something broke, 7 by --fail-if."""
    try:
        order = plan_of(options)
    except ValueError as exc:
        sys.stderr.write(f"bench compare: {exc}\n")
        return 2
    started, clock, load = datetime.now(UTC), time.monotonic(), os.getloadavg()
    found = asyncio.run(compare(order.entries, order.settings, _say))
    run = run_of(order, found, started, time.monotonic() - clock, load)
    save(order.folder, run, found.requests)
    write_report(order.folder, run, found.requests)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print("\n".join(report_lines(run, width)))
    held = [words for condition in order.conditions for words in condition.held_by(run.rows)]
    for words_of in held:
        print(f"  --fail-if: {words_of}")
    print(f"\n{order.folder / 'report.html'}")
    return FAILED if held else 1 if found.failed else 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
