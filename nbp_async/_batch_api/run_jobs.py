"""The batch jobs of a run without its prompts: check, fetch and cancel them.

A call that has the prompts does this by itself; here a process needs only the run's folder.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

import msgspec

from nbp_async._base.errors import NbpError, StorageError
from nbp_async._batch_api.batch_client import BatchClient
from nbp_async._batch_api.batch_dialect import JobStatus
from nbp_async._batch_api.batch_job import BatchJob, BatchOptions, reopened
from nbp_async._batch_api.batch_ledger import BatchItem, JobRecord
from nbp_async._batch_api.result_lines import ResultLine
from nbp_async._flow.call_state import CallState
from nbp_async._flow.exchange import Exchange
from nbp_async._flow.resume import end
from nbp_async._models.outcomes import Outcome

_AT_ONCE = 4  # jobs; each has its own download
T = TypeVar("T")
Item = TypeVar("Item")


class JobObservation(msgspec.Struct, frozen=True):
    """How a job stands according to the vendor.

    Attributes:
        status: How it stands; None if the vendor has no such job, or cannot be asked.
        error: Why it cannot be asked, or None.
    """

    status: JobStatus | None = None
    error: NbpError | None = None


async def check_jobs(client: BatchClient, records: Sequence[JobRecord]) -> list[JobObservation]:
    """Ask how these jobs stand. Nothing is changed, neither here nor at the vendor."""

    async def check(record: JobRecord) -> JobObservation:
        try:
            return JobObservation(await _status(client, record))
        except NbpError as exc:
            return JobObservation(error=exc)

    return await _in_turn(check, records)


async def cancel_jobs(client: BatchClient, records: Sequence[JobRecord]) -> list[JobObservation]:
    """Ask the vendor to begin nothing more of these jobs, and how they stand then."""

    async def cancel(record: JobRecord) -> JobObservation:
        try:
            found = await _status(client, record)
            if found is not None and found.state == "open":
                await client.cancel(found.id)
                found = await client.poll(found.id, _ignore_line)
        except NbpError as exc:
            return JobObservation(error=exc)
        return JobObservation(found)

    return await _in_turn(cancel, records)


async def fetch_jobs(
    client: BatchClient,
    options: BatchOptions,
    call: CallState,
    deliver: Callable[[Outcome], object],
) -> None:
    """Fetch what is done of every job; `deliver` gets the outcome of each line that has one.

    It also gets each line that stays at the vendor, as a failure with a TaskOpenError. If this
    ends early, what came is safe, and the next call fetches the rest.

    Raises:
        JournalError: The run's journal cannot be used, or another process uses the run.
        StorageError: There is no place for images. They stay at the vendor.
    """
    past = call.past
    assert past is not None, "a batch has a journal"
    (await call.sink.open()).discard()
    await past.open_journal()

    async def record(item: BatchItem, outcome: Outcome) -> None:  # noqa: ARG001
        deliver(outcome)

    async def bring(job: BatchJob) -> None:
        why = await _bring(call, job)
        for item in list(job.waiting.values()):
            deliver(job.open(item, why))

    try:
        await _in_turn(bring, await reopened(client, options, call, record))
    finally:
        await end(call, past)


async def _bring(call: CallState, job: BatchJob) -> NbpError | None:
    """Fetch what there is of a job; returns why that failed, or None."""
    stopped = call.why_stopped()
    if stopped is not None:
        return stopped
    try:
        if job.record.state == "planned":
            await job.free()
        elif job.record.state != "creating" or await job.clear_up():
            await job.bring()
    except NbpError as exc:
        if isinstance(exc, StorageError):
            call.stop(exc)  # the other jobs' images would be lost on the same disk
        return exc
    return None


async def _status(client: BatchClient, record: JobRecord) -> JobStatus | None:
    """How a job stands; one whose creation is in doubt is looked for by its name."""
    if record.state == "creating":
        return await client.find(record.name)
    return await client.poll(record.id, _ignore_line) if record.id else None


async def _ignore_line(line: ResultLine, exchange: Exchange) -> None:
    """Only the status was asked for: results that come with it are fetched later."""


async def _in_turn(work: Callable[[Item], Awaitable[T]], items: Sequence[Item]) -> list[T]:
    """Do it for all of them, a few at a time; the results are in their order."""
    results: dict[int, T] = {}

    async def worker(turns: Iterator[tuple[int, Item]]) -> None:
        for place, item in turns:
            results[place] = await work(item)

    turns = enumerate(items)
    async with asyncio.TaskGroup() as group:
        for _ in range(min(_AT_ONCE, len(items))):
            group.create_task(worker(turns))
    return [results[place] for place in range(len(items))]
