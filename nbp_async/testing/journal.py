"""Journals without a client: one for virtual time, and one of many processes."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from nbp_async._journal.base import Journal
from nbp_async._journal.database_address import DatabaseAddress
from nbp_async._journal.sqlite import SqliteJournal

if TYPE_CHECKING:
    from nbp_async._journal.postgres import PostgresJournal


async def inline_journal(path: str | Path, *, account: str = "tests") -> Journal:
    """Open a journal for `gen.many(prompts, journal=...)` in a loop whose clock jumps.

    The usual journal has a thread, which works in real time while the simulated clock jumps ahead.
    This one survives a kill of the process, but not a power cut.
    """
    return await SqliteJournal.open(
        Path(path), account=account, folder=None, wall_clock=time.time, inline=True
    )


async def shared_journal(address: str, *, account: str = "tests") -> "PostgresJournal":
    """Join a run in PostgreSQL by its journal alone, without a client: to measure it, or to ask it.

    `queue` of it is the run's queue.
    """
    from nbp_async._journal.postgres import PostgresJournal

    where = DatabaseAddress.parse(address)
    return await PostgresJournal.open(where, account=account, folder=None, wall_clock=time.time)
