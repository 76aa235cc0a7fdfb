"""The library's own code in virtual time: exact, and what it foretells comes true."""

import argparse
import asyncio
import json
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from bench import simulate_command
from bench.beside.readme_table import README
from bench.simulate import Plan, simulate
from bench.simulate_command import MILLION, SimulatedRun, plan_of, really
from bench.simulated_shares import simulate_in_processes, simulate_on_all_cores
from nbp_async.cli.help_command import topics

SMALL = Plan(n=120, workers=4, concurrency=5, latency="30-170", window=100.0)


def asked(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    simulate_command.add_arguments(parser)
    return parser.parse_args(words)


def records(plan: Plan) -> dict[str, object]:
    """All but what the machine had to do with it."""
    found: dict[str, object] = msgspec.to_builtins(simulate(plan))
    return {name: it for name, it in found.items() if name not in ("real_seconds", "growth")}


async def test_a_simulation_is_exact_and_its_sums_agree() -> None:
    first, second = [await asyncio.to_thread(records, SMALL) for _ in range(2)]
    assert first == second
    found = await asyncio.to_thread(simulate, SMALL)
    assert (found.images, found.failures, found.ended) == (120, {}, 120)
    assert found.spent == 120 * Decimal("0.24")
    assert found.maybe == 0
    assert sum(found.images_by_window) == 120
    assert sum(found.spend_by_window) == pytest.approx(float(found.spent))
    assert found.peak_in_flight == 20
    assert found.bound <= found.makespan <= found.bound + 170


async def test_whoever_waits_hears_of_each_percent() -> None:
    heard: list[int] = []
    await asyncio.to_thread(simulate, SMALL, heard.append)
    assert heard == sorted(set(heard))
    assert (heard[-1], len(heard)) == (100, 100)


@pytest.mark.parametrize("faults", ["", "503=0.1,reset=0.1"])
async def test_machines_in_processes_of_their_own_make_the_same(faults: str) -> None:
    plan = msgspec.structs.replace(SMALL, workers=3, faults=faults, outages=[(100.0, 50.0)])
    whole, heard = await asyncio.to_thread(simulate, plan), list[int]()
    found = await simulate_in_processes(plan, 2, heard.append)
    for name in ("images", "failures", "spent", "requests", "refused", "images_by_window"):
        assert getattr(found, name) == getattr(whole, name), name
    for name in ("makespan", "bound", "spend_by_window"):
        assert getattr(found, name) == pytest.approx(getattr(whole, name)), name
    assert found.peak_in_flight == whole.peak_in_flight == 15
    assert heard == sorted(set(heard))
    assert heard[-1] == 100


async def test_where_the_vendor_limits_all_together_one_process_plays_them() -> None:
    plan = msgspec.structs.replace(SMALL, concurrency=100, per_minute=40)
    assert plan.is_shared
    found = await asyncio.to_thread(simulate_on_all_cores, plan)
    assert found.refused > 0


async def test_one_image_is_a_simulation_too() -> None:
    plan = Plan(n=1, workers=3, concurrency=2, latency="60")
    found = await asyncio.to_thread(simulate, plan)
    assert (found.images, found.makespan, found.growth) == (1, 60.0, 0)


async def test_machines_that_hold_for_the_same_time_need_so_many_rounds() -> None:
    plan = msgspec.structs.replace(SMALL, latency="120")
    found = await asyncio.to_thread(simulate, plan)
    assert found.makespan == pytest.approx(120 / 20 * 120)
    assert found.makespan == pytest.approx(found.bound)


async def test_a_vendors_rate_bounds_all_machines_together() -> None:
    plan = msgspec.structs.replace(SMALL, workers=4, concurrency=100, per_minute=40)
    found = await asyncio.to_thread(simulate, plan)
    assert found.images == 120
    assert found.refused > 0
    assert found.makespan > 120


async def test_an_outage_costs_time_and_no_money() -> None:
    calm, stormy = [
        await asyncio.to_thread(simulate, msgspec.structs.replace(SMALL, outages=outages))
        for outages in ([], [(100.0, 200.0)])
    ]
    assert stormy.images == calm.images
    assert stormy.spent == calm.spent
    assert stormy.refused > 0
    assert stormy.makespan > calm.makespan + 100


async def test_what_is_reset_may_have_been_billed_and_is_named() -> None:
    plan = msgspec.structs.replace(SMALL, faults="503=0.1,reset=0.1")
    found = await asyncio.to_thread(simulate, plan)
    lost = found.failures["DisconnectedError"]
    assert found.images == 120 - lost
    assert lost * Decimal("0.24") <= found.maybe <= lost * Decimal("0.26")
    assert lost > 0


async def test_spending_stays_within_the_vendors_tier() -> None:
    plan = msgspec.structs.replace(SMALL, concurrency=50, tier=12.0, window=600.0)
    found = await asyncio.to_thread(simulate, plan)
    assert found.images == 120
    assert max(found.spend_by_window) <= 12.0


async def test_a_prediction_comes_true_with_real_processes() -> None:
    plan = Plan(n=40, workers=2, concurrency=10)
    foretold = await asyncio.to_thread(simulate, plan)
    real = await really(plan, 40.0)
    assert foretold.makespan * 0.99 <= real
    assert foretold.images == 40


@pytest.mark.parametrize(
    "words",
    [
        ("--outage", "600"),
        ("--faults", "truncated=0.1"),
        ("--n", "0"),
        ("--latency", "soon"),
        ("--faults", "hang=0.1"),
    ],
)
def test_what_cannot_be_simulated_is_said(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate_command.main(asked("--n", "4", "--workers", "1", *words)) == 2
    assert "bench simulate: " in capsys.readouterr().err


def test_the_command_writes_the_plan_and_what_came_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results" / "simulate.json"
    words = ("--n", "50", "--workers", "2", "--concurrency", "5", "--out", str(out))
    assert simulate_command.main(asked(*words, "--outage", "10+20")) == 0
    said = capsys.readouterr()
    assert "50 images" in said.out
    tenths = [f"{percent:3} % simulated" for percent in range(10, 101, 10)]
    assert said.err.splitlines() == tenths
    document = json.loads(out.read_text())
    assert document["plan"]["outages"] == [[10.0, 20.0]]
    assert document["forecast"]["images"] == 50
    assert plan_of(asked(*words)).n == 50


def test_the_readme_and_the_guide_have_the_figures_of_the_shipped_run() -> None:
    run = msgspec.json.decode(MILLION.read_bytes(), type=SimulatedRun)
    assert run.plan == Plan()
    assert run.forecast.images == 1_000_000
    seconds = f"{run.forecast.real_seconds:.0f} s"
    assert f"a million images in {seconds}" in README.read_text()
    assert f"a million images in virtual time, in {seconds}" in topics()["benchmarks"]
