"""The batch jobs of a run, looked after without its prompts: looked at, brought, cancelled.

What a call that was given the prompts does by itself, whoever has the run's folder does here.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

import msgspec

from nbp_async._dialects.batch_lines import Line
from nbp_async._dialects.batches import Standings
from nbp_async._errors import NbpError, StorageError, TaskOpenError
from nbp_async._flow.batch_books import Member, Record
from nbp_async._flow.batch_calls import Office
from nbp_async._flow.batch_jobs import BatchJob, reopened
from nbp_async._flow.resume import end
from nbp_async._flow.run import Run
from nbp_async._flow.wiring import Wiring
from nbp_async._images.collect import Collector
from nbp_async._models import Outcome

_AT_ONCE = 4  # jobs; each has its own download
T = TypeVar("T")
Item = TypeVar("Item")


class Seen(msgspec.Struct, frozen=True):
    """What the vendor said of a job.

    Attributes:
        standings: How it stands; None if the vendor has no such job, or cannot be asked.
        error: Why it cannot be asked, or None.
    """

    standings: Standings | None = None
    error: NbpError | None = None


async def look_at(wiring: Wiring, run: Run, records: Sequence[Record]) -> list[Seen]:
    """Ask how these jobs stand. Nothing is changed, here or there."""
    office = office_of(wiring, run)

    async def seen(record: Record) -> Seen:
        try:
            return Seen(await _standings(office, record))
        except NbpError as exc:
            return Seen(error=exc)

    return await _by_turns(seen, records)


async def cancel_all(wiring: Wiring, run: Run, records: Sequence[Record]) -> list[Seen]:
    """Ask that nothing more of these jobs be begun, and look how they stand then."""
    office = office_of(wiring, run)

    async def cancelled(record: Record) -> Seen:
        try:
            found = await _standings(office, record)
            if found is not None and found.standing == "open":
                await office.cancel(found.id)
                found = await office.look(found.id, _pass_by)
        except NbpError as exc:
            return Seen(error=exc)
        return Seen(found)

    return await _by_turns(cancelled, records)


async def bring_all(wiring: Wiring, run: Run, deliver: Callable[[Outcome], object]) -> None:
    """Bring what is done of every job; `deliver` gets the outcome of each line that has one.

    It also gets each line that stays at the vendor, as a failure with a TaskOpenError. Whatever
    ends this early, what came is safe, and the next call brings the rest.

    Raises:
        JournalError: The run's journal cannot be used, or another process works on the run.
        StorageError: There is no place for images. They stay at the vendor.
    """
    past = run.past
    assert past is not None, "a batch has a journal"
    (await run.sink.open()).discard()
    past.journal = await past.open()

    async def tell(member: Member, outcome: Outcome) -> None:  # noqa: ARG001
        deliver(outcome)

    async def bring(job: BatchJob) -> None:
        why = await _brought(run, job)
        for left in list(job.members.values()):
            deliver(_left(left, job.record.name, why))

    try:
        jobs = await reopened(wiring, run, office_of(wiring, run), tell)
        await _by_turns(bring, jobs)
    finally:
        await end(run, past)


async def _brought(run: Run, job: BatchJob) -> NbpError | None:
    """Take what there is of a job; returns why it could not be asked for, or None."""
    stopped = run.why_stopped()
    if stopped is not None:
        return stopped
    try:
        if job.record.state == "planned":
            await job.free()
        elif job.record.state != "creating" or await job.clear_up():
            await job.bring()
    except NbpError as exc:
        if isinstance(exc, StorageError):
            run.stop(exc)  # the other jobs' images would be lost on the same disk
        return exc
    return None


def _left(member: Member, name: str, why: NbpError | None) -> Outcome:
    left = member.open(name)
    if why is None:
        return left
    error = TaskOpenError(
        f"It is in batch job {name}, which could not be brought: {why}", task=name
    )
    error.__cause__ = why
    return msgspec.structs.replace(left, error=error)


def office_of(wiring: Wiring, run: Run) -> Office:
    assert run.batching is not None, "checked when it was called"
    return Office(wiring, run.batching.dialect, run.sink)


async def _standings(office: Office, record: Record) -> Standings | None:
    """How a job stands; one whose creation is in doubt is looked for by its name."""
    if record.state == "creating":
        return await office.find(record.name)
    return await office.look(record.id, _pass_by) if record.id else None


async def _pass_by(line: Line, collector: Collector) -> None:
    """Results that come with an answer are not what was asked for."""


async def _by_turns(work: Callable[[Item], Awaitable[T]], items: Sequence[Item]) -> list[T]:
    """Do it for all of them, a few at once; the results are in their order."""
    results: dict[int, T] = {}

    async def worker(turns: Iterator[tuple[int, Item]]) -> None:
        for place, item in turns:
            results[place] = await work(item)

    turns = enumerate(items)
    async with asyncio.TaskGroup() as group:
        for _ in range(min(_AT_ONCE, len(items))):
            group.create_task(worker(turns))
    return [results[place] for place in range(len(items))]
