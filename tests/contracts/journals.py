"""What tests of journals share."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbp_async._journal.base import Journal, JournalEntry
from nbp_async._journal.database_address import DatabaseAddress
from nbp_async._journal.identity import identity
from nbp_async._journal.postgres import PostgresJournal
from nbp_async._journal.reader import Report, read_run
from nbp_async._journal.sqlite import SqliteJournal
from nbp_async._models.outcomes import Job

ACCOUNT = "vendor:me"


@dataclass(slots=True, kw_only=True)
class Journals:
    """The journals of one run, one after another: called, it closes those before and opens one.

    Attributes:
        kind: "thread" or "inline" for SQLite, or "postgresql".
        folder: Of the images, and of an SQLite journal.
        address: Of the run in a database, or "".
    """

    kind: str
    folder: Path
    address: str = ""
    opened: list[Journal] = field(default_factory=list)

    async def __call__(self, **more: Any) -> Any:
        """Another process opens the run, and takes over what the last one left."""
        await self.close()
        given: dict[str, Any] = {"account": ACCOUNT, "folder": self.folder}
        given |= {"wall_clock": lambda: 1000.0} | more
        if self.address:
            journal: Journal = await self.join(**given)
            await journal.unsettled()
            return journal
        given = {"manifest": self.folder / "manifest.jsonl", **given}
        given["inline"] = self.kind == "inline"
        journal = await SqliteJournal.open(self.folder / "journal.sqlite3", **given)
        self.opened.append(journal)
        return journal

    async def join(self, **more: Any) -> PostgresJournal:
        """One more process opens the run, while others have it open."""
        given: dict[str, Any] = {"account": ACCOUNT, "folder": self.folder}
        given |= {"wall_clock": lambda: 1000.0} | more
        journal = await PostgresJournal.open(DatabaseAddress.parse(self.address), **given)
        self.opened.append(journal)
        return journal

    async def close(self) -> None:
        for journal in self.opened:
            await journal.aclose()

    def read(self) -> Report:
        return read_run(self.address or self.folder)


async def claim(journal: Journal, a_job: Job) -> JournalEntry:
    return await journal.claim(a_job, identity(a_job, ACCOUNT, ()))
