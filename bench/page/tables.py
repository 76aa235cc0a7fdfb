"""The tables of a run's report, as text."""

from collections.abc import Callable, Sequence

from bench.page.html import Table
from bench.records import Row, Run, Trial

OURS = "nbp"


def summary_table(run: Run) -> Table:
    rows = sorted(run.rows, key=lambda row: (row.scenario, row.clock, row.makespan.mid))
    money = [row.money_each for row in rows]
    return Table(
        [
            "scenario",
            "strategy",
            "in flight",
            "clock",
            "makespan",
            "of the possible",
            "of its order",
            "failed",
            "$ billed",
            "$ without an image",
        ],
        [
            [
                row.scenario,
                row.strategy,
                f"{row.at_once:,}",
                row.clock,
                seconds(row.makespan.mid),
                part(row.of_bound.mid),
                part(row.of_order.mid),
                f"{row.failed_each:,.4g}",
                f"{each.billed:,.2f}",
                f"{each.billed - each.delivered:,.2f}",
            ]
            for row, each in zip(rows, money, strict=True)
        ],
        ours=our_rows(rows),
    )


def row_table(rows: Sequence[Row]) -> Table:
    return Table(
        ["strategy", "in flight", "makespan", "95 % interval", "bound", "binds", "of the possible"],
        [
            [
                row.strategy,
                f"{row.at_once:,}",
                seconds(row.makespan.mid),
                f"{seconds(row.makespan.low)} – {seconds(row.makespan.high)}",
                seconds(row.bound.seconds),
                row.bound.binds,
                part(row.of_bound.mid),
            ]
            for row in rows
        ],
        ours=our_rows(rows),
    )


def flight_table(rows: Sequence[Row], trial_of: Callable[[Row], Trial | None]) -> Table:
    trials = [(row, trial) for row in rows if (trial := trial_of(row)) is not None]
    return Table(
        ["strategy", "limit", "peak, client", "peak, server", "mean, client", "mean, server"],
        [
            [
                row.strategy,
                f"{row.at_once:,}",
                f"{t.in_flight.client_peak:,}",
                f"{t.in_flight.server_peak:,}",
                f"{t.in_flight.client:,.1f}",
                f"{t.in_flight.server:,.1f}",
            ]
            for row, t in trials
        ],
        ours=our_rows([row for row, _ in trials]),
    )


def scaling_table(curves: dict[str, list[Row]]) -> Table:
    counts = sorted({row.at_once for rows in curves.values() for row in rows})
    lines = []
    for name, rows in curves.items():
        paces = {row.at_once: row.images_per_minute.mid for row in rows}
        lines.append([name, *(pace(paces.get(count)) for count in counts)])
    ours = frozenset(n for n, line in enumerate(lines) if line[0] == OURS)
    return Table(["images a minute", *(f"{count:,}" for count in counts)], lines, ours=ours)


def latency_table(rows: Sequence[Row]) -> Table:
    lines = []
    for row in rows:
        for what, spread in (("queue", row.queue), ("service", row.service), ("total", row.total)):
            times = (spread.p50, spread.p95, spread.p99, spread.max)
            lines.append([row.strategy, what, *map(seconds, times)])
    ours = frozenset(n for n, line in enumerate(lines) if line[0] == OURS)
    return Table(["strategy", "time", "p50", "p95", "p99", "max"], lines, ours=ours)


def cost_table(run: Run) -> Table:
    measured = [row for row in run.rows if row.cpu_ms_per_image is not None]
    lines = []
    for row in measured:
        cpu, memory = row.cpu_ms_per_image, row.memory_per_call
        assert cpu is not None
        each = "" if memory is None else f"{memory.mid / 1e6:.3g}"
        lines.append(
            [
                row.scenario,
                row.strategy,
                f"{row.at_once:,}",
                f"{cpu.mid:.2f}",
                f"{cpu.low:.2f} – {cpu.high:.2f}",
                each,
            ]
        )
    return Table(
        ["scenario", "strategy", "in flight", "CPU ms an image", "95 % interval", "MB a call"],
        lines,
        ours=our_rows(measured),
    )


def our_rows(rows: Sequence[Row]) -> frozenset[int]:
    return frozenset(number for number, row in enumerate(rows) if row.strategy == OURS)


def seconds(value: float) -> str:
    """Seconds as people say them: 0.25 s, 126 s, 24 min, 6.7 h."""
    if value < 10:
        return f"{value:.2f} s"
    if value < 100:
        return f"{value:.1f} s"
    if value < 6000:
        return f"{value:,.0f} s"
    return f"{value / 3600:.1f} h"


def part(value: float) -> str:
    return f"{value:.1%}"


def pace(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}"
