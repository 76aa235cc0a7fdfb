"""A merge that is killed at any moment loses nothing, and the next one finishes it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="fork")
@pytest.mark.parametrize("files", ["link", "copy", "new"])
def test_a_kill_at_any_moment_loses_nothing(tmp_path: Path, files: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.journal.killed_merge", str(tmp_path), files],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    counts = json.loads(done.stdout)
    assert counts["kills"] > 100, counts
    assert counts["safe"] == counts["kills"], counts
    assert counts["whole"] == counts["kills"] + 1, counts
