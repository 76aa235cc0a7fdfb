"""Bring what a run paid for and has only as links yet: no key, nothing bought, no vendor asked."""

import asyncio
from collections.abc import Callable, Iterator

from nbp_async._flow.rescue import links_of, rescue_links, settle_linked, soonest_first
from nbp_async._flow.resume import end
from nbp_async._flow.run import Past, Run
from nbp_async._images.download import Downloader
from nbp_async._journal.base import Entry
from nbp_async._models import Outcome

_WORKERS = 64  # links that are tried in turn; the downloads themselves have their own bound


async def fetch_links(
    downloads: Downloader, run: Run, past: Past, deliver: Callable[[Outcome], object]
) -> None:
    """Fetch each of them, the one that ends soonest first; `deliver` gets every outcome.

    Raises:
        JournalError: The run's journal cannot be used, or another process works on the run.
        StorageError: There is no place for images.
    """
    (await run.sink.open()).discard()
    journal = past.journal = await past.open()
    try:
        linked = soonest_first(entry for entry in await journal.unsettled() if links_of(entry))
        for entry in linked:
            settle_linked(journal, entry)
        entries = iter(linked)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(_WORKERS, len(linked))):
                group.create_task(_work(downloads, run, past, entries, deliver))
    finally:
        await end(run, past)


async def _work(
    downloads: Downloader,
    run: Run,
    past: Past,
    entries: Iterator[Entry],
    deliver: Callable[[Outcome], object],
) -> None:
    for entry in entries:
        if run.why_stopped() is not None:  # what is left is as safe as before: a link
            return
        deliver(await rescue_links(downloads, run, past, entry))
