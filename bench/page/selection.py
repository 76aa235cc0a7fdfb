"""Which rows and requests of a run each picture shows."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

from bench.page.pictures import Dot
from bench.page.tables import OURS
from bench.records import Request, Row, Run, Trial

K = TypeVar("K", bound=Hashable)
_MOST_LANES = 6
_COMPARED = 3  # strategies, at least, of a picture that compares


class Selection:
    """The rows of a run, and what was chosen for each picture."""

    def __init__(self, run: Run, requests: Sequence[Request]) -> None:
        self.run = run
        self._requests: dict[str, list[Request]] = {}
        for request in requests:
            if request.rep == 0:
                self._requests.setdefault(request.row, []).append(request)
        self._trials = {(trial.row, trial.rep): trial for trial in run.trials}

    def requests(self, row: Row) -> list[Request]:
        return self._requests.get(row.id, [])

    def trial(self, row: Row) -> Trial | None:
        return self._trials.get((row.id, 0))

    def asked(self, row: Row) -> str:
        """What was asked for in this row, in words."""
        scenario = next((s for s in self.run.scenarios if s.name == row.scenario), None)
        words = scenario.words if scenario is not None else row.scenario
        return f"{words.rstrip('.')}. {row.jobs:,} images, {_clock(row)}."

    def few(self) -> list[Row]:
        """Rows that make the same images, and the fewest: one can see each of them."""
        same = _grouped(self.run.rows, lambda row: (row.scenario, row.jobs))
        groups = [rows for _, rows in same if len(rows) > 1] or [rows for _, rows in same]
        return self._drawn(_one_clock(min(groups, key=lambda rows: rows[0].jobs)))

    def many(self) -> list[Row]:
        """The rows with the most calls in flight, of one scenario: where strategies differ most.

        Of those that can be trusted, and where there are some to compare.
        """
        rows = [row for row in self.run.rows if row.valid == row.reps] or self.run.rows
        groups = [rows for _, rows in _grouped(rows, lambda row: (row.scenario, row.at_once))]
        groups = [_one_clock(group) for group in groups]
        compared = [group for group in groups if len(group) >= _COMPARED] or groups
        return self._drawn(max(compared, key=lambda group: group[0].at_once))

    def names(self) -> list[str]:
        """The strategies that pictures compare: each has one colour in all of them."""
        return list(dict.fromkeys([*self.curves(), *(row.strategy for row in self.many())]))

    def curves(self) -> dict[str, list[Row]]:
        """For each strategy its rows from few to many in flight, of the scenario with the most."""
        best: dict[str, list[Row]] = {}
        for rows in _by_scenario(self.run.rows):
            curves: dict[str, list[Row]] = {}
            for row in sorted(_one_clock(rows), key=lambda row: row.at_once):
                curves.setdefault(row.strategy, []).append(row)
            if sum(map(len, curves.values())) > sum(map(len, best.values())):
                best = curves
        return best

    def dots(self) -> list[Dot]:
        """What each row costs, of the scenario that compares the most strategies."""
        groups = [
            [dot for row in rows if (dot := _dot(row)) is not None]
            for rows in _by_scenario(self.run.rows)
        ]
        return max(groups, key=lambda dots: len({dot.name for dot in dots}))

    def _drawn(self, rows: list[Row]) -> list[Row]:
        """Those that there are requests of; of too many, ours and the slowest and fastest."""
        drawn = [row for row in rows if self.requests(row)]
        drawn.sort(key=lambda row: -row.makespan.mid)
        if len(drawn) <= _MOST_LANES:
            return drawn
        ours = [row for row in drawn if row.strategy == OURS]
        others = [row for row in drawn if row.strategy != OURS][: _MOST_LANES - len(ours)]
        return sorted([*others, *ours], key=lambda row: -row.makespan.mid)


def _by_scenario(rows: Iterable[Row]) -> list[list[Row]]:
    return [group for _, group in _grouped(rows, lambda row: row.scenario)]


def _grouped(rows: Iterable[Row], key: Callable[[Row], K]) -> list[tuple[K, list[Row]]]:
    """Rows that have a key in common, in the order in which the keys come."""
    found: dict[K, list[Row]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return list(found.items())


def _one_clock(rows: list[Row]) -> list[Row]:
    """Rows on the clock that most of them have: two clocks do not belong in one picture."""
    clocks = [row.clock for row in rows]
    most = max(set(clocks), key=clocks.count)
    return [row for row in rows if row.clock == most]


def _dot(row: Row) -> Dot | None:
    if row.cpu_ms_per_image is None or row.memory_per_call is None:
        return None
    return Dot(row.strategy, row.at_once, row.cpu_ms_per_image.mid, row.memory_per_call.mid / 1e6)


def _clock(row: Row) -> str:
    return "at true latency in virtual time" if row.clock == "virtual" else "in scaled real time"
