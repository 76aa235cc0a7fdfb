"""One item of a run's queue, from its draw to its outcome. It may be cancelled meanwhile.

drawn ──► made ──► its outcome, in the journal
            │
            ├─ stopped before anything was sent ──► in the queue again
            ├─ refused before anything was sent ──► its outcome: drawn again it would be alike
            └─ cancelled ──► "no" before it was sent, "maybe" after
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nbp_async._base.errors import (
    CancelledAttemptError,
    JournalError,
    NbpError,
    StoppedError,
    StorageError,
)
from nbp_async._flow.call_state import CallState
from nbp_async._flow.delivery import RequestDelivery
from nbp_async._flow.ledger import Ledger, failure_of
from nbp_async._flow.make_image import make_claimed_or_known
from nbp_async._flow.resume_state import ResumeState
from nbp_async._models.outcomes import Failure, Job, Outcome

_NOT_ITS_FAULT = (StoppedError, JournalError, StorageError)


async def make_queued_image(
    delivery: RequestDelivery, call: CallState, past: ResumeState, job: Job
) -> Outcome:
    """Make it, in a task of its own that can be cancelled without its worker."""
    ledger = Ledger(delivery.endpoint, call, job)
    if job.index in past.unwanted:
        past.unwanted.discard(job.index)
        past.drawn.pop(job.index, None)
        return await _end_cancelled(call, past, job, ledger)
    task = asyncio.ensure_future(make_claimed_or_known(delivery, call, job, ledger))
    past.making[job.index] = task
    try:
        outcome = await task
    except asyncio.CancelledError:
        worker = asyncio.current_task()
        if worker is not None and worker.cancelling():
            raise
        outcome = await _end_cancelled(call, past, job, ledger)
    else:
        await _record_unsent(call, past, outcome)
    finally:
        past.making.pop(job.index, None)
        past.unwanted.discard(job.index)
        past.release(job.index)
    return outcome


async def _record_unsent(call: CallState, past: ResumeState, outcome: Outcome) -> None:
    """Record a failure of which nothing was sent; a stopped call leaves its item to others."""
    if not isinstance(outcome, Failure) or outcome.attempts:
        return
    if isinstance(outcome.error, _NOT_ITS_FAULT):
        return
    try:
        await past.journal.finish(outcome.index, outcome)
    except JournalError as exc:
        call.stop(exc)


async def _end_cancelled(call: CallState, past: ResumeState, job: Job, ledger: Ledger) -> Outcome:
    """Its submitter does not want it any more: record that, with what it may have cost."""
    dropped = [one for one in call.dropped if one.index == job.index]
    for one in dropped:
        call.dropped.remove(one)
    past.unfinished[:] = [pair for pair in past.unfinished if pair[0] != job.index]
    error = CancelledAttemptError("Cancelled before it was sent.")
    outcome = dropped[-1] if dropped else failure_of(job, error, ledger)
    try:
        await past.journal.finish(job.index, outcome)
    except JournalError as exc:
        call.stop(exc)
    return outcome


@asynccontextmanager
async def heeding_cancellations(call: CallState, past: ResumeState | None) -> AsyncIterator[None]:
    """While the body runs, end what other processes cancel of what is made here."""
    if past is None or past.queue is None or not past.queue.poll:
        yield
        return
    watcher = asyncio.ensure_future(_heed(call, past))
    try:
        yield
    finally:
        watcher.cancel()
        await asyncio.wait([watcher])


async def _heed(call: CallState, past: ResumeState) -> None:
    assert past.queue is not None, "it is watched"
    try:
        while True:
            await asyncio.sleep(past.queue.poll)
            for item in await past.queue.unwanted() if past.making else ():
                past.cancel(item)
    except NbpError as exc:
        call.stop(exc)
