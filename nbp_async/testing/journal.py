"""A journal for virtual time: written on the calling thread, without waiting for the disk."""

import time
from pathlib import Path

from nbp_async._journal.base import Journal
from nbp_async._journal.sqlite import SqliteJournal


async def inline_journal(path: str | Path, *, account: str = "tests") -> Journal:
    """Open a journal for `gen.many(prompts, journal=...)` in a loop whose clock jumps.

    The usual journal has a thread of its own, and while that works in real time a simulated
    clock would run away. This one survives a kill of the process, but no power cut.
    """
    where = Path(path)
    return await SqliteJournal.open(
        where, account=account, folder=None, wall_clock=time.time, inline=True
    )
