"""Fetch the images of a run that were paid for and are only links yet."""

import random
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypedDict, Unpack

from anyio import to_thread

from nbp_async._batch import Batch
from nbp_async._config import Limits, Timeouts
from nbp_async._downloads import downloader
from nbp_async._errors import ConfigError
from nbp_async._flow.fetch import fetch_links
from nbp_async._flow.run import Past, Run
from nbp_async._images.download import Downloader, link_policy
from nbp_async._journal.base import JOURNAL
from nbp_async._journal.reader import Report, read_run
from nbp_async._models import Outcome
from nbp_async._parts import folder_of, opener, sink_at
from nbp_async._refusals import refuse_unknown
from nbp_async._sinks.memory import MemorySink
from nbp_async._sinks.objects import store_of
from nbp_async._sinks.threads import FileThreads
from nbp_async._stores.address import StoreAddress, is_store, store_address
from nbp_async._stores.buckets import Buckets


class FetchOptions(TypedDict, total=False):
    """Options of `fetch_run`.

    Attributes:
        out: Where the images go, a folder or a store; None (default) for where the run's others
            are.
        limits: Its `max_downloads`, `max_body` and `max_memory` count here.
        timeouts: Its `download` counts here.
        link_hosts: Hosts that links may lead to; None (default) for any public one.
        allow_private: Links may lead to private addresses and plain http; default False.
        ca: File of certificate authorities to trust instead of the system's.
        on_outcome: Called with each outcome as it ends; it must not block.
    """

    out: str | Path | None
    limits: Limits | None
    timeouts: Timeouts | None
    link_hosts: Collection[str] | None
    allow_private: bool
    ca: str | Path | None
    on_outcome: Callable[[Outcome], object] | None


async def fetch_run(where: str | Path, **options: Unpack[FetchOptions]) -> Batch:
    """Fetch what a run paid for and has only as links yet, the one that ends soonest first.

    ```python
    batch = await fetch_run("catalogue/")
    ```

    It needs no key and buys nothing. A cut is resumed where it happened, a failure tried again for
    `Timeouts.download` seconds. What cannot be fetched stays a link, and can be fetched later; only
    a link that no longer answers (HTTP 403, 404, 410) is given up, as a Failure that names what was
    paid. The same `many` made again does this, too.

    Args:
        where: The run's folder, or its journal.
        options: See `FetchOptions`.

    Returns:
        The outcomes of what was only a link, in the order in which they ended.

    Raises:
        ConfigError: Nobody can know where the images belong: give `out`. Nothing was changed.
        JournalError: There is no run, or it cannot be read, or it is being worked on
            (RunBusyError). Nothing was changed.
        StorageError: They cannot be kept there. Nothing was changed.
        asyncio.CancelledError: You cancelled. What is not here is still a link.
    """
    refuse_unknown("fetch_run", options, FetchOptions.__annotations__)
    outcomes: list[Outcome] = []
    told = options.get("on_outcome") or _nobody

    def deliver(outcome: Outcome) -> None:
        outcomes.append(outcome)
        told(outcome)

    report, home = await to_thread.run_sync(_look, where, options.get("out"))
    async with _parts(report, home, options) as (downloads, run, past):
        await fetch_links(downloads, run, past, deliver)
    return Batch(outcomes)


@asynccontextmanager
async def _parts(
    report: Report, home: str | Path, options: FetchOptions
) -> AsyncIterator[tuple[Downloader, Run, Past]]:
    """What it takes; closed at the end."""
    limits, ca = options.get("limits") or Limits(), options.get("ca")
    files, buckets = FileThreads(), Buckets()
    memory = MemorySink(limits.max_memory, files)
    downloads = downloader(
        link_policy(options.get("link_hosts"), private=options.get("allow_private", False)),
        limits,
        options.get("timeouts") or Timeouts(),
        None if ca is None else str(ca),
        random.random,
    )
    past = Past(
        open=opener({"out": home, "journal": report.path}, report.owner, files, time.time),
        account=report.owner,
        folder=folder_of(home),
        store=store_of(home),
        buckets=buckets,
    )
    target = options.get("out")
    try:
        sink = sink_at(home if target is None else target, memory, buckets, files)
        yield downloads, Run(sink, None, past=past), past
    finally:
        await downloads.aclose()
        await memory.aclose()
        files.close()


def _look(where: str | Path, out: str | Path | None) -> tuple[Report, str | Path]:
    report = read_run(where)
    return report, home_of(report, out)


def _nobody(outcome: Outcome) -> None:
    """Nobody wants to be told."""


def home_of(report: Report, out: str | Path | None = None) -> str | Path:
    """Where the images of a run belong: its folder, or where its other images are.

    Raises:
        ConfigError: They are in no place, or in several.
    """
    if report.path.name == JOURNAL:
        return report.folder
    homes = {_home(report, row.path) for row in report.rows() if row.path}
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
