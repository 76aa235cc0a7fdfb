"""What tests of journals share."""

from collections.abc import Callable
from typing import Any

from nbp_async._journal.base import JournalEntry
from nbp_async._journal.identity import identity
from nbp_async._journal.sqlite import SqliteJournal
from nbp_async._models.outcomes import Job

Open = Callable[..., Any]


async def claim(journal: SqliteJournal, a_job: Job) -> JournalEntry:
    return await journal.claim(a_job, identity(a_job, "vendor:me", ()))
