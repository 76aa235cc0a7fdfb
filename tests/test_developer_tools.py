"""The scripts of `.ci` that measure the code: they work, and say what is there."""

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def mutants() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / ".ci" / "mutants"))


def test_every_small_change_of_a_module_is_made_once() -> None:
    source = "if a < b and not c:\n    d = max(a, 1)\n    e(d)\n"
    words = [change.words for change in mutants()["changes"](source)]
    assert len(words) == len(set(words))
    assert {
        "a < b -> a <= b",
        "a < b and (not c) -> a < b or not c",
        "not c -> c",
        "max(a, 1) -> min(a, 1)",
        "1 -> 2",
        "e(d) -> pass",
    } <= set(words)


def test_the_modules_that_are_changed_have_tests() -> None:
    for subject in mutants()["SUBJECTS"].values():
        assert (ROOT / (subject.module.replace(".", "/") + ".py")).exists()
        assert all((ROOT / test).exists() for test in subject.tests)


def test_a_walk_names_the_stops_of_a_prompt() -> None:
    done = subprocess.run(
        [sys.executable, ".ci/walks", "prompt"], capture_output=True, text=True, cwd=ROOT
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, *stops = done.stdout.splitlines()
    assert first.startswith(f"a held call: {len(stops)} stops in ")
    order = [stops.index(f"  {stop}") for stop in ("_calls/plan.py", "_flow/attempt.py")]
    assert order == sorted(order)
    assert "  _journal/sqlite.py" in stops
