"""The command: measure the table, save it, and write it into the README."""

import argparse
import asyncio
import os
import shlex
import sys
import tempfile
import time
from pathlib import Path

from bench.beside.findings import BesideRun, Row, load_run, save_run, with_earlier
from bench.beside.measured_rows import SCENES, Bench
from bench.beside.peer_table import PEERS
from bench.beside.readme_table import SHIPPED, write_readme
from bench.environment import ROOT, environment
from bench.suite import RESULTS

HELP = "the README's table: other clients in the same scenes, each in an environment of its own"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line's options."""
    names = ",".join(peer.name for peer in PEERS)
    parser.add_argument(
        "--only",
        default="",
        help=f"rows, of {','.join(SCENES)}; the others stay in the file as they are",
    )
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
    began = time.monotonic()
    asyncio.run(measure(options, rows, columns))
    print(f"\n{time.monotonic() - began:.0f} s; {options.out}")
    return 0


async def measure(options: argparse.Namespace, rows: list[str], columns: list[str]) -> None:
    """Play these scenes with these clients; what is there is saved after each row."""
    load = os.getloadavg()
    earlier = load_run(options.out) if options.only and options.out.exists() else None
    measured: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="nbp-beside-") as folder:
        peers = [peer for peer in PEERS if peer.name in columns]
        bench = Bench(peers, options.environments, Path(folder), full=options.full, say=_say)
        await asyncio.to_thread(bench.install)
        for name in rows:
            measured.append(await bench.row(name))
            run = BesideRun(
                command=shlex.join(["python", "-m", "bench", "beside", *options.words]),
                versions=bench.versions(),
                environment=environment(load),
                rows=measured,
            )
            save_run(options.out, with_earlier(run, earlier, list(SCENES)) if earlier else run)


def _chosen(option: str, text: str, known: list[str]) -> list[str]:
    """The names that are asked for, in the known order; all if none is."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := set(names) - set(known):
        raise ValueError(f"{option} {', '.join(sorted(unknown))}: of {', '.join(known)}")
    return [name for name in known if not names or name in names]


def _say(line: str) -> None:
    print(line, flush=True)
