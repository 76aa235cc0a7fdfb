"""The figures of a trial, their intervals, and what they allow to say."""

from decimal import Decimal
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.bootstrap import interval, ratio
from bench.jobs import bound_of, hold_of, jobs_of
from bench.records import Money, Scenario, Usage
from bench.row_summary import NO_DIFFERENCE, row_of, verdicts_of
from bench.strategies.base import CallRecord
from bench.trial_metrics import TrialFacts, money_of, peak, requests_of, spread, trial_of
from nbp_async.fake.bank import prompt_digest
from nbp_async.fake.counters import Stats

NOTHING = Usage(None, None, None, None, None, None, 0, 0)
SCENARIO = Scenario("some", "", "100", jobs=4)
JOBS = jobs_of(SCENARIO, 2)


def found(
    records: list[CallRecord],
    made: list[int],
    *,
    connection_seconds: float = 0.0,
    expected: float = 0.0,
    row: str = "row",
    rep: int = 0,
) -> TrialFacts:
    images = sum(made)
    stats = Stats(dollars=Decimal("0.1") * images, images=images, peak_in_flight=2)
    bank = {prompt_digest(job.prompt): count for job, count in zip(JOBS, made, strict=True)}
    return TrialFacts(
        row, rep, JOBS, records, stats, bank, expected, connection_seconds, [], NOTHING, None, True
    )


def two_waves() -> list[CallRecord]:
    return [CallRecord(n, n // 2 * 100.0, n // 2 * 100.0 + 100, size=9) for n in range(4)]


def test_a_trial_without_trouble_is_valid_and_counts_what_everybody_saw() -> None:
    trial = trial_of(
        found(two_waves(), [1] * 4, connection_seconds=400.0, expected=400.0), SCENARIO
    )
    assert trial.valid
    assert (trial.makespan, trial.images, trial.failed) == (200.0, 4, 0)
    assert (trial.in_flight.client, trial.in_flight.server, trial.in_flight.client_peak) == (
        2,
        2,
        2,
    )
    assert (trial.queue.p50, trial.queue.max, trial.service.p99) == (0.0, 100.0, 100.0)
    assert trial.goodput == 4 / 200 * 60


@pytest.mark.parametrize(
    ("connection_seconds", "valid"), [(400.0, True), (393.0, True), (391.0, False), (420.0, False)]
)
def test_a_server_that_saw_other_calls_than_the_client_makes_a_trial_invalid(
    connection_seconds: float, *, valid: bool
) -> None:
    trial = trial_of(
        found(two_waves(), [1] * 4, connection_seconds=connection_seconds, expected=400.0), SCENARIO
    )
    assert trial.valid is valid


def test_an_image_that_the_bank_never_made_makes_a_trial_invalid() -> None:
    trial = trial_of(
        found(two_waves(), [1, 1, 1, 0], connection_seconds=400, expected=400), SCENARIO
    )
    assert [check.name for check in trial.checks if not check.ok] == ["ledger"]


def test_every_dollar_that_was_billed_has_one_name() -> None:
    records = [
        CallRecord(0, 0, 100, size=9),
        CallRecord(1, 0, 50, retried=True),
        CallRecord(1, 50, 100, attempt=2, size=9),
        CallRecord(2, 0, 100, error="ReadTimeout: none", maybe=True),
        CallRecord(3, 0, 100, error="TimeoutError: "),
    ]
    money = money_of(found(records, [1, 3, 2, 1]))
    assert money == Money(billed=0.7, delivered=0.2, maybe=0.1, twice=0.3, lost=0.1)


def test_requests_take_the_lowest_free_slot() -> None:
    records = [
        CallRecord(0, 0, 30, size=1),
        CallRecord(1, 0, 10, size=1),
        CallRecord(2, 10, 20, size=1),
        CallRecord(3, 30, 40, error="x"),
    ]
    lines = requests_of(found(records, [1, 1, 1, 1]))
    assert [(line.job, line.slot, line.outcome) for line in lines] == [
        (0, 0, "image"),
        (1, 1, "image"),
        (2, 1, "image"),
        (3, 0, "failed"),
    ]
    assert sum(line.billed for line in lines) == 4


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_percentiles_are_values_that_were_there(values: list[float]) -> None:
    found = spread(values)
    there = {round(value, 4) for value in values}
    assert {found.p50, found.p95, found.p99, found.max} <= there
    assert found.p50 <= found.p95 <= found.p99 <= found.max == round(max(values), 4)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(1, 50)), max_size=30))
def test_no_more_are_in_flight_than_there_are(spans: list[tuple[float, float]]) -> None:
    times = [(begin, begin + length) for begin, length in spans]
    assert peak(times) == max(
        (sum(b <= begin < e for b, e in times) for begin, _ in times), default=0
    )


@given(st.lists(st.floats(0.1, 1000), min_size=1, max_size=8))
def test_an_interval_is_around_its_mean_and_within_the_values(values: list[float]) -> None:
    found = interval(values)
    assert found.mid == pytest.approx(fmean(values))
    assert min(values) <= found.low * 1.000001
    assert found.low * 0.999999 <= found.mid <= found.high * 1.000001
    assert found.high * 0.999999 <= max(values)


def test_the_bootstrap_gives_the_same_interval_again() -> None:
    values = [1.0, 1.2, 0.9, 1.1, 1.05]
    assert interval(values) == interval(values)
    assert ratio(values, [2.0, 2.1, 1.9]) == ratio(values, [2.0, 2.1, 1.9])
    assert interval([3.0] * 5).low == 3.0


@pytest.mark.parametrize(
    ("other", "says"),
    [([100.0, 104, 99, 103, 101], NO_DIFFERENCE), ([200.0, 208, 198, 206, 202], "takes 1.99")],
)
def test_a_verdict_says_no_more_than_the_repetitions_do(other: list[float], says: str) -> None:
    bound = bound_of(SCENARIO, 7, JOBS, 2)
    rows, trials = [], []
    for name, spans in (("one", [101.0, 105, 98, 104, 102]), ("other", other)):
        mine = [
            trial_of(
                found(
                    [CallRecord(n, 0, span, size=1) for n in range(4)],
                    [1] * 4,
                    row=f"some/{name}x2/scaled",
                    rep=rep,
                ),
                SCENARIO,
            )
            for rep, span in enumerate(spans)
        ]
        trials += mine
        rows.append(row_of(SCENARIO, name, 2, "scaled", bound, 4, mine))
    (verdict,) = verdicts_of(rows, trials)
    assert says in verdict.words
    assert verdict.significant == (NO_DIFFERENCE not in says)


@pytest.mark.parametrize(
    ("scenario", "at_once", "seconds", "binds", "in_order"),
    [
        (Scenario("a", "", "120", jobs=10), 1, 1200, "slots", 1200),
        (Scenario("a", "", "120", jobs=10), 5, 240, "slots", 240),
        (Scenario("a", "", "120", jobs=10), 10, 120, "longest", 120),
        (Scenario("a", "", "120", jobs=10), 4, 300, "slots", 360),
        (Scenario("a", "", "120", jobs=180, per_minute=60), 180, 240, "rate", 240),
        (
            Scenario("a", "", "1", jobs=10, weight=3_000_000, bandwidth=1_000_000.0),
            5,
            10,
            "slots",
            10,
        ),
    ],
)
def test_the_bound_is_the_longest_of_what_nobody_can_avoid(
    scenario: Scenario, at_once: int, seconds: float, binds: str, in_order: float
) -> None:
    bound = bound_of(scenario, 7, jobs_of(scenario, at_once), at_once)
    assert (bound.seconds, bound.binds, bound.in_order) == (seconds, binds, in_order)


def test_a_job_takes_as_long_whoever_makes_it_and_however_many_there_are() -> None:
    scenario = Scenario("a", "", "30-170", waves=2)
    few, many = ([hold_of(scenario, 7, job) for job in jobs_of(scenario, size)] for size in (5, 50))
    assert many[:10] == few
    assert [hold_of(scenario, 8, job) for job in jobs_of(scenario, 5)] != few
