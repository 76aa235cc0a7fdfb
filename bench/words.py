"""A comparison in a terminal: first the checks, then a table for each scenario."""

from collections.abc import Iterator, Sequence

from bench.records import ArticleRow, Check, Interval, Row, Run, Scenario, Trial


def checks_of(
    scenarios: Sequence[Scenario], rows: Sequence[Row], trials: Sequence[Trial],
    failed: Sequence[str],
) -> list[Check]:  # fmt: skip
    """What the whole run is held to."""
    often = {scenario.name for scenario in scenarios if scenario.reps is None}
    invalid = sorted({trial.row for trial in trials if not trial.valid})
    busy = sorted({trial.row for trial in trials if trial.notes and "the server" in trial.notes[0]
                   and "of a core" in trial.notes[0]})  # fmt: skip
    scaled = [row for row in rows if row.clock == "scaled" and row.scenario in often]
    fewest = min((row.reps for row in scaled), default=5)
    names = {name: [trial for trial in trials if not _ok(trial, name)] for name in
             ("complete", "ledger", "witness")}  # fmt: skip
    ours = sum(row.money.lost + row.money.twice for row in rows if row.strategy.startswith("nbp"))
    return [
        Check("all trials ended", not failed, "; ".join(failed) or f"{len(trials)} trials"),
        Check("every job came to an end", not names["complete"], _named(names["complete"])),
        Check("the bank agrees", not names["ledger"], _named(names["ledger"])),
        Check("the witness agrees (Little's law, 2 %)", not names["witness"],
              _named(names["witness"])),
        Check("the server was not the bottleneck (70 % of a core)", not busy, ", ".join(busy)),
        Check("five repetitions", fewest >= 5,
              f"{fewest} at least" if scaled else "none was to be repeated"),
        Check("nbp lost nothing and paid nothing twice", not ours, f"${ours:.2f}"),
        Check("all trials are valid", not invalid, ", ".join(invalid)),
    ]  # fmt: skip


def _ok(trial: Trial, name: str) -> bool:
    return all(check.ok for check in trial.checks if check.name == name)


def _named(trials: Sequence[Trial]) -> str:
    return ", ".join(sorted({trial.row for trial in trials})) or "in every trial"


def described(run: Run) -> Iterator[str]:
    """The lines."""
    for check in run.checks:
        yield f"  {'ok  ' if check.ok else 'NO  '} {check.name}: {check.words}"
    for scenario in run.scenarios:
        rows = [row for row in run.rows if row.scenario == scenario.name]
        yield from _table(scenario, rows)
    yield from _article(run.article)


def _table(scenario: Scenario, rows: Sequence[Row]) -> Iterator[str]:
    yield f"\n{scenario.name}: {scenario.words}"
    yield (
        f"  {'strategy':22} {'clock':8} {'jobs':>6} {'makespan s':>22} {'of bound':>8} "
        f"{'p99 s':>8} {'CPU ms':>7} {'KiB/call':>9} {'lost':>5} {'billed $':>9} {'lost $':>7}"
    )
    for row in rows:
        money = row.money_each
        name = f"{row.strategy} x{row.at_once}"
        if row.valid < row.reps:
            name += " (!)"
        memory = row.memory_per_call
        yield (
            f"  {name:22} {row.clock:8} {row.jobs:6} {_interval(row.makespan):>22} "
            f"{row.of_bound.mid:8.1%} {row.service.p99:8,.1f} {_figure(row.cpu_ms_per_image)} "
            f"{'-' if memory is None else f'{memory.mid / 1024:.0f}':>9} {row.failed_each:5.4g} "
            f"{money.billed:9,.2f} {money.lost + money.twice:7,.2f}"
        )


def _article(rows: Sequence[ArticleRow]) -> Iterator[str]:
    if not rows:
        return
    yield f"\n  {'the article':20} {'says s':>8} {'theory s':>9} {'here s':>9}  why"
    for row in rows:
        here = "-" if row.measured is None else f"{row.measured:,.1f}"
        yield f"  {row.way:20} {row.article:8,.0f} {row.theory:9,.0f} {here:>9}  {row.reason}"


def _interval(value: Interval) -> str:
    if value.low == value.high:
        return f"{value.mid:,.1f}"
    return f"{value.mid:,.1f} [{value.low:,.1f} {value.high:,.1f}]"


def _figure(value: Interval | None) -> str:
    return f"{'-' if value is None else f'{value.mid:.1f}':>7}"
