"""A client that is killed and started again: who pays twice, and who knows what may be lost."""

import pytest

from bench.records import Scenario
from bench.trial_runner import RowPlan, Settings, compare

SCENARIO = Scenario("killed", "", "60", jobs=9, kill=90.0, scale=60.0)


async def test_only_a_journal_knows_what_was_in_flight_when_a_client_was_killed() -> None:
    """Nine images, three at once, killed in the second round: three are there, three are out."""
    entries = [RowPlan(SCENARIO, name, 3, "scaled") for name in ("threads", "nbp", "nbp_poll")]
    found = await compare(entries, Settings(reps=1, limit=60), lambda _: None)
    assert not found.failed
    assert all(trial.valid for trial in found.trials), found.trials
    threads, nbp, poll = found.rows
    price = nbp.money.delivered / 6
    assert (threads.failed, nbp.failed, poll.failed) == (0, 3, 0)
    assert threads.money.twice == pytest.approx(3 * price)
    assert nbp.money.maybe == pytest.approx(3 * price)
    assert nbp.money.twice == nbp.money.lost == 0
    assert poll.money.billed == poll.money.delivered == pytest.approx(9 * price)
    early = [line for line in found.requests if line.row == threads.id and line.end <= 90.0]
    assert len(early) == 3, "what was there before the kill has its place in the picture"
