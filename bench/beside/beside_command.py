"""The command: measure the table, save it, and write it into the README."""

import argparse
import asyncio
import os
import shlex
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from bench.beside.findings import BesideRun, load_run, save_run
from bench.beside.measured_rows import SCENES, Bench
from bench.beside.peer_table import PEERS
from bench.beside.readme_table import SHIPPED, write_readme
from bench.environment import ROOT, environment
from bench.suite import RESULTS

HELP = "the README's table: other clients in the same scenes, each in an environment of its own"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line's options."""
    names = ",".join(peer.name for peer in PEERS)
    parser.add_argument("--only", default="", help=f"rows, of {','.join(SCENES)}")
    parser.add_argument("--clients", default="", help=f"columns, of {names}")
    parser.add_argument(
        "--full", action="store_true", help="hold 5,000 calls instead of 500, twenty minutes in all"
    )
    parser.add_argument(
        "--environments",
        type=Path,
        default=ROOT / ".venv-clients",
        help="where the clients are installed, once (default .venv-clients)",
    )
    parser.add_argument(
        "--out", type=Path, default=RESULTS / "beside.json", help="where the JSON goes"
    )
    parser.add_argument(
        "--readme",
        action="store_true",
        help="measure nothing: write the table of bench/results/beside/run.json into the README",
    )


def main(options: argparse.Namespace) -> int:
    """Measure and save; 2 if a name is unknown."""
    if options.readme:
        write_readme(load_run(SHIPPED))
        return 0
    try:
        rows = _chosen("--only", options.only, list(SCENES))
        columns = _chosen("--clients", options.clients, [peer.name for peer in PEERS])
    except ValueError as exc:
        sys.stderr.write(f"bench beside: {exc}\n")
        return 2
    run = asyncio.run(measure(options, rows, columns))
    save_run(options.out, run)
    print(f"\n{run.seconds:.0f} s; {options.out}")
    return 0


async def measure(options: argparse.Namespace, rows: list[str], columns: list[str]) -> BesideRun:
    """Play these scenes with these clients."""
    started, clock, load = datetime.now(UTC), time.monotonic(), os.getloadavg()
    peers = [peer for peer in PEERS if peer.name in columns]
    with tempfile.TemporaryDirectory(prefix="nbp-beside-") as folder:
        bench = Bench(peers, options.environments, Path(folder), full=options.full, say=_say)
        await asyncio.to_thread(bench.install)
        measured = await bench.rows(rows)
    return BesideRun(
        command=shlex.join(["python", "-m", "bench", "beside", *options.words]),
        started=started.isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - clock, 1),
        versions=bench.versions(),
        environment=environment(load),
        rows=measured,
    )


def _chosen(option: str, text: str, known: list[str]) -> list[str]:
    """The names that are asked for, in the known order; all if none is."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := set(names) - set(known):
        raise ValueError(f"{option} {', '.join(sorted(unknown))}: of {', '.join(known)}")
    return [name for name in known if not names or name in names]


def _say(line: str) -> None:
    print(line, flush=True)
