"""Kill a rebuild before each of its operations on files, and look what is left each time.

python -m tests.unit.journal.killed_rebuild FOLDER

The run's journal is an old copy with a log. A child is killed before the first audit event about
files, the next before the second, and so on, until one comes to its end. Whatever a kill leaves,
a call must refuse it or know all images, and the next rebuild must bring all of them back. Prints
the counts as JSON.
"""

import asyncio
import json
import os
import shutil
import sys
from collections import Counter
from pathlib import Path

from nbp_async._base.errors import JournalError
from nbp_async._journal.base import JOURNAL
from nbp_async._journal.identity import identity
from nbp_async._journal.rebuild import rebuild_run
from tests.unit.journal.made import job
from tests.unit.journal.test_lost_journal import run_of
from tests.unit.journal.test_manifest import end, opened

IMAGES = 4
EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.scandir", "sqlite3.connect")


async def prepare(folder: Path) -> None:
    """A run of four images, whose journal and log are those of the first two."""
    await run_of(folder / "live", images=1)
    journal = await opened(folder / "live")
    await end(journal, 1)
    await journal.totals()
    shutil.copytree(folder / "live", folder / "run")
    for index in range(2, IMAGES):
        await end(journal, index)
    await journal.aclose()
    shutil.copy(folder / "live" / "manifest.jsonl", folder / "run")


def killed_before(event: int, folder: Path) -> bool:
    """Rebuild in a child that is killed before this event; False if it ended before."""
    child = os.fork()
    if child == 0:
        left = [event]

        def count(name: str, args: tuple[object, ...]) -> None:
            if name in EVENTS and not str(args[0]).startswith(sys.prefix):
                left[0] -= 1
                if left[0] == 0:
                    os._exit(9)

        sys.addaudithook(count)
        rebuild_run(folder)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


async def states(folder: Path) -> list[str]:
    journal = await opened(folder)
    found: list[str] = []
    for index in range(IMAGES):
        asked = job(f"prompt {index}", index)
        found.append((await journal.claim(asked, identity(asked, "me", ()))).state)
    await journal.aclose()
    return found


async def is_refused_or_whole(folder: Path) -> bool:
    try:
        return await states(folder) == ["stored"] * IMAGES
    except JournalError:
        return True


def main() -> None:
    folder, counts = Path(sys.argv[1]), Counter[str]()
    asyncio.run(prepare(folder))
    is_over = False
    while not is_over:
        run = folder / f"run{counts['rebuilt']}"
        shutil.copytree(folder / "run", run)
        is_over = not killed_before(counts["kills"] + 1, run)
        if not is_over:
            counts["kills"] += 1
            copy = shutil.copytree(run, folder / "look")
            counts["refused or whole"] += asyncio.run(is_refused_or_whole(copy))
            shutil.rmtree(copy)
            rebuild_run(run)
        report = list(run.glob("journal.old-*.sqlite3"))
        whole = asyncio.run(states(run)) == ["stored"] * IMAGES
        counts["rebuilt"] += whole and len(report) >= 1 and (run / JOURNAL).exists()
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
