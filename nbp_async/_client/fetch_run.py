"""Fetch the images of a run that were paid for and are only links yet."""

import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread

from nbp_async._base.errors import ConfigError
from nbp_async._calls.batch import Batch
from nbp_async._client.downloads import downloader
from nbp_async._client.fetch_options import FetchOptions
from nbp_async._client.keyword_options import takes
from nbp_async._client.options import CallOptions
from nbp_async._client.parts import sink_at
from nbp_async._client.run_journal import opener
from nbp_async._flow.call_state import CallState
from nbp_async._flow.fetch_links import fetch_links
from nbp_async._flow.resume_state import ResumeState
from nbp_async._images.download import Downloader, link_policy
from nbp_async._journal.base import JOURNAL
from nbp_async._journal.reader import Report, read_run
from nbp_async._models.outcomes import Outcome
from nbp_async._models.settings import Limits, Timeouts
from nbp_async._sinks.file_threads import FileThreads
from nbp_async._sinks.memory import MemorySink
from nbp_async._sinks.object_sink import waiting_images
from nbp_async._stores.open_buckets import Buckets
from nbp_async._stores.store_address import StoreAddress, is_store, store_address


@takes(FetchOptions)
async def fetch_run(where: str | Path, options: FetchOptions) -> Batch:
    """Fetch what a run paid for and has only as links yet, the one that ends soonest first.

    ```python
    batch = await fetch_run("catalogue/")
    ```

    It needs no key and buys nothing, and downloads what `links="keep"` has kept as well. A cut is
    resumed where it happened, a failure tried again for `Timeouts.download` seconds. What cannot be
    fetched stays a link, and can be fetched later; only a link that has expired or is gone
    (LinkExpiredError) is given up, as a Failure that names what was paid. The same `many` made
    again does this, too.

    Args:
        where: The run's folder, or its journal: a file or `postgresql://host/db?run=NAME`.

    Returns:
        The outcomes of what was only a link, in the order in which they ended.

    Raises:
        ConfigError: Nobody can know where the images belong: give `out`. Nothing was changed.
        JournalError: There is no run, or it cannot be read, or it is being worked on
            (RunBusyError). Nothing was changed.
        StorageError: They cannot be kept there. Nothing was changed.
        asyncio.CancelledError: You cancelled. What is not here is still a link.
    """
    outcomes: list[Outcome] = []

    def deliver(outcome: Outcome) -> None:
        outcomes.append(outcome)
        if options.on_outcome is not None:
            options.on_outcome(outcome)

    report, home = await to_thread.run_sync(_read, where, options.out)
    async with open_parts(report, home, options) as parts:
        assert parts.past is not None, "a run has a journal"
        await fetch_links(parts.downloads, parts.call, parts.past, deliver)
    return Batch(outcomes)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRun:
    """What works on a run without a client.

    Attributes:
        downloads: Fetches links.
        call: Where images go.
        past: The run's journal; None if there is none.
        files: Threads that read and write files.
        buckets: Opens stores.
    """

    downloads: Downloader
    call: CallState
    past: ResumeState | None
    files: FileThreads
    buckets: Buckets


@asynccontextmanager
async def open_parts(
    report: Report | None, home: str | Path, options: FetchOptions
) -> AsyncIterator[OpenRun]:
    """What it takes to work on the run of this report, if there is one; closed at the end."""
    limits = options.limits or Limits()
    files, buckets = FileThreads(), Buckets()
    memory = MemorySink(limits.max_memory, files)
    downloads = downloader(
        link_policy(
            options.link_hosts,
            private=bool(options.allow_private),
            http=bool(options.allow_http),
        ),
        limits,
        options.timeouts or Timeouts(),
        options.network,
        random.random,
    )
    past = None if report is None else _past(report, home, options, files, buckets)
    target = home if options.out is None else options.out
    try:
        sink = sink_at(target, memory, buckets, files, shared=options.shared)
        call = CallState(sink, past=past)
        yield OpenRun(downloads=downloads, call=call, past=past, files=files, buckets=buckets)
    finally:
        await downloads.aclose()
        await memory.aclose()
        files.close()


def _past(
    report: Report, home: str | Path, options: FetchOptions, files: FileThreads, buckets: Buckets
) -> ResumeState:
    run = CallOptions(out=home, journal=report.address or report.path, shared=options.shared)
    return ResumeState(
        open=opener(run, report.owner, files, time.time),
        account=report.owner,
        folder=run.folder,
        store=run.store,
        beside=run.beside,
        buckets=buckets,
    )


def _read(where: str | Path, out: str | Path | None) -> tuple[Report, str | Path]:
    report = read_run(where)
    return report, home_of(report, out)


def home_of(report: Report, out: str | Path | None = None) -> str | Path:
    """Where the images of a run belong: its folder, or where its other images are.

    Raises:
        ConfigError: They are in no place, or in several.
    """
    if report.path.name == JOURNAL:
        return report.folder
    if report.place:
        return report.place
    homes = {_home(report, row.path) for row in report.rows() if row.path}
    homes.discard(waiting_images(report.path))
    if len(homes) == 1:
        return homes.pop()
    if out is not None:
        return out
    raise ConfigError(
        f"{report.path} does not say where its images belong: they are in "
        f"{len(homes) or 'no'} places. Say where: out=, or nbp fetch --to."
    )


def _home(report: Report, path: str) -> str | Path:
    if not is_store(path):
        return (report.folder / path).parent
    place = store_address(path)
    above = place.path.rpartition("/")[0]
    return str(StoreAddress(place.scheme, place.bucket, above, place.endpoint, place.region))
