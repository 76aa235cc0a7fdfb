"""A comparison in a terminal: first the checks, then a table for each scenario, and why its figures
are what they are.
"""

import textwrap
from collections.abc import Iterator, Sequence

from bench.records import ArticleRow, Check, Interval, Row, Run, Scenario, Trial
from bench.table import table_lines

_FEW = 50  # calls in flight, below which a program's own start is most of its figures
_WIDEST = 100  # characters of a sentence's line
_EACH = "in every trial"
_LESS = ("jobs", "p99 s", "billed $", "of bound")  # columns that a narrow terminal does without


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
        Check(
            "the server was not the bottleneck (70 % of a core)", not busy, ", ".join(busy) or _EACH
        ),
        Check("five repetitions", fewest >= 5, repeated if scaled else "none was to be repeated"),
        Check("nbp lost nothing and paid nothing twice", not ours, f"${ours:.2f}"),
        Check("all trials are valid", not invalid, ", ".join(invalid) or _EACH),
    ]


def _ok(trial: Trial, name: str) -> bool:
    return all(check.ok for check in trial.checks if check.name == name)


def _named(trials: Sequence[Trial]) -> str:
    return ", ".join(sorted({trial.row for trial in trials})) or _EACH


def report_lines(run: Run, width: int | None = None) -> Iterator[str]:
    """The lines; a terminal has `width` characters in one, a file any number."""
    for check in run.checks:
        yield f"  {'ok  ' if check.ok else 'note'} {check.name}: {check.words}"
    for scenario in run.scenarios:
        rows = [row for row in run.rows if row.scenario == scenario.name]
        yield from _table(scenario, rows, width)
        for sentence in sentences_of(scenario, rows):
            lines = textwrap.wrap(sentence, min(width or _WIDEST, _WIDEST) - 2)
            yield from ("", *(f"  {line}" for line in lines))
    yield from _article(run.article, width)


def sentences_of(scenario: Scenario, rows: Sequence[Row]) -> Iterator[str]:
    """Why the figures of a scenario are what they are."""
    scaled = [row for row in rows if row.clock == "scaled"]
    most = max((row.at_once for row in scaled), default=0)
    if scaled:
        fast = f"Here {scenario.scale:g} s pass in one. " if scenario.scale != 1 else ""
        over = max(row.makespan.mid * (1 - row.of_bound.mid) for row in scaled) / scenario.scale
        missing = (
            f" What is missing to 100 % was at most {over:.1f} s on this machine: the start of "
            "programs and first connections, which more calls would share."
        )
        is_plain = not scenario.faults and scenario.per_minute is None
        yield (
            f"{fast}of bound: the least time that so many calls at once can take, as a share of "
            f"the time taken.{missing if is_plain and most <= _FEW else ''}"
        )
    if 0 < most <= _FEW:
        yield (
            "CPU ms and KiB/call are what a whole program takes, divided by its calls. With "
            f"{most} in flight that is mostly what it needs to begin (modules, pool, buffers), "
            "whoever wrote it. What one call more costs shows with hundreds: python -m bench "
            "compare --strategies asyncio,nbp --at-once 1000 --n 3000."
        )
    if any(row.clock == "virtual" for row in rows):
        yield (
            "virtual: only waiting takes time. Such rows show in which order calls go out, and "
            "nothing of this machine. By polls an image is noticed a little later; batch jobs take "
            "their time, and cost half."
        )


def _table(scenario: Scenario, rows: Sequence[Row], width: int | None) -> Iterator[str]:
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
    yield from table_lines(columns, map(_cells, rows), text=("clock",), width=width, less=_LESS)


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


def _article(rows: Sequence[ArticleRow], width: int | None) -> Iterator[str]:
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
        ("the article", "says s", "theory s", "here s", "why"), cells, text=("why",), width=width
    )


def _interval(value: Interval) -> str:
    if value.low == value.high:
        return f"{value.mid:,.1f}"
    return f"{value.mid:,.1f} [{value.low:,.1f} {value.high:,.1f}]"
