"""A comparison in a terminal: first the checks, then a table for each scenario."""

from collections.abc import Iterator, Sequence

from bench.records import ArticleRow, Check, Interval, Row, Run, Scenario, Trial
from bench.table import table_lines


def checks_of(
    scenarios: Sequence[Scenario],
    rows: Sequence[Row],
    trials: Sequence[Trial],
    failed: Sequence[str],
) -> list[Check]:
    """What the whole run is held to."""
    often = {scenario.name for scenario in scenarios if scenario.reps is None}
    invalid = sorted({trial.row for trial in trials if not trial.valid})
    busy = sorted(
        {
            trial.row
            for trial in trials
            if trial.notes and "the server" in trial.notes[0] and "of a core" in trial.notes[0]
        }
    )
    scaled = [row for row in rows if row.clock == "scaled" and row.scenario in often]
    fewest = min((row.reps for row in scaled), default=5)
    repeated = f"{fewest} at least"
    if fewest < 5:
        repeated = f"{fewest}: enough to look, and too few to quote (--reps 5)"
    names = {
        name: [trial for trial in trials if not _ok(trial, name)]
        for name in ("complete", "ledger", "witness")
    }
    ours = sum(row.money.lost + row.money.twice for row in rows if row.strategy.startswith("nbp"))
    return [
        Check("all trials ended", not failed, "; ".join(failed) or f"{len(trials)} trials"),
        Check("every job came to an end", not names["complete"], _named(names["complete"])),
        Check("the bank agrees", not names["ledger"], _named(names["ledger"])),
        Check(
            "the witness agrees (Little's law, 2 %)", not names["witness"], _named(names["witness"])
        ),
        Check("the server was not the bottleneck (70 % of a core)", not busy, ", ".join(busy)),
        Check("five repetitions", fewest >= 5, repeated if scaled else "none was to be repeated"),
        Check("nbp lost nothing and paid nothing twice", not ours, f"${ours:.2f}"),
        Check("all trials are valid", not invalid, ", ".join(invalid)),
    ]


def _ok(trial: Trial, name: str) -> bool:
    return all(check.ok for check in trial.checks if check.name == name)


def _named(trials: Sequence[Trial]) -> str:
    return ", ".join(sorted({trial.row for trial in trials})) or "in every trial"


def report_lines(run: Run) -> Iterator[str]:
    """The lines."""
    for check in run.checks:
        yield f"  {'ok  ' if check.ok else 'note'} {check.name}: {check.words}"
    for scenario in run.scenarios:
        rows = [row for row in run.rows if row.scenario == scenario.name]
        yield from _table(scenario, rows)
    yield from _article(run.article)


def _table(scenario: Scenario, rows: Sequence[Row]) -> Iterator[str]:
    yield f"\n{scenario.name}: {scenario.words}"
    columns = (
        "strategy",
        "clock",
        "jobs",
        "makespan s",
        "of bound",
        "p99 s",
        "CPU ms",
        "KiB/call",
        "lost",
        "billed $",
        "lost $",
    )
    yield from table_lines(columns, map(_cells, rows), text=("clock",))


def _cells(row: Row) -> tuple[str, ...]:
    money, memory = row.money_each, row.memory_per_call
    return (
        f"{row.strategy} x{row.at_once}" + (" (!)" if row.valid < row.reps else ""),
        row.clock,
        str(row.jobs),
        _interval(row.makespan),
        f"{row.of_bound.mid:.1%}",
        f"{row.service.p99:,.1f}",
        "-" if row.cpu_ms_per_image is None else f"{row.cpu_ms_per_image.mid:.1f}",
        "-" if memory is None else f"{memory.mid / 1024:.0f}",
        f"{row.failed_each:.4g}",
        f"{money.billed:,.2f}",
        f"{money.lost + money.twice:,.2f}",
    )


def _article(rows: Sequence[ArticleRow]) -> Iterator[str]:
    if not rows:
        return
    cells = (
        (
            row.way,
            f"{row.article:,.0f}",
            f"{row.theory:,.0f}",
            "-" if row.measured is None else f"{row.measured:,.1f}",
            row.reason,
        )
        for row in rows
    )
    yield ""
    yield from table_lines(
        ("the article", "says s", "theory s", "here s", "why"), cells, text=("why",)
    )


def _interval(value: Interval) -> str:
    if value.low == value.high:
        return f"{value.mid:,.1f}"
    return f"{value.mid:,.1f} [{value.low:,.1f} {value.high:,.1f}]"
