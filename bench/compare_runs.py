"""`python -m bench compare-runs A B`: what changed from one set of results to another."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from bench.bootstrap import ratio
from bench.conditions import Condition, conditions
from bench.records import Interval, Row, Run
from bench.result_files import load
from bench.row_summary import ENOUGH, NO_DIFFERENCE, values_of
from bench.table import table_lines

HELP = "what changed from one set of results to another"
FIGURES = ("makespan", "cpu_ms_per_image", "memory_per_call")
FAILED = 7


class Change(msgspec.Struct, frozen=True):
    """One figure of a row that both runs have.

    Attributes:
        row: The row's id.
        figure: One of `FIGURES`.
        before: Its mean in the first run.
        after: Its mean in the second.
        ratio: after / before, with its interval.
        significant: The interval leaves out 1, or the virtual clock says it exactly.
    """

    row: str
    figure: str
    before: float
    after: float
    ratio: Interval
    significant: bool

    @property
    def words(self) -> str:
        """The verdict."""
        if not self.significant:
            return NO_DIFFERENCE
        by = abs(self.ratio.mid - 1)
        return f"{by:.1%} {'more' if self.ratio.mid > 1 else 'less'}"


def changes_of(before: Run, after: Run) -> list[Change]:
    """Every figure that both runs have, by row."""
    known = {row.id: row for row in before.rows}
    found = []
    for row in after.rows:
        other = known.get(row.id)
        if other is None or (other.jobs, other.bound) != (row.jobs, row.bound):
            continue
        for figure in FIGURES:
            olds = values_of(other, before.trials, figure)
            news = values_of(row, after.trials, figure)
            if olds and news:
                found.append(_change(row, figure, olds, news))
    return found


def _change(row: Row, figure: str, olds: Sequence[float], news: Sequence[float]) -> Change:
    found = ratio(news, olds)
    exact = row.clock == "virtual"
    enough = exact or min(len(olds), len(news)) >= ENOUGH
    significant = enough and not found.low <= 1.0 <= found.high
    before, after = (sum(values) / len(values) for values in (olds, news))
    return Change(row.id, figure, before, after, found, significant)


def incomparable(before: Run, after: Run) -> list[str]:
    """Rows that cannot be compared: only one run has them, or their jobs or latencies differ."""
    one, other = ({row.id: (row.jobs, row.bound) for row in run.rows} for run in (before, after))
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def report_lines(before: Run, after: Run) -> Iterator[str]:
    """The lines."""
    for name in ("python", "cpu", "commit"):
        old, new = (getattr(run.environment, name) for run in (before, after))
        if old != new:
            yield f"  {name}: {old} before, {new} after"
    cells = (
        (
            change.row,
            change.figure,
            f"{change.before:,.4g}",
            f"{change.after:,.4g}",
            f"{change.ratio.mid:.3f} [{change.ratio.low:.3f} {change.ratio.high:.3f}]",
            change.words,
        )
        for change in changes_of(before, after)
    )
    columns = ("row", "figure", "before", "after", "ratio", "verdict")
    yield from table_lines(columns, cells, text=("figure", "verdict"))
    for name in incomparable(before, after):
        yield f"  {name}: not the same work, or in one of them only"


def with_ratios(before: Run, after: Run) -> list[Row]:
    """The second run's rows with ratios in the place of figures; for conditions of `--fail-if`.

    What is no significant difference counts as 1, so that noise fails nothing.
    """
    rows = {row.id: row for row in after.rows}
    for change in changes_of(before, after):
        r = change.ratio if change.significant else Interval(1.0, 1.0, 1.0)
        rows[change.row] = msgspec.structs.replace(rows[change.row], **{change.figure: r})
    return [row for row in rows.values() if row.id not in incomparable(before, after)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line's options."""
    parser.add_argument("before", type=Path, help="folder of the first results")
    parser.add_argument("after", type=Path, help="folder of the second")
    parser.add_argument(
        "--fail-if",
        action="append",
        default=[],
        metavar="CONDITION",
        help="on after/before, as nbp.makespan>1.05; exit status 7 if it holds",
    )


def main(options: argparse.Namespace) -> int:
    """Say what changed; 0, or 7 by --fail-if."""
    try:
        gates = _gates(options.fail_if)
        before, after = load(options.before), load(options.after)
    except (OSError, ValueError) as exc:
        sys.stderr.write(f"bench compare-runs: {exc}\n")
        return 2
    print("\n".join(report_lines(before, after)))
    rows = with_ratios(before, after)
    held = [words for gate in gates for words in gate.held_by(rows)]
    for words in held:
        print(f"  --fail-if: {words}")
    return FAILED if held else 0


def _gates(texts: list[str]) -> list[Condition]:
    gates = conditions(texts)
    for gate in gates:
        if gate.figure not in FIGURES:
            raise ValueError(f"--fail-if {gate.text!r}: runs differ by {', '.join(FIGURES)}")
    return gates
