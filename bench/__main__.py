"""`python -m bench core [--quick] [--only held,calls]`: measure, and print what was found."""

import argparse
import asyncio
import sys
from pathlib import Path

from bench.core import RESULTS, Core


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench")
    commands = parser.add_subparsers(dest="command", required=True)
    core = commands.add_parser("core", help="what the library costs beside bare aiohttp")
    core.add_argument("--quick", action="store_true", help="smaller sizes, a minute in all")
    core.add_argument("--reps", type=int, default=3, help="runs of each client (default 3)")
    core.add_argument("--only", default="", help="import,calls,large,held,lists")
    core.add_argument("--out", type=Path, default=RESULTS / "core.json", help="where the JSON goes")
    options = parser.parse_args()
    bench = Core(reps=1 if options.quick else options.reps, quick=options.quick)
    asyncio.run(bench.run(frozenset(filter(None, options.only.split(",")))))
    bench.save(options.out)
    over = [check for check in bench.checks if not check.ok]
    within = len(bench.checks) - len(over)
    print(f"\n{within} of {len(bench.checks)} within their bounds; {options.out}")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
