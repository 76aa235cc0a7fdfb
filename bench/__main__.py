"""`python -m bench compare|simulate|core|durability|modes`: measure, and print what was found."""

import argparse
import asyncio
import sys
from pathlib import Path

from bench import compare, compare_runs, forecast
from bench.core import RESULTS, Check, Core
from bench.durability import Durability
from bench.modes import Modes


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench")
    commands = parser.add_subparsers(dest="command", required=True)
    core = commands.add_parser("core", help="what the library costs beside bare aiohttp")
    core.add_argument("--quick", action="store_true", help="smaller sizes, a minute in all")
    core.add_argument("--reps", type=int, default=3, help="runs of each client (default 3)")
    core.add_argument("--only", default="", help="import,calls,large,held,lists")
    core.add_argument("--out", type=Path, default=RESULTS / "core.json", help="where the JSON goes")
    durable = commands.add_parser("durability", help="what the journal costs, and survives")
    durable.add_argument("--quick", action="store_true", help="20 kills, half a minute in all")
    durable.add_argument("--reps", type=int, default=3, help="runs of each kind (default 3)")
    durable.add_argument("--kills", type=int, help="processes to kill (default 200)")
    durable.add_argument("--out", type=Path, default=RESULTS / "durability.json")
    modes = commands.add_parser("modes", help="held, poll, webhook and batch side by side")
    modes.add_argument("--quick", action="store_true", help="10 images only, a quarter minute")
    modes.add_argument("--out", type=Path, default=RESULTS / "modes.json")
    compare.add_arguments(
        commands.add_parser("compare", help="sequential, threads, processes, async, side by side")
    )
    forecast.add_arguments(
        commands.add_parser("simulate", help="a million images across machines, in virtual time")
    )
    compare_runs.add_arguments(
        commands.add_parser("compare-runs", help="what changed from one set of results to another")
    )
    options = parser.parse_args()
    if options.command == "compare-runs":
        return compare_runs.main(options)
    if options.command == "simulate":
        return forecast.main(options)
    if options.command == "compare":
        return compare.main(options, sys.argv[2:])
    if options.command == "durability":
        return _durability(options)
    if options.command == "modes":
        return _modes(options)
    return _core(options)


def _durability(options: argparse.Namespace) -> int:
    reps = 1 if options.quick else options.reps
    bench = Durability(reps=reps, quick=options.quick, kills=options.kills)
    asyncio.run(bench.run())
    bench.save(options.out)
    return _verdict(bench.checks, options.out)


def _modes(options: argparse.Namespace) -> int:
    bench = Modes(quick=options.quick)
    asyncio.run(bench.run())
    bench.save(options.out)
    return _verdict(bench.checks, options.out)


def _core(options: argparse.Namespace) -> int:
    bench = Core(reps=1 if options.quick else options.reps, quick=options.quick)
    asyncio.run(bench.run(frozenset(filter(None, options.only.split(",")))))
    bench.save(options.out)
    return _verdict(bench.checks, options.out)


def _verdict(checks: list[Check], path: Path) -> int:
    over = [check for check in checks if not check.ok]
    print(f"\n{len(checks) - len(over)} of {len(checks)} within their bounds; {path}")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
