"""One prompt as a job of its run: claim its item, encode its request, make its image, record it."""

import asyncio

from nbp_async._base.errors import ConfigError, JournalError, StorageError, TaskOpenError
from nbp_async._flow.call_state import CallState
from nbp_async._flow.delivery import Attempts, RequestDelivery
from nbp_async._flow.ledger import JournalRecord, Ledger, failure_of
from nbp_async._flow.resume import claim, known_outcome, references_of
from nbp_async._images.references import load_references
from nbp_async._models.outcomes import Failure, Job, Outcome


class HeldElsewhere(Exception):  # noqa: N818  no error: another process makes its image
    """Another process of the run works on this item."""

    def __init__(self, item: int) -> None:
        super().__init__(item)
        self.item = item


async def make_image(delivery: RequestDelivery, call: CallState, job: Job) -> Outcome:
    """Make one image. Whatever goes wrong is in the outcome; only cancellation is raised.

    A cancelled prompt that was sent is added to `call.dropped` before the cancellation goes on,
    so that what may have been billed is reported.

    Raises:
        HeldElsewhere: Another process of the run works on it. Nothing was sent.
    """
    ledger = Ledger(delivery.endpoint, call, job)
    try:
        return await make_claimed_or_known(delivery, call, job, ledger)
    finally:
        if call.past is not None and ledger.in_journal is not None:
            call.past.release(ledger.in_journal.item)


async def make_claimed_or_known(
    delivery: RequestDelivery, call: CallState, job: Job, ledger: Ledger
) -> Outcome:
    """The same with a ledger; its item in the journal stays claimed."""
    try:
        references = await references_of(call.past, job)
        if call.past is not None:
            entry = await claim(call.past, job, references, ledger)
            if entry.standing == "elsewhere":
                raise HeldElsewhere(entry.item)
            known = await known_outcome(delivery.endpoint, call, call.past, job, entry, ledger)
            if known is not None:
                return known
        attempts = delivery.attempts(call, job, ledger)
        await attempts.prepare(references)
        del references  # megabytes, for minutes
    except (ConfigError, JournalError, StorageError) as exc:
        call.record_error(exc)
        return failure_of(job, exc, ledger)
    return await _run(call, ledger, attempts)


async def make_claimed_image(
    delivery: RequestDelivery, call: CallState, job: Job, ledger: Ledger
) -> Outcome:
    """The same for a job whose item in the journal is claimed, and has no outcome that stands."""
    try:
        attempts = delivery.attempts(call, job, ledger)
        await attempts.prepare(await load_references(job.prompt))
    except (ConfigError, JournalError, StorageError) as exc:
        call.record_error(exc)
        return failure_of(job, exc, ledger)
    return await _run(call, ledger, attempts)


async def _run(call: CallState, ledger: Ledger, attempts: Attempts) -> Outcome:
    outcome = await attempts.run()
    if ledger.in_journal is not None and outcome.attempts and not _is_open_task(outcome):
        await _finish(call, ledger.in_journal, outcome)
    return outcome


def _is_open_task(outcome: Outcome) -> bool:
    """The vendor works on it, and the journal has its handle."""
    return isinstance(outcome, Failure) and isinstance(outcome.error, TaskOpenError)


async def _finish(call: CallState, record: JournalRecord, outcome: Outcome) -> None:
    """Record how it ended. The image is safe: a broken journal does not take it away."""
    try:
        await record.journal.finish(record.item, outcome)
    except JournalError as exc:
        call.stop(exc)
    except asyncio.CancelledError:
        call.dropped.append(outcome)
        raise
