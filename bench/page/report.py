"""A run as a page, and as Markdown: what each picture shows, and what stands beside it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from bench.page.html import Check, Page, Section, Table
from bench.page.pictures import (
    Bar,
    Flight,
    Lane,
    Point,
    cost,
    gantt,
    in_flight,
    latency,
    scaling,
)
from bench.page.selection import Selection
from bench.page.standalone import alone
from bench.page.tables import (
    OURS,
    cost_table,
    flight_table,
    latency_table,
    our_rows,
    row_table,
    scaling_table,
    seconds,
    summary_table,
)
from bench.records import Request, Row, Run
from nbp_async.display.lanes import counts_over_time

_MOST_DOTS = 24
_MOST_BARS = 2_500  # of a Gantt chart, in all lanes: more would only make the page heavy
_AT_MOST_WITHOUT = 100  # calls in flight up to which threads are looked at as an alternative


def page_of(run: Run, requests: Sequence[Request]) -> Page:
    """The page of a run. Prompts and error texts in it are text and nothing else."""
    shown = Selection(run, requests)
    return Page(
        title=f"{run.name}: {len(run.strategies)} strategies for making images concurrently",
        subtitle=_subtitle(run),
        checks=_checks(run),
        sections=[*_sections(shown), _every_row(run)],
        command=run.command,
        metadata=_metadata(run),
    )


def markdown_of(run: Run) -> str:
    """The same tables as Markdown, for a comment or a terminal."""
    lines = [f"# {_plain(run.name)}", "", _plain(_subtitle(run)), ""]
    lines += [f"- [{'x' if check.ok else ' '}] {_plain(check.words)}" for check in _checks(run)]
    for section in [_every_row(run), *_tables(run)]:
        if section.table is not None:
            lines += ["", f"## {section.heading}", "", *_markdown(section.table)]
    lines += ["", "```", run.command, "```", ""]
    return "\n".join(lines)


def write_report(folder: Path, run: Run, requests: Sequence[Request]) -> None:
    """Write the page, its Markdown and its first picture beside the run's other files."""
    (folder / "report.html").write_text(page_of(run, requests).html(), "utf-8")
    (folder / "report.md").write_text(markdown_of(run), "utf-8")
    first = _difference(Selection(run, requests)).svg
    (folder / "difference.svg").write_text(alone(first), "utf-8")


def _sections(shown: Selection) -> Iterator[Section]:
    run = shown.run
    yield _difference(shown)
    if run.article:
        yield _article(run)
    yield _concurrent(shown)
    yield _scaling(shown)
    yield _tail(shown)
    dots = shown.dots()
    if dots:
        yield Section(
            "What does concurrency cost?",
            "CPU of the client for an image, and its memory for a call in flight; measured in real "
            "time on this machine.",
            cost(sorted(dots, key=lambda dot: (-dot.cpu, dot.name))[:_MOST_DOTS]),
            table=cost_table(run),
        )
    yield from (s for s in (_money(run), _elsewhere(run), _verdicts(run)) if s is not None)


def _difference(shown: Selection) -> Section:
    few = shown.few()
    return Section(
        "What is the difference?",
        f"{shown.asked(few[0])} A row is a slot, a bar is an image; red ones failed. The number is "
        "when the last one was there.",
        gantt([_lane(row, shown.requests(row)) for row in few]),
        table=row_table(few),
    )


def _concurrent(shown: Selection) -> Section:
    many = shown.many()
    return Section(
        "Is it really concurrent?",
        f"{shown.asked(many[0])} Calls in flight over time by the client's own account; dotted is "
        "what the server counted.",
        in_flight([flight for row in many if (flight := _flight(row, shown)) is not None]),
        table=flight_table(many, shown.trial),
    )


def _scaling(shown: Selection) -> Section:
    curves = shown.curves()
    points = {name: [_point(row) for row in rows] for name, rows in curves.items()}
    return Section(
        "Where does each stop scaling?",
        "Images a minute by calls in flight; the ribbon is the 95 % interval, the dashed line the "
        "most that is possible.",
        scaling(points, bound=_bound(curves), names=shown.names()),
        table=scaling_table(curves),
    )


def _tail(shown: Selection) -> Section:
    many = shown.many()
    return Section(
        "What about the tail?",
        "How long a call took, from its start to its image; the part of the calls that were done "
        "by then. Dots mark p50, p95 and p99.",
        latency(
            {row.strategy: [r.end - r.start for r in shown.requests(row)] for row in many},
            names=shown.names(),
        ),
        table=latency_table(many),
    )


def _tables(run: Run) -> Iterator[Section]:
    """The sections that Markdown has as well."""
    if run.article:
        yield _article(run)
    yield from (s for s in (_money(run), _elsewhere(run), _verdicts(run)) if s is not None)


def _lane(row: Row, requests: Sequence[Request]) -> Lane:
    end = max((request.end for request in requests), default=0.0)
    bars = [Bar(r.slot, r.start, r.end, r.outcome) for r in requests[:_MOST_BARS]]
    return Lane(_name(row), bars, end)


def _flight(row: Row, shown: Selection) -> Flight | None:
    trial = shown.trial(row)
    if trial is None:
        return None
    points = counts_over_time([(r.start, r.end) for r in shown.requests(row)])
    counted = trial.in_flight
    return Flight(_name(row), points, row.at_once, counted.server_peak, counted.witness)


def _point(row: Row) -> Point:
    pace = row.images_per_minute
    return Point(row.at_once, pace.mid, pace.low, pace.high)


def _bound(curves: dict[str, list[Row]]) -> list[tuple[float, float]]:
    """The most that is possible, by how many are in flight."""
    found = {
        row.at_once: row.jobs / row.bound.seconds * 60 for rows in curves.values() for row in rows
    }
    return sorted((float(at_once), pace) for at_once, pace in found.items())


def _name(row: Row) -> str:
    return row.strategy


def _subtitle(run: Run) -> str:
    reps = max((row.reps for row in run.rows), default=0)
    seeded = f"seed {run.seed}, {reps} repetition{'s' if reps != 1 else ''} in fresh processes"
    return f"{seeded}, {run.started[:10]}, {run.environment.cpu}, {run.environment.cores} cores"


def _article(run: Run) -> Section:
    table = Table(
        ["strategy", "article", "theory", "here", "to theory", "why they differ"],
        [
            [
                a.way,
                seconds(a.article),
                seconds(a.theory),
                "" if a.measured is None else seconds(a.measured),
                "" if a.measured is None else f"{a.measured / a.theory - 1:+.1%}",
                a.reason,
            ]
            for a in run.article
        ],
        words=frozenset({5}),
    )
    return Section("The article's figures, and ours", table=table)


def _money(run: Run) -> Section | None:
    """What was billed without an image, if anything was."""
    lost = [row for row in run.rows if row.money.billed - row.money.delivered > 0.005]
    if not lost:
        return None
    table = Table(
        [
            "scenario",
            "strategy",
            "in flight",
            "clock",
            "billed",
            "for images",
            "reported as possibly billed",
            "billed twice",
            "lost, not reported",
        ],
        [
            [
                row.scenario,
                row.strategy,
                f"{row.at_once:,}",
                row.clock,
                *(
                    f"${dollars:,.2f}"
                    for dollars in (each.billed, each.delivered, each.maybe, each.twice, each.lost)
                ),
            ]
            for row in lost
            for each in [row.money_each]
        ],
        ours=our_rows(lost),
    )
    return Section(
        "What was paid for and never came",
        "By the fake bank's ledger; one trial, on average.",
        table=table,
    )


def _every_row(run: Run) -> Section:
    return Section(
        "Every row",
        "Of the possible: nobody can be faster. Of its order: against a client that starts the "
        "images in their order and loses no moment. Failures and dollars are of one trial, on "
        "average.",
        table=summary_table(run),
    )


def _verdicts(run: Run) -> Section | None:
    if not run.verdicts:
        return None
    rows = {row.id: row for row in run.rows}
    table = Table(
        ["scenario", "clock", "verdict", "ratio", "95 % interval"],
        [
            [
                rows[v.better].scenario,
                rows[v.better].clock,
                v.words,
                f"{v.ratio.mid:.3g}x",
                f"{v.ratio.low:.3g} – {v.ratio.high:.3g}",
            ]
            for v in run.verdicts
        ],
        words=frozenset({2}),
    )
    return Section("Each pair, compared", table=table)


def _elsewhere(run: Run) -> Section:
    """Where async does not help: by what was measured, and by what everybody knows."""
    by_id = {row.id: row for row in run.rows}
    alike = [
        verdict.words
        for verdict in run.verdicts
        if not verdict.significant
        and {"threads", OURS} == {by_id[i].strategy for i in (verdict.better, verdict.worse)}
        and by_id[verdict.better].at_once <= _AT_MOST_WITHOUT
    ]
    words = [f"Measured here: {line}" for line in alike]
    return Section(
        "Where async does not help",
        paragraphs=[
            *words,
            "A few images at once: threads are as fast. A script that uses them can keep them.",
            "Work on this machine, such as resizing images: use processes.",
            "A vendor that limits calls in flight: any strategy that reaches its limit is as good.",
        ],
        boxed=True,
    )


def _checks(run: Run) -> list[Check]:
    invalid = sum(not trial.valid for trial in run.trials)
    trials = f"{len(run.trials) - invalid} of {len(run.trials)} trials are valid"
    found = [Check(trials, invalid == 0)]
    for check in run.checks:
        words = f"{check.name}: {check.words}" if check.words else check.name
        found.append(Check(words, check.ok))
    return found


def _metadata(run: Run) -> str:
    document = {
        "schema": run.schema,
        "name": run.name,
        "started": run.started,
        "seconds": run.seconds,
        "seed": run.seed,
        "environment": run.environment,
        "scenarios": run.scenarios,
        "strategies": run.strategies,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode()


def _markdown(table: Table) -> Iterator[str]:
    yield "| " + " | ".join(map(_plain, table.columns)) + " |"
    yield "|" + "---|" * len(table.columns)
    for row in table.rows:
        yield "| " + " | ".join(map(_plain, row)) + " |"


def _plain(text: str) -> str:
    """Text that Markdown takes for nothing else, on one line."""
    escaped = text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
    return " ".join(escaped.split())
