"""One prompt as a job of its run: claim its item, encode its request, make its image, record it."""

import asyncio

import anyio.to_thread

from nbp_async._base.errors import ConfigError, JournalError, StorageError, TaskOpenError
from nbp_async._base.http import HttpRequest
from nbp_async._flow.attempt_loop import AttemptLoop
from nbp_async._flow.call_state import CallState
from nbp_async._flow.delivery import RequestDelivery
from nbp_async._flow.ledger import JournalRecord, Ledger, failure_of
from nbp_async._flow.resume import claim, known_outcome, references_of
from nbp_async._images.references import load_references
from nbp_async._models.outcomes import Failure, Job, Outcome, Reference

LARGE = 256 * 1024  # bytes of references above which encoding would be felt by the event loop


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
        request = await _encode(delivery, job, references, ledger)
        del references  # megabytes, for minutes
    except (ConfigError, JournalError, StorageError) as exc:
        call.record_error(exc)
        return failure_of(job, exc, ledger)
    return await _attempt(delivery, call, job, ledger, request)


async def make_claimed_image(
    delivery: RequestDelivery, call: CallState, job: Job, ledger: Ledger
) -> Outcome:
    """The same for a job whose item in the journal is claimed, and has no outcome that stands."""
    try:
        request = await _encode(delivery, job, await load_references(job.prompt), ledger)
    except (ConfigError, JournalError, StorageError) as exc:
        call.record_error(exc)
        return failure_of(job, exc, ledger)
    return await _attempt(delivery, call, job, ledger, request)


async def _encode(
    delivery: RequestDelivery, job: Job, references: tuple[Reference, ...], ledger: Ledger
) -> HttpRequest:
    encode, profile = delivery.dialect.encode, delivery.endpoint.profile
    key = delivery.endpoint.key.reveal()
    if sum(len(reference.data) for reference in references) < LARGE:
        request = encode(job, profile, references, key)
    else:
        request = await anyio.to_thread.run_sync(encode, job, profile, references, key)
    if profile.idempotency:
        request.headers["Idempotency-Key"] = ledger.nonce
    return request


async def _attempt(
    delivery: RequestDelivery, call: CallState, job: Job, ledger: Ledger, request: HttpRequest
) -> Outcome:
    outcome = await AttemptLoop(delivery, call, job, ledger).run(request)
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
