"""The bench of durability measures what it says, and holds it to its bounds."""

import json
from pathlib import Path

from bench.durability import DURABILITY
from bench.suite import Session


async def test_a_run_that_is_killed_loses_nothing_and_the_journal_keeps_pace(
    tmp_path: Path,
) -> None:
    bench = Session(quick=True, kills=4)
    await DURABILITY.run(bench, ["transitions", "simulated", "survival"])
    bench.save(tmp_path / "results" / "durability.json")
    found = {check.name: check for check in bench.checks}
    assert found["images lost"].value == 0
    assert found["dollars paid twice and not named"].value == 0
    assert found["kept answers that were not recovered"].value == 0
    assert found["images that the journal does not know"].value == 0
    assert found["dollars by which outcomes and journal differ"].value == 0
    assert found["billed requests that are not named"].value == 0
    assert found["growth from a tenth to the end"].value < 8
    saved = json.loads((tmp_path / "results" / "durability.json").read_text())
    kills = saved["readings"]["survival"]["kills"]
    assert kills["makers"] + kills["recoveries"] >= 4
    assert kills["kept_links"] >= 1
    assert saved["readings"]["transitions"]["images"] == 2000
