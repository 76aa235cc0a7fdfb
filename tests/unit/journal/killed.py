"""Kill a process that writes its journal as fast as it can, again and again, and look each time.

python -m tests.unit.journal.killed FOLDER ROUNDS

Each round forks a process that claims, arms, settles and finishes with several callers at once and
says in a pipe what it was told to be durable. It is killed at a random moment. What was said must
be in the journal. Prints the counts as JSON.
"""

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from nbp_async._journal.base import JOURNAL, MANIFEST, JournalEntry
from nbp_async._journal.identity import identity
from nbp_async._journal.reader import read_run
from nbp_async._journal.sqlite import SqliteJournal
from tests.unit.journal.made import MOST, PRICE, attempt, image, job

CALLERS = 10


async def opened(folder: Path) -> SqliteJournal:
    return await SqliteJournal.open(
        folder / JOURNAL,
        account="me",
        folder=folder,
        wall_clock=time.time,
        manifest=folder / MANIFEST,
    )


async def write(folder: Path, said: int, start: int) -> None:
    """Until it is killed."""
    journal = await opened(folder)
    numbers = iter(range(start, 10**9))

    async def caller() -> None:
        for number in numbers:
            asked = job(f"prompt {number}", number)
            entry = await journal.claim(asked, identity(asked, "me", ()))
            await journal.arm(entry.item, 1, PRICE, MOST, f"{number:06d}")
            os.write(said, b"armed %d\n" % entry.item)
            journal.settle(entry.item, attempt())
            await journal.finish(entry.item, image(folder, number))
            os.write(said, b"stored %d\n" % entry.item)

    await asyncio.gather(*[caller() for _ in range(CALLERS)])


def killed(folder: Path, start: int, rng: random.Random) -> set[tuple[str, int]]:
    """Let a process write, kill it, and return what it had been told."""
    hear, say = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(hear)
        asyncio.run(write(folder, say, start))
        os._exit(0)
    os.close(say)
    with os.fdopen(hear, "rb") as pipe:
        first = pipe.readline()
        time.sleep(rng.uniform(0, 0.1))
        os.kill(child, signal.SIGKILL)
        heard = [first, *pipe]
    os.waitpid(child, 0)
    whole = [line.split() for line in heard if line.endswith(b"\n")]
    return {(what.decode(), int(item)) for what, item in whole}


async def look(folder: Path, told: set[tuple[str, int]], counts: Counter[str]) -> None:
    """Compare what was told with what is there, and settle what was left open."""
    journal = await opened(folder)
    open_items: dict[int, JournalEntry] = {entry.item: entry for entry in await journal.unsettled()}
    await journal.aclose()
    rows = dict(enumerate(read_run(folder).rows(), start=1))
    for what, item in told:
        counts[f"told {what}"] += 1
        if what == "stored":
            good = rows[item].ok and rows[item].spent_usd == PRICE
        else:
            out = open_items[item].pending if item in open_items else ()
            good = rows[item].ok or len(out) == 1 or len(open_items[item].attempts) == 1
        counts["missing"] += not good
    stored = {item for what, item in told if what == "stored"}
    counts["out at the kill"] += sum(what == "armed" and item not in stored for what, item in told)
    lines = (folder / MANIFEST).read_bytes().count(b"\n")
    counts["lines that are wrong"] += abs(lines - sum(row.ok for row in rows.values()))
    counts["items"] = len(rows)


def main() -> None:
    folder, rounds, rng = Path(sys.argv[1]), int(sys.argv[2]), random.Random(3)
    counts: Counter[str] = Counter()
    for number in range(rounds):
        told = killed(folder, number * 10**6, rng)
        asyncio.run(look(folder, told, counts))
        counts["kills"] += 1
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
