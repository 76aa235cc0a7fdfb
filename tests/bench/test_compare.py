"""The command that compares: what it plans, writes, reads again, and refuses."""

import argparse
import csv
from pathlib import Path

import msgspec
import pytest

from bench import compare
from bench.conditions import conditions
from bench.records import SCHEMA, Run
from bench.result_files import load, load_requests, save, schema, summary_csv
from bench.scenarios import SCENARIOS

DATA = Path(__file__).parent / "data"
EXAMPLES = sorted(path.parent for path in DATA.glob("*/run.json"))


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    compare.add_arguments(parser)
    return parser.parse_args(words, argparse.Namespace(words=list(words)))


def test_a_comparison_writes_what_it_says_and_stops_ci_where_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        *[
            "--n",
            "4",
            "--latency",
            "30-60",
            "--strategies",
            "nbp,threads",
            "--at-once",
            "4",
            "--scale",
            "100",
        ],
        *("--reps", "1", "--out", str(tmp_path / "one"), "--fail-if", "nbp.of_bound<1.1"),
    ]
    assert compare.main(options(*words)) == compare.FAILED
    said = capsys.readouterr().out
    assert "the bank agrees" in said
    assert "nbp.of_bound<1.1" in said
    run = load(tmp_path / "one")
    assert run.schema == SCHEMA
    assert [row.id for row in run.rows] == [
        "article*/nbpx4/scaled",
        "article*/threadsx4/scaled",
        "article*/nbpx4/virtual",
    ]
    assert all(row.failed == 0 and row.money.lost == 0 for row in run.rows)
    exact = run.row("article*/nbpx4/virtual")
    assert exact.makespan.mid == pytest.approx(exact.bound.seconds, abs=1e-6)
    scaled = {trial.row: trial.usage for trial in run.trials}["article*/threadsx4/scaled"]
    assert (scaled.threads or 0) >= 4
    assert (scaled.cpu_ms_per_image or 0) > 0
    assert run.environment.packages["aiohttp"]
    lines = load_requests(tmp_path / "one")
    assert len(lines) == 12
    assert {line.outcome for line in lines} == {"image"}


@pytest.mark.parametrize(
    "words",
    [
        ("--strategies", "fibers"),
        ("--strategies", "threads:0"),
        ("--strategies", "threads:many"),
        ("--scenario", "weather"),
        ("--clock", "sundial"),
        ("--clock", "virtual", "--strategies", "threads"),
        ("--latency", "soon"),
        ("--faults", "rain=0.1"),
        ("--scale", "0"),
        ("--n", "0"),
        ("--fail-if", "nbp is slow"),
        ("--fail-if", "nbp.beauty<1"),
    ],
)
def test_what_cannot_work_is_said_before_anything_runs(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare.main(options(*words)) == 2
    assert "bench compare: " in capsys.readouterr().err


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_can_be_planned(name: str) -> None:
    order = compare.plan_of(options("--scenario", name))
    assert order.entries
    assert {entry.scenario.name for entry in order.entries} == {name}


def test_the_articles_figures_by_hand_are_the_articles_scenario() -> None:
    order = compare.plan_of(options("--n", "10", "--latency", "120", "--scale", "80"))
    assert {entry.scenario.name for entry in order.entries} == {"article"}
    other = compare.plan_of(options("--n", "11", "--latency", "120"))
    assert {entry.scenario.name for entry in other.entries} == {"article*"}


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_read_and_written_again_the_same(folder: Path, tmp_path: Path) -> None:
    run, lines = load(folder), load_requests(folder)
    save(tmp_path, run, lines)
    assert load(tmp_path) == run
    assert load_requests(tmp_path) == lines
    assert (tmp_path / "summary.csv").read_text() == (folder / "summary.csv").read_text()


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_whole(folder: Path) -> None:
    run, lines = load(folder), load_requests(folder)
    ids = {row.id for row in run.rows}
    assert {line.row for line in lines} == ids == {trial.row for trial in run.trials}
    assert {row.scenario for row in run.rows} == {scenario.name for scenario in run.scenarios}
    for row in run.rows:
        ended = [line for line in lines if line.row == row.id and line.outcome != "again"]
        assert len(ended) == row.jobs * row.reps
        assert sum(line.outcome == "failed" for line in ended) == row.failed
    table = list(csv.DictReader(summary_csv(run.rows).splitlines()))
    assert [line["strategy"] for line in table] == [row.strategy for row in run.rows]


def test_the_articles_four_rows_come_within_two_percent_of_theory() -> None:
    rows = load(DATA / "article").article
    assert [row.article for row in rows] == [1200, 250, 150, 120]
    for row in rows:
        assert row.measured == pytest.approx(row.theory, rel=0.02), row.way
        assert row.reason


def test_another_version_is_refused(tmp_path: Path) -> None:
    run = msgspec.structs.replace(load(EXAMPLES[0]), schema="nbp-bench/0")
    save(tmp_path, run, [])
    with pytest.raises(ValueError, match="nbp-bench/0"):
        load(tmp_path)


def test_the_schema_names_every_part_of_a_run() -> None:
    definitions = schema()["$defs"]
    assert isinstance(definitions, dict)
    assert {"Run", "Row", "Trial", "Interval", "Environment"} <= set(definitions)


def test_a_gate_that_watches_nothing_is_open() -> None:
    (condition,) = conditions(["faults/fibers.of_bound<0.5"])
    run: Run = load(EXAMPLES[0])
    (words,) = condition.held_by(run.rows)
    assert words == "faults/fibers.of_bound<0.5: no row has this figure"
