"""Calls that end at one value are told apart from calls that end anyhow."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbp_async import Batch, DisconnectedError, Failure, ReadTimeout, ServerError
from nbp_async._models.timeout_clusters import TimeoutClusters
from nbp_async.cli.outcome_summary import OutcomeSummary
from tests.unit.display.examples import attempt, failure


def ended(at: float, error: Exception | None = None) -> Failure:
    problem = error or DisconnectedError("The connection ended.")
    assert isinstance(problem, DisconnectedError | ReadTimeout | ServerError)
    return msgspec.structs.replace(
        failure(problem, "maybe"), attempts=(attempt("maybe", took=at),), billing="maybe"
    )


def test_a_proxy_that_cuts_at_a_minute_is_named_with_its_dollars_and_a_way_out() -> None:
    clusters = TimeoutClusters()
    for at in (60.02, 59.98, 60.2, 31.0, 60.1):
        clusters.add(ended(at))
    said = clusters.warning()
    assert said.startswith("4 calls ended at 60.0 s")
    assert "cuts held calls at 60 s" in said
    assert f"May have been billed: ${4 * Decimal('0.134')}" in said
    assert "takes tasks (via poll)" in said


def test_a_gateway_that_answers_for_the_vendor_is_a_proxy_too() -> None:
    clusters = TimeoutClusters()
    for at in (100.1, 100.2, 100.0):
        clusters.add(ended(at, ServerError("Gateway time-out", status=504)))
    assert "3 calls ended at 100.0 s" in clusters.warning()


@pytest.mark.parametrize("spans", [(60.0, 60.1), (1.0, 1.0, 1.0), (30.0, 60.0, 90.0, 120.0), ()])
def test_few_short_and_scattered_ones_are_chance(spans: tuple[float, ...]) -> None:
    clusters = TimeoutClusters()
    for at in spans:
        clusters.add(ended(at))
    assert clusters.warning() == ""


def test_our_own_time_outs_are_not_a_proxy_s() -> None:
    clusters = TimeoutClusters()
    for _ in range(5):
        clusters.add(ended(300.0, ReadTimeout("no answer within 300 s.")))
    assert clusters.warning() == ""


@given(st.floats(6, 500), st.integers(3, 50))
def test_it_is_found_wherever_it_is(at: float, count: int) -> None:
    clusters = TimeoutClusters()
    for number in range(count):
        clusters.add(ended(at + 0.1 * (number % 2)))
    assert clusters.warning().startswith(f"{count} calls ended at")


def test_the_summary_ends_with_it() -> None:
    summary = OutcomeSummary(Batch([ended(60.0) for _ in range(3)]), 3)
    assert "proxy or load balancer" in list(summary.lines(durable=False))[-1]


def test_a_batch_says_so_wherever_it_is_looked_at() -> None:
    batch = Batch([ended(60.0), ended(60.1), ended(59.9)])
    assert batch.hint.startswith("3 calls ended at 60.0 s")
    assert repr(batch).splitlines() == [repr(batch).splitlines()[0], batch.hint]
    with pytest.raises(ExceptionGroup) as raised:
        batch.raise_for_failures()
    assert raised.value.__notes__ == [batch.hint]
    assert Batch([ended(60.0)]).hint == ""
