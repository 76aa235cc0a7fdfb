"""Two sets of results beside each other."""

import argparse
from pathlib import Path

import msgspec
import pytest

from bench import compare_runs
from bench.compare_runs import changes_of
from bench.records import Run
from bench.result_files import load, save

DATA = Path(__file__).parent / "data" / "article"


def slower(run: Run, strategy: str, factor: float) -> Run:
    """The same run, in which a strategy took longer."""
    trials = [
        msgspec.structs.replace(trial, makespan=trial.makespan * factor)
        if f"/{strategy}x" in trial.row
        else trial
        for trial in run.trials
    ]
    return msgspec.structs.replace(run, trials=trials)


def asked(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    compare_runs.add_arguments(parser)
    return parser.parse_args(words)


def test_a_run_does_not_differ_from_itself() -> None:
    run = load(DATA)
    changes = changes_of(run, run)
    assert {change.row for change in changes} == {row.id for row in run.rows}
    assert not [change for change in changes if change.significant]


def test_what_became_slower_is_told_and_stops_ci(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path, slower(load(DATA), "nbp", 1.3), [])
    words = (str(DATA), str(tmp_path), "--fail-if", "nbp.makespan>1.1")
    assert compare_runs.main(asked(*words)) == compare_runs.FAILED
    said = capsys.readouterr().out
    assert "30.0% more" in said
    assert said.count("--fail-if: ") == 2, "on both clocks"
    assert compare_runs.main(asked(*words[:2], "--fail-if", "asyncio.makespan>1.1")) == 0


def test_noise_is_no_difference_but_on_the_virtual_clock_everything_is_one() -> None:
    run = load(DATA)
    by_row = {
        change.row: change
        for change in changes_of(run, slower(run, "nbp", 1.0001))
        if change.figure == "makespan"
    }
    assert not by_row["article/nbpx10/scaled"].significant
    assert by_row["article/nbpx10/virtual"].significant


def test_other_work_is_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = load(DATA)
    rows = [msgspec.structs.replace(run.rows[0], jobs=11), *run.rows[1:]]
    save(tmp_path, msgspec.structs.replace(run, rows=rows), [])
    assert compare_runs.main(asked(str(DATA), str(tmp_path))) == 0
    assert f"{run.rows[0].id}: not the same work" in capsys.readouterr().out


def test_what_cannot_be_read_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare_runs.main(asked(str(DATA), str(tmp_path / "nowhere"))) == 2
    assert compare_runs.main(asked(str(DATA), str(DATA), "--fail-if", "nbp.failed>1")) == 2
    assert capsys.readouterr().err.count("bench compare-runs: ") == 2
