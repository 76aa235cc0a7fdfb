"""Fetch the images of a run that are paid for and still behind links. It needs no key."""

import asyncio
from collections.abc import Callable, Iterator

from nbp_async._flow.call_state import CallState
from nbp_async._flow.links_and_tasks import (
    fetch_known_links,
    links_of,
    settle_linked,
    soonest_first,
)
from nbp_async._flow.resume import end
from nbp_async._flow.resume_state import ResumeState
from nbp_async._images.download import Downloader
from nbp_async._journal.base import JournalEntry
from nbp_async._models.outcomes import Outcome

_WORKERS = 64  # `Downloader` has a bound of its own; these only keep it busy


async def fetch_links(
    downloads: Downloader, call: CallState, past: ResumeState, deliver: Callable[[Outcome], object]
) -> None:
    """Fetch each of them, the one that expires first first; `deliver` gets every outcome.

    Raises:
        JournalError: The run's journal cannot be used, or another process uses the run.
        StorageError: There is no place for images.
    """
    (await call.sink.open()).discard()
    journal = await past.open_journal()
    try:
        linked = soonest_first(entry for entry in await journal.unsettled() if links_of(entry))
        for entry in linked:
            settle_linked(journal, entry)
        entries = iter(linked)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(_WORKERS, len(linked))):
                group.create_task(_work(downloads, call, past, entries, deliver))
    finally:
        await end(call, past)


async def _work(
    downloads: Downloader,
    call: CallState,
    past: ResumeState,
    entries: Iterator[JournalEntry],
    deliver: Callable[[Outcome], object],
) -> None:
    for entry in entries:
        if call.why_stopped() is not None:  # what is left is as safe as before: a link
            return
        deliver(await fetch_known_links(downloads, call, past, entry))
