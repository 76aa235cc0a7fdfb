"""From trials to rows: intervals over the repetitions, and the verdicts that they support."""

from collections.abc import Iterable, Sequence
from itertools import combinations
from math import fsum
from statistics import fmean

from bench.bootstrap import interval, ratio
from bench.records import (
    ArticleRow,
    Bound,
    Clock,
    Interval,
    Money,
    Row,
    Scenario,
    Spread,
    Trial,
    Verdict,
)
from bench.trial_metrics import MINUTE

NO_DIFFERENCE = "no significant difference"
ALIKE = 1.01  # a ratio too small to matter, however certain it is
ENOUGH = 3  # repetitions, below which a machine's noise cannot be told from a difference


def row_id(scenario: str, strategy: str, at_once: int, clock: Clock) -> str:
    return f"{scenario}/{strategy}x{at_once}/{clock}"


def row_of(
    scenario: Scenario,
    strategy: str,
    at_once: int,
    clock: Clock,
    bound: Bound,
    jobs: int,
    trials: Sequence[Trial],
) -> Row:
    """One row of all its trials; invalid ones are in it too, and counted."""
    spans = [trial.makespan for trial in trials]
    shares = [trial.images / jobs for trial in trials]  # who gives up early is not fast
    done = list(zip(spans, shares, strict=True))
    return Row(
        id=row_id(scenario.name, strategy, at_once, clock),
        scenario=scenario.name,
        strategy=strategy,
        at_once=at_once,
        clock=clock,
        jobs=jobs,
        bound=bound,
        reps=len(trials),
        valid=sum(trial.valid for trial in trials),
        makespan=interval(spans),
        of_bound=interval([share * bound.seconds / span for span, share in done]),
        of_order=interval([share * bound.in_order / span for span, share in done]),
        images_per_minute=interval([t.images / t.makespan * MINUTE for t in trials]),
        failed=sum(trial.failed for trial in trials),
        queue=_middle([trial.queue for trial in trials]),
        service=_middle([trial.service for trial in trials]),
        total=_middle([trial.total for trial in trials]),
        cpu_ms_per_image=_known([t.usage.cpu_ms_per_image for t in trials]),
        memory_bytes=_known([t.usage.memory_bytes for t in trials]),
        memory_per_call=_known([t.usage.memory_per_call for t in trials]),
        money=_sum(trial.money for trial in trials),
        goodput=interval([trial.goodput for trial in trials]),
    )


def _known(values: Sequence[float | None]) -> Interval | None:
    known = [float(value) for value in values if value is not None]
    return interval(known) if known else None


def _middle(spreads: Sequence[Spread]) -> Spread:
    """The mean of each percentile over the trials, but the longest of all."""

    def mean(name: str) -> float:
        return round(fmean(getattr(one, name) for one in spreads), 4)

    return Spread(mean("p50"), mean("p95"), mean("p99"), max(one.max for one in spreads))


def _sum(amounts: Iterable[Money]) -> Money:
    amounts = list(amounts)

    def total(name: str) -> float:
        return round(fsum(getattr(one, name) for one in amounts), 4)

    return Money(*(total(name) for name in Money.__struct_fields__))


def verdicts_of(rows: Sequence[Row], trials: Sequence[Trial]) -> list[Verdict]:
    """Every two rows that did the same work, by time and by CPU."""
    found = []
    for one, other in combinations(rows, 2):
        if (one.scenario, one.clock, one.jobs) != (other.scenario, other.clock, other.jobs):
            continue
        for figure in ("makespan", "cpu_ms_per_image"):
            values = {row.id: values_of(row, trials, figure) for row in (one, other)}
            if all(values.values()):
                found.append(_verdict(figure, one, other, values))
    return found


def values_of(row: Row, trials: Sequence[Trial], figure: str) -> list[float]:
    """A figure in each of the row's trials with images: makespan, or one of `Usage`."""
    mine = [trial for trial in trials if trial.row == row.id and trial.images]
    if figure == "makespan":
        return [trial.makespan for trial in mine]
    known = (getattr(trial.usage, figure) for trial in mine)
    return [float(value) for value in known if value is not None]


def _verdict(figure: str, one: Row, other: Row, values: dict[str, list[float]]) -> Verdict:
    def mean(row: Row) -> float:
        return sum(values[row.id]) / len(values[row.id])

    better, worse = sorted((one, other), key=mean)
    found = ratio(values[worse.id], values[better.id])
    exact = one.clock == "virtual" and figure == "makespan"
    enough = min(len(values[one.id]), len(values[other.id])) >= ENOUGH
    significant = (exact or enough) and not found.low <= 1.0 <= found.high
    what = "time" if figure == "makespan" else "CPU an image"
    names = f"{worse.strategy} x{worse.at_once}", f"{better.strategy} x{better.at_once}"
    words = f"{what} of {names[0]} and {names[1]}: {NO_DIFFERENCE}"
    if significant and found.mid < ALIKE:
        words = f"{what} of {names[0]} and {names[1]}: the same within 1 %"
    elif significant:
        words = f"{names[0]} takes {found.mid:.3g} times the {what} of {names[1]}"
    elif not (exact or enough):
        words += f" (fewer than {ENOUGH} repetitions)"
    return Verdict(better.id, worse.id, figure, found, significant, words)


ARTICLE = (
    ("one after another", "sequential", 1, 1200.0, 1200.0, "the same: ten times 120 s"),
    (
        "5 threads",
        "threads",
        5,
        250.0,
        240.0,
        "two waves of 120 s are 240 s; the article adds 10 s, and threads do not take that long",
    ),
    (
        "10 processes",
        "processes",
        10,
        150.0,
        120.0,
        "ten at once are 120 s; the article adds 30 s, and to start ten interpreters takes two",
    ),
    (
        "asynchronous",
        "nbp",
        10,
        120.0,
        120.0,
        "the same, without polls: ten held calls do not block their thread",
    ),
)


def article_of(rows: Sequence[Row]) -> list[ArticleRow]:
    """The article's table beside ours; the scaled clock goes first, for all rows have it."""
    ours = [row for row in rows if row.scenario == "article"]
    if not ours:
        return []
    found = []
    for way, strategy, at_once, article, theory, reason in ARTICLE:
        mine = [row for row in ours if (row.strategy, row.at_once) == (strategy, at_once)]
        row = min(mine, key=lambda row: row.clock, default=None)  # "scaled" before "virtual"
        measured = None if row is None else row.makespan.mid
        found.append(ArticleRow(way, article, theory, measured, reason, row.id if row else ""))
    return found
