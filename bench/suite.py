"""A suite of measurements: what each figure is, the bound it is held to, and where all are saved.

A command such as `core` declares a `Suite`: its measurements are functions that take a `Session`,
show what they measure and check it. `python -m bench core` runs them one after another.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_CLEARED = "\r\x1b[K"
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Check:
    """One figure that is held to a bound: `value` must not be above it."""

    name: str
    value: float
    bound: float
    unit: str = "x"

    @property
    def ok(self) -> bool:
        return self.value <= self.bound

    def __str__(self) -> str:
        mark = "ok  " if self.ok else "OVER"
        return f"  {mark} {self.name}: {self.value:.3g} {self.unit} (at most {self.bound:g})"


class Session:
    """One run of a suite: collects figures and prints each as it is measured.

    Args:
        quick: Smaller sizes, and each measured once.
        full: The sizes that take long, as well.
        reps: How often each is measured, if not quick.
        options: Further options of the suite, by name.
    """

    def __init__(self, *, quick: bool, full: bool = False, reps: int = 3, **options: Any) -> None:
        self.quick = quick
        self.full = full
        self._has_note = False
        self.reps = 1 if quick else reps
        self.options = options
        self.checks: list[Check] = []
        self.targets: list[Check] = []
        self.readings: dict[str, Any] = {}

    def show(self, *lines: str) -> None:
        """Print lines at once: a long suite shows what it has so far."""
        for line in lines:
            self.note("")
            print(line, flush=True)

    def note(self, text: str) -> None:
        """Say on a terminal what is being measured now; the next line takes its place."""
        if sys.stdout.isatty() and (text or self._has_note):
            sys.stdout.write(f"{_CLEARED}{text}")
            sys.stdout.flush()
            self._has_note = bool(text)

    def check(self, name: str, value: float, bound: float, unit: str = "x") -> None:
        """Hold a figure to its bound."""
        self.checks.append(Check(name, value, bound, unit))
        self.show(str(self.checks[-1]))

    def target(self, name: str, value: float, aim: float, unit: str = "x") -> None:
        """Say whether a figure is where it should come to; a suite passes without."""
        self.targets.append(Check(name, value, aim, unit))
        met = "met    " if value <= aim else "NOT met"
        self.show(f"  {met} {name}: {value:.3g} {unit} (target {aim:g})")

    def save(self, path: Path) -> None:
        """Write the checks and all readings."""
        path.parent.mkdir(parents=True, exist_ok=True)
        checks = [
            {"name": c.name, "value": c.value, "bound": c.bound, "ok": c.ok} for c in self.checks
        ]
        targets = [
            {"name": t.name, "value": t.value, "target": t.bound, "met": t.ok} for t in self.targets
        ]
        document = {"checks": checks, "targets": targets, "readings": self.readings}
        path.write_text(json.dumps(document, indent=1) + "\n")


Measurement = Callable[[Session], Awaitable[None]]


@dataclass(frozen=True)
class Suite:
    """What a command measures.

    Attributes:
        name: The command; its results go to `results/<name>.json`.
        help: What it measures, in a line.
        quick: What `--quick` makes smaller, and how long it then takes.
        full: What `--full` adds, and how long it then takes; "" where there is no such option.
        measurements: By the name that `--only` takes, in their order.
        reps: How often each is measured by default.
        options: Further integer options, with their help.
        left_out_when_quick: Measurements that `--quick` does without.
    """

    name: str
    help: str
    quick: str
    measurements: Mapping[str, Measurement]
    full: str = ""
    reps: int = 3
    options: Mapping[str, str] = field(default_factory=dict)
    left_out_when_quick: tuple[str, ...] = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """The options of the command line."""
        sizes = parser.add_mutually_exclusive_group()
        sizes.add_argument("--quick", action="store_true", help=self.quick)
        if self.full:
            sizes.add_argument("--full", action="store_true", help=self.full)
        parser.add_argument(
            "--reps", type=int, default=self.reps, help=f"runs of each kind (default {self.reps})"
        )
        parser.add_argument("--only", default="", help=f"of {','.join(self.measurements)}")
        for name, text in self.options.items():
            parser.add_argument(f"--{name}", type=int, help=text)
        parser.add_argument(
            "--out", type=Path, default=RESULTS / f"{self.name}.json", help="where the JSON goes"
        )

    async def run(self, session: Session, only: Iterable[str] = ()) -> None:
        """Measure all, or those that `only` names."""
        left_out = self.left_out_when_quick if session.quick else ()
        chosen = set(only) or self.measurements.keys() - set(left_out)
        left = [name for name in self.measurements if name in chosen]
        while left:
            name = left.pop(0)
            measure = self.measurements[name]
            title = (measure.__doc__ or "").partition("\n")[0]
            rest = f" (then {', '.join(left)})" if left else ""
            session.show(f"\n{name}: {title}{rest}")
            await measure(session)

    def main(self, options: argparse.Namespace) -> int:
        """Run it from the command line; 1 if a figure is over its bound."""
        only = [name for name in options.only.split(",") if name]
        if unknown := set(only) - self.measurements.keys():
            raise SystemExit(f"--only {', '.join(sorted(unknown))}: {', '.join(self.measurements)}")
        own = {name: getattr(options, name) for name in self.options}
        full = bool(self.full) and options.full
        session = Session(quick=options.quick, full=full, reps=options.reps, **own)
        asyncio.run(self.run(session, only))
        session.save(options.out)
        over = sum(not check.ok for check in session.checks)
        count = len(session.checks)
        print(f"\n{count - over} of {count} within their bounds; {options.out}")
        return 1 if over else 0
