"""What a run that many processes share adds to a call: jobs that are elsewhere, and the dead.

claim ──► "elsewhere" ──► HeldJobs ──► nobody works on it any more ──► drawn once more
                              ▲                                          (its outcome, or ours)
another process died ──► orphans ──► settled, or fetched by us ──────────┘
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from itertools import islice

from nbp_async._base.errors import NbpError
from nbp_async._flow.call_state import CallState
from nbp_async._flow.endpoint import Endpoint
from nbp_async._flow.resume import take_over
from nbp_async._flow.resume_state import ResumeState
from nbp_async._flow.stored_images import UnsettledFiles
from nbp_async._journal.base import JournalEntry
from nbp_async._journal.shared_journal import SharedJournal
from nbp_async._models.outcomes import Job, Outcome

_ASKED_AT_ONCE = 1000  # items of one question


class HeldJobs:
    """Jobs that other processes of the run work on; they come back when those have ended."""

    def __init__(self, call: CallState) -> None:
        self._call = call
        self._held: dict[int, Job] = {}
        self._returned: deque[Job] = deque()

    def add(self, item: int, job: Job) -> bool:
        """Hold a job; returns whether nothing watches them yet."""
        is_first = not self._held
        self._held[item] = job
        return is_first

    def next_nowait(self) -> Job | None:
        """A job that has come back, or None."""
        return self._returned.popleft() if self._returned else None

    async def watch(self, journal: SharedJournal, on_return: Callable[[], None]) -> list[Job]:
        """Until none is held; the jobs that nobody waits for any more, if the call is stopped."""
        assert self._call.past is not None, "a run has a journal"
        known = self._call.past.elsewhere
        try:
            while self._held:
                await self._call.wait(lambda: asyncio.sleep(journal.poll))
                asked = list(islice(self._held, _ASKED_AT_ONCE))
                free = set(await journal.released(asked))
                for item in asked:
                    job = self._held.pop(item)
                    if item in free:
                        known[job.index] = item
                        self._returned.append(job)
                    else:
                        self._held[item] = job  # behind those that were not asked after
                if free:
                    on_return()
        except NbpError as exc:
            self._call.record_error(exc)
            given_up, self._held = list(self._held.values()), {}
            return given_up
        return []


@asynccontextmanager
async def sweeping(
    endpoint: Endpoint,
    call: CallState,
    past: ResumeState | None,
    recover: Callable[[ResumeState, JournalEntry], Coroutine[None, None, Outcome]],
) -> AsyncIterator[None]:
    """While the body runs, take over what processes have out that die meanwhile.

    What is still being fetched at the end stays in the journal: it is paid for, and the next
    process takes it over.
    """
    if past is None or past.shared is None:
        yield
        return
    sweeper = asyncio.ensure_future(_sweep(endpoint, call, past, past.shared, recover))
    try:
        yield
    finally:
        sweeper.cancel()
        await asyncio.wait([sweeper])
        if not sweeper.cancelled():
            sweeper.result()


async def _sweep(
    endpoint: Endpoint,
    call: CallState,
    past: ResumeState,
    journal: SharedJournal,
    recover: Callable[[ResumeState, JournalEntry], Coroutine[None, None, Outcome]],
) -> None:
    async with asyncio.TaskGroup() as group:
        while True:
            await asyncio.sleep(journal.sweep)
            try:
                orphans = await journal.orphans()
                files = UnsettledFiles(endpoint.resources.files, past)
                for entry in await take_over(past, orphans, files):
                    past.rescues[entry.item] = group.create_task(recover(past, entry))
            except NbpError as exc:
                call.stop(exc)
                return
