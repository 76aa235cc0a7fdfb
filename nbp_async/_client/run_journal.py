"""What opens the journal of a run."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from nbp_async._client.options import CallOptions
from nbp_async._journal.base import Journal
from nbp_async._journal.database_address import DatabaseAddress, package_is_missing
from nbp_async._journal.manifest import manifest_path
from nbp_async._sinks.directory import DirectorySink
from nbp_async._sinks.file_threads import FileThreads


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
        from nbp_async._journal.sqlite import SqliteJournal

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


async def _join(
    database: DatabaseAddress, options: CallOptions, account: str, wall_clock: Callable[[], float]
) -> Journal:
    """Join a run that many processes share."""
    try:
        from nbp_async._journal.postgres import PostgresJournal
    except ImportError:
        raise package_is_missing(database) from None
    return await PostgresJournal.open(
        database,
        account=account,
        folder=options.folder,
        place=str(options.store or options.folder or ""),
        wall_clock=wall_clock,
        cap=options.spend_limit,
        remake=options.retry_failed,
    )
