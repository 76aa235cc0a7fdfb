"""Each strategy makes every image once, against the fake server, and the bank agrees."""

from pathlib import Path

import pytest

from bench.jobs import bound_of, hold_of, jobs_of
from bench.records import Scenario, Usage
from bench.result_files import load as load_run
from bench.strategies import STRATEGIES, load
from bench.strategies.base import Work
from bench.trial import run_strategy
from bench.trial_metrics import TrialFacts, requests_of, trial_of
from bench.trial_runner import RowPlan, Settings, virtual_facts
from bench.virtual_trial import VirtualTask, run_virtual_trial
from nbp_async.fake import FakeServer
from nbp_async.fake.faults import overloaded, reset

pytestmark = [
    # google-genai subclasses aiohttp's session, which aiohttp does not like to see.
    pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]
ASYNC = [name for name, known in STRATEGIES.items() if known.is_async and known.installed]
BLOCKING = [name for name, known in STRATEGIES.items() if not known.is_async and known.installed]
BY_LINK = [name for name, known in STRATEGIES.items() if known.links and known.installed]
# Seconds after the longest image that are the way's own: until the next look, or the vendor's day.
LATER = {"nbp_poll": 20, "nbp_batch": 2 * 3600 + 300}
NOTHING = Usage(None, None, None, None, None, None, 0, 0)


def virtually(strategy: str, scenario: Scenario, at_once: int) -> TrialFacts:
    entry = RowPlan(scenario, strategy, at_once, "virtual")
    return virtual_facts(
        entry, Settings(), run_virtual_trial(VirtualTask(strategy, scenario, at_once, 7))
    )


@pytest.mark.parametrize("name", ASYNC)
def test_an_async_strategy_makes_every_image_once_and_as_fast_as_can_be(name: str) -> None:
    scenario = Scenario("spread", "", "30-170", jobs=12)
    trial = trial_of(virtually(name, scenario, 12), scenario)
    assert trial.valid, trial.checks
    assert (trial.images, trial.failed) == (12, 0)
    assert trial.money.billed == trial.money.delivered
    longest = max(hold_of(scenario, 7, job) for job in jobs_of(scenario, 12))
    assert longest <= trial.makespan <= longest + LATER.get(name, 0) + 1e-6


@pytest.mark.parametrize("name", ASYNC)
def test_the_virtual_clock_gives_the_same_figures_again(name: str) -> None:
    scenario = Scenario("faults", "", "30-170", jobs=30, faults="503=0.1,reset=0.05,cut=0.05")
    first, second = (virtually(name, scenario, 10) for _ in range(2))
    assert trial_of(first, scenario) == trial_of(second, scenario)
    assert requests_of(first) == requests_of(second)


@pytest.mark.parametrize("name", BLOCKING)
def test_a_blocking_strategy_makes_every_image_once(name: str, tmp_path: Path) -> None:
    scenario = Scenario("fast", "", "20-40", jobs=6, scale=200.0)
    with FakeServer.in_thread(latency="20-40", speed=200.0, seed=7) as server:
        server.script(overloaded(), match="picture 3")
        found = played(name, server, scenario, tmp_path)
    trial = trial_of(found, scenario)
    assert (trial.images, trial.failed) == (6, 0)
    assert [check for check in trial.checks if not check.ok and check.name != "witness"] == []
    assert trial.money.billed == trial.money.delivered > 0
    assert server.stats().requests == 7, "what was refused at no cost was asked for again"
    assert {path.stat().st_size for path in tmp_path.iterdir()} <= {t.size for t in found.records}
    assert len(list(tmp_path.iterdir())) == 6


@pytest.mark.parametrize("name", BLOCKING)
def test_a_blocking_strategy_tells_of_what_was_lost(name: str, tmp_path: Path) -> None:
    scenario = Scenario("fast", "", "20-40", jobs=4, scale=200.0)
    with FakeServer.in_thread(latency="20-40", speed=200.0, seed=7) as server:
        server.script(reset(), match="picture 2")
        trial = trial_of(played(name, server, scenario, tmp_path), scenario)
    assert (trial.images, trial.failed) == (3, 1)
    assert trial.money.lost == pytest.approx(trial.money.billed / 4)


@pytest.mark.parametrize("name", BY_LINK)
def test_a_strategy_fetches_what_comes_as_a_link(name: str, tmp_path: Path) -> None:
    scenario = Scenario("links", "", "20-40", jobs=4, delivery="url", scale=200.0)
    with FakeServer.in_thread(latency="20-40", speed=200.0, seed=7, delivery="url") as server:
        found = played(name, server, scenario, tmp_path)
    assert sorted(records.size > 100 for records in found.records) == [True] * 4
    assert server.stats().downloads == 4


def played(name: str, server: FakeServer, scenario: Scenario, folder: Path) -> TrialFacts:
    """One trial in this process, with real time."""
    jobs = jobs_of(scenario, 3)
    work = Work(
        server.openai_url,
        server.base_url,
        server.key,
        jobs,
        3,
        str(folder),
        link=scenario.delivery == "url",
        scale=scenario.scale,
    )
    strategy = load(name)
    strategy.warm(work)
    try:
        records = run_strategy(strategy, work)
    finally:
        strategy.close()
    stats, made = server.stats(), server.bank.by_digest()
    return TrialFacts("row", 0, jobs, records, stats, made, 0, 0, [], NOTHING, None, True)


def test_the_defaults_of_aiohttp_lose_images_that_are_paid_for() -> None:
    """300 calls of 170 s: the first hundred hold all connections, the others wait and time out."""
    scenario = Scenario("traps", "", "170", jobs=300)
    trial = trial_of(virtually("trap_defaults", scenario, 300), scenario)
    assert (trial.images, trial.failed) == (100, 200)
    assert trial.money.lost == pytest.approx(trial.money.billed / 2)
    assert any("waited inside the client" in note for note in trial.notes)


def test_what_may_be_lost_is_named_by_this_library_and_by_nobody_else() -> None:
    scenario = Scenario("faults", "", "30-170", jobs=60, faults="503=0.1,reset=0.1")
    ours, bare = (
        trial_of(virtually(name, scenario, 20), scenario).money for name in ("nbp", "asyncio")
    )
    assert ours.lost == ours.twice == 0 < ours.maybe
    assert bare.lost == ours.maybe
    retried = trial_of(virtually("trap_openai", scenario, 20), scenario).money
    assert retried.twice > 0, "its SDK sends again what was reset, and pays twice"


@pytest.mark.parametrize("name", ["asyncio", "nbp"])
def test_three_hundred_at_once_take_as_long_as_the_longest_of_them(name: str) -> None:
    scenario = Scenario("spread", "", "30-170", waves=1)
    trial = trial_of(virtually(name, scenario, 300), scenario)
    bound = bound_of(scenario, 7, jobs_of(scenario, 300), 300)
    assert trial.makespan == pytest.approx(bound.seconds, abs=1e-6)
    assert trial.in_flight.client_peak == trial.in_flight.server_peak == 300


@pytest.mark.parametrize("name", ["asyncio", "nbp"])
def test_the_virtual_clock_gives_the_same_figures_as_on_another_day_and_machine(name: str) -> None:
    """Made again by the command in its run.json, if what it does was meant to change."""
    run = load_run(Path(__file__).parent / "data" / "faults")
    (scenario,) = run.scenarios
    (before,) = (row for row in run.rows if row.strategy == name)
    retried = trial_of(virtually(name, scenario, before.at_once), scenario)
    assert retried.makespan == pytest.approx(before.makespan.mid, abs=1e-6)
    assert retried.money == before.money
    assert retried.service == before.service
