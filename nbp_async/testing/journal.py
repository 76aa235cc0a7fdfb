"""A journal for virtual time: it writes on the calling thread, without waiting for the disk."""

import time
from pathlib import Path

from nbp_async._journal.base import Journal
from nbp_async._journal.sqlite import SqliteJournal


async def inline_journal(path: str | Path, *, account: str = "tests") -> Journal:
    """Open a journal for `gen.many(prompts, journal=...)` in a loop whose clock jumps.

    The usual journal has a thread, which works in real time while the simulated clock jumps ahead.
    This one survives a kill of the process, but not a power cut.
    """
    return await SqliteJournal.open(
        Path(path), account=account, folder=None, wall_clock=time.time, inline=True
    )
