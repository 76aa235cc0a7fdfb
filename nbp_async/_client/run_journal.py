"""What opens the journal of a run."""

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from anyio import to_thread

from nbp_async._client.options import CallOptions
from nbp_async._journal.base import JOURNAL, Journal
from nbp_async._journal.database_address import DatabaseAddress, is_database, package_is_missing
from nbp_async._journal.manifest import manifest_path
from nbp_async._journal.reader import read_run
from nbp_async._journal.sqlite import SqliteJournal
from nbp_async._sinks.directory import DirectorySink
from nbp_async._sinks.file_threads import FileThreads

if TYPE_CHECKING:
    from nbp_async._journal.postgres import PostgresJournal


def opener(
    options: CallOptions, account: str, files: FileThreads, wall_clock: Callable[[], float]
) -> Callable[[], Awaitable[Journal]]:
    """What opens the journal of a run."""
    journal, folder, path = options.journal, options.folder, options.journal_path
    database = options.database

    async def open_journal() -> Journal:
        if journal is not None and not isinstance(journal, str | Path | bool):
            return journal
        if database is not None:
            return await _join(database, options, account, wall_clock)
        assert path is not None, "checked when the options were made"
        manifest = manifest_path(path, folder)
        opened = await SqliteJournal.open(
            path,
            account=account,
            folder=folder,
            wall_clock=wall_clock,
            manifest=manifest,
            shared=options.shared,
        )
        if folder is not None:  # it is ours alone by now
            await DirectorySink(folder, files).clean()
        return opened

    return open_journal


async def join_run(where: str | Path) -> Journal:
    """Open the journal of a run that there is, whoever pays for it and wherever its images are.

    Raises:
        NoRunError: There is none.
        JournalError: It cannot be used, or another process uses it (RunBusyError).
    """
    if is_database(where):
        address = DatabaseAddress.parse(str(where))
        return await _postgres(address).open(
            address, account=None, folder=None, wall_clock=time.time, place=None
        )
    report = await to_thread.run_sync(read_run, where)
    folder = report.folder if report.path.name == JOURNAL else None
    return await SqliteJournal.open(
        report.path,
        account=report.owner,
        folder=folder,
        wall_clock=time.time,
        manifest=manifest_path(report.path, folder),
    )


def _postgres(database: DatabaseAddress) -> "type[PostgresJournal]":
    try:
        from nbp_async._journal.postgres import PostgresJournal
    except ImportError:
        raise package_is_missing(database) from None
    return PostgresJournal


async def _join(
    database: DatabaseAddress, options: CallOptions, account: str, wall_clock: Callable[[], float]
) -> Journal:
    """Join a run that many processes share."""
    return await _postgres(database).open(
        database,
        account=account,
        folder=options.folder,
        place=None if options.out is None else str(options.store or options.folder or ""),
        wall_clock=wall_clock,
        cap=options.spend_limit,
        remake=options.retry_failed,
    )
