"""What the journal has acknowledged outlives its process, and a full disk never half-writes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nbp_async._journal.base import JOURNAL
from nbp_async._journal.reader import read_run

ROOT = Path(__file__).parents[3]
posix = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL, fork and RLIMIT_FSIZE")


@posix
@pytest.mark.slow
def test_what_was_acknowledged_is_there_after_forty_kills(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.journal.killed", str(tmp_path), "40"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    counts = json.loads(done.stdout)
    assert counts["kills"] == 40
    assert counts["told armed"] >= 40
    assert counts["out at the kill"] > 0, "the kills came while something was out"
    assert (counts["missing"], counts["lines that are wrong"]) == (0, 0), counts


FILLS = """
import asyncio, resource, signal, sys
from pathlib import Path
from nbp_async._base.errors import JournalError
from tests.unit.journal.killed import opened
from tests.unit.journal.made import MOST, PRICE, job

async def fill(folder):
    journal = await opened(folder)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
    armed = 0
    problem = None
    for number in range(1000):
        try:
            entry = await journal.claim(job(f"{number} " + "x" * 2000, number), number.to_bytes(32))
            await journal.arm(entry.item, 1, PRICE, MOST, "x")
            armed += 1
        except JournalError as exc:
            problem = exc
            break
    account = None
    try:
        await journal.arm(entry.item, 2, PRICE, MOST, "x")
    except JournalError as exc:
        account = str(exc)
    await journal.aclose()
    print(armed, "|", problem, "|", account)

asyncio.run(fill(Path(sys.argv[1])))
"""


@posix
def test_a_limit_on_the_size_of_files_breaks_the_journal_and_no_row_that_was_acknowledged(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILLS, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    armed, first, second = done.stdout.strip().split(" | ")
    assert 5 < int(armed) < 1000
    assert first == second
    assert "quota" in first, "it says what to do"
    assert "The run's journal cannot be written" in first
    assert "Nothing more is sent" in first
    assert read_run(tmp_path / JOURNAL).states["armed"] == int(armed)
