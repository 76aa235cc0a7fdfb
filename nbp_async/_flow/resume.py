"""Resume a run: what an earlier call left is done, behind a link, or not to be sent again.

| an earlier call left | now |
| --- | --- |
| its image, and its file or object is there | it is the outcome; nothing is sent |
| its image, in a file because its store failed | it is uploaded; nothing is sent |
| a link to it | the link is fetched; nothing is sent |
| a task that the vendor works on | it is polled; nothing is bought |
| a request that may have been billed | a failure that says so, unless `resend_ambiguous` |
| one that was billed without an image, or whose file is gone | the same, unless `retry_failed` |
| only what was not billed, or nothing | it is sent |
"""

import asyncio
import hashlib
from collections.abc import Sequence

import anyio.to_thread
import msgspec

from nbp_async._base.errors import (
    InterruptedAttemptError,
    JournalError,
    ParkedError,
)
from nbp_async._dialects.base import Answer
from nbp_async._dialects.body_template import unwritable
from nbp_async._flow.call_state import CallState
from nbp_async._flow.endpoint import Endpoint
from nbp_async._flow.late_upload import upload_late
from nbp_async._flow.ledger import JournalRecord, Ledger, failure_of
from nbp_async._flow.limit_notes import LimitNotes
from nbp_async._flow.links_and_tasks import (
    all_attempts,
    failure_of_entry,
    fetch_known_links,
    image_of_entry,
    interrupted,
    links_of,
    settle_linked,
    soonest_first,
)
from nbp_async._flow.resume_state import ResumeState
from nbp_async._flow.stored_images import UnsettledFiles, missing_reason
from nbp_async._images.references import load_references, reference_of
from nbp_async._journal.base import Journal, JournalEntry, PendingAttempt
from nbp_async._journal.identity import identity
from nbp_async._models.outcomes import Attempt, Image, Job, Outcome, Prompt, Reference

_LARGE = 256 * 1024  # bytes of references above which hashing would be felt by the event loop


async def begin(
    endpoints: Sequence[Endpoint], call: CallState, past: ResumeState
) -> list[JournalEntry]:
    """Open the journal, and settle what its last process left.

    Returns:
        The items whose image is behind a link, the first to expire first; then those whose task is
        open at the vendor.

    Raises:
        JournalError: It cannot be opened, is another account's, or is being worked on by another
            process. Nothing was changed, and nothing sent.
        StorageError: The store cannot say what is in it. Nothing was sent.
    """
    journal = await past.open_journal()
    resources = endpoints[0].resources
    past.limit_notes = [LimitNotes(each, journal) for each in endpoints if each.limits.learned]
    for notes in past.limit_notes:
        await notes.open()
    leftovers = UnsettledFiles(resources.files, past)
    async with past.calls.opening:
        left = [] if past.calls.begun else await journal.unsettled()
        to_recover = await take_over(past, left, leftovers)
        past.calls.begun += 1
        past.has_begun = True
    windows = [endpoint.window for endpoint in endpoints if endpoint.window is not None]
    account = await journal.totals(max((w.spend.period for w in windows), default=0.0))
    if call.cap is not None:
        call.cap.spent += account.spent + account.maybe
    for window in windows:  # the journal does not say by which account: each may have been it
        window.remember(account.recent, resources.open_for())
    return to_recover


async def take_over(
    past: ResumeState, entries: list[JournalEntry], leftovers: UnsettledFiles
) -> list[JournalEntry]:
    """Settle what a process left that has ended; gives what is to be fetched, as `begin` does."""
    journal, linked, tasks = past.journal, [], []
    for entry in entries:
        if links_of(entry):
            settle_linked(journal, entry)
            linked.append(entry)
        elif entry.handle is not None:
            if entry.handle.kind == "task" and past.tasks is not None:
                tasks.append(entry)
            else:
                past.release(entry.item)
        elif entry.pending:
            await _settle_interrupted(leftovers, journal, entry)
        elif entry.unrecorded is not None:
            await _record_ended(leftovers, journal, entry, entry.unrecorded)
    return soonest_first(linked) + tasks


async def end(call: CallState, past: ResumeState) -> None:
    """Write what is still to be written, and close the journal.

    A cancellation does not interrupt this: what was paid for and not written down would be lost.
    The closing is a task of its own, which is waited for until it is done however often we are
    cancelled meanwhile; then the last cancellation goes on. (`asyncio.shield` would protect the
    closing as well, but would let us leave before it has ended, and the loop may be closed then.)
    """
    if past.opened is None:
        return
    # Nothing of it is out any more, whatever happens here.
    past.calls.begun -= past.has_begun
    closing = asyncio.ensure_future(_close(call, past))
    cancelled: asyncio.CancelledError | None = None
    while not closing.done():
        try:
            await asyncio.wait([closing])
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is not None:
        raise cancelled
    closing.result()


async def _close(call: CallState, past: ResumeState) -> None:
    try:
        try:
            for notes in past.limit_notes:
                notes.close()
            for item, outcome in past.unfinished:
                await past.journal.finish(item, outcome)
        finally:
            if not past.stays_open:
                await past.journal.aclose()
    except JournalError as exc:
        call.stop(exc)  # what was paid for is in the outcomes: they are still handed out


async def claim(
    past: ResumeState, job: Job, references: tuple[Reference, ...], ledger: Ledger
) -> JournalEntry:
    """Claim a job's item in the journal, and enter in its ledger what earlier calls had sent.

    Raises:
        ConfigError: It cannot be written, neither there nor in a request.
        JournalError: The journal cannot say. Nothing was sent.
    """
    entry = await _claim(past, job, references)
    ledger.in_journal = JournalRecord(past.journal, entry)
    ledger.earlier = all_attempts(entry)
    return entry


async def known_outcome(
    endpoint: Endpoint,
    call: CallState,
    past: ResumeState,
    job: Job,
    entry: JournalEntry,
    ledger: Ledger,
) -> Outcome | None:
    """What is known of a claimed job: its outcome, or None if it may be sent.

    Raises:
        JournalError: The journal cannot say. Nothing was sent.
        StorageError: The store of its image cannot say. Nothing was sent.
    """
    rescued = past.rescues.get(entry.item)
    if rescued is not None:
        # Shielded: a cancelled prompt must not cancel the download of an image that is paid for.
        outcome = await asyncio.shield(rescued)
        if isinstance(outcome, Image) or outcome.billing != "no":
            return _at(job, outcome)
        ledger.earlier = outcome.earlier
        return None
    why = entry.error
    if entry.standing == "ended":
        return failure_of(job, _ended_elsewhere(entry), ledger)
    if entry.image is not None:
        why = await missing_reason(endpoint.resources.files, past, entry.image)
        if not why:
            found = msgspec.structs.replace(entry.image, earlier=ledger.earlier)
            return _at(job, await upload_late(endpoint.resources.files, call, past, entry, found))
        if entry.image.url:
            downloads = endpoint.resources.downloads
            return _at(job, await fetch_known_links(downloads, call, past, entry))
    refusal = _still_open(entry) or _refusal(past, ledger.earlier, why)
    return None if refusal is None else failure_of(job, refusal, ledger)


async def claim_only(past: ResumeState, job: Job) -> None:
    """Claim a job's item, and leave it as it is: of equal jobs the next one gets another.

    Raises:
        ConfigError: A reference cannot be read any more.
        JournalError: The journal cannot be used.
    """
    references = await load_references(job.prompt)
    if past.shared is not None:
        past.shared.pass_over(await identity_of(past.account, job, references))
        return
    await _claim(past, job, references)


async def identity_of(account: str, job: Job, references: tuple[Reference, ...]) -> bytes:
    """What equal jobs of an account share.

    Raises:
        ConfigError: The job cannot be written, neither in a journal nor in a request.
    """
    digests = await _digests(references)
    try:
        return identity(job, account, digests)
    except (TypeError, ValueError, RecursionError) as exc:
        raise unwritable(exc) from None


async def references_of(past: ResumeState | None, job: Job) -> tuple[Reference, ...]:
    """The references of a job: as its prompt names them, or as they were submitted with it.

    Raises:
        ConfigError: They cannot be read. Nothing was sent.
        JournalError: The queue cannot say. Nothing was sent.
    """
    drawn = None if past is None else past.drawn.get(job.index)
    if drawn is None or past is None or past.queue is None or not drawn.request.digests:
        return await load_references(job.prompt)
    named = zip(job.prompt.references, drawn.request.digests, strict=True)
    return tuple(
        [
            reference_of(await past.queue.reference(bytes.fromhex(digest)), str(name))
            if digest
            else (await load_references(Prompt(text="-", references=(name,))))[0]
            for name, digest in named
        ]
    )


async def _claim(past: ResumeState, job: Job, references: tuple[Reference, ...]) -> JournalEntry:
    drawn = past.drawn.pop(job.index, None)
    if drawn is not None:
        return drawn.entry
    item = past.elsewhere.pop(job.index, None)
    if item is not None and past.shared is not None:
        return await past.shared.claim_again(item, job)
    wanted = await identity_of(past.account, job, references)
    try:
        return await past.journal.claim(job, wanted)
    except UnicodeEncodeError as exc:  # in the name of a reference's file
        raise unwritable(exc) from None


def _ended_elsewhere(entry: JournalEntry) -> ParkedError:
    return ParkedError(
        f"Not made: another process of this run tried it meanwhile ({entry.error.rstrip('.')}).",
        hint="The same call, made again, tries what was not billed once more.",
    )


def _still_open(entry: JournalEntry) -> ParkedError | None:
    """Why this call cannot fetch a job that the vendor works on; None if there is no such job."""
    handle = entry.handle
    if handle is None:
        return None
    if handle.kind == "batch":
        return ParkedError(
            f"Not sent again: it is in batch job {handle.id}, which has not finished.",
            hint='via="batch" (nbp batch fetch) fetches what it has made.',
        )
    return ParkedError(
        f"Not sent again: the vendor works on it, as task {handle.id}.",
        hint="Use the endpoint that it was sent to: its profile says how to poll a task.",
    )


def _at(job: Job, outcome: Outcome) -> Outcome:
    """The outcome at this job's index: the prompts may be in another order now."""
    return msgspec.structs.replace(outcome, index=job.index, prompt=job.prompt)


async def _digests(references: tuple[Reference, ...]) -> tuple[bytes, ...]:
    def digests() -> tuple[bytes, ...]:
        return tuple(hashlib.sha256(r.data or r.uri.encode()).digest() for r in references)

    if sum(len(reference.data) for reference in references) < _LARGE:
        return digests()
    return await anyio.to_thread.run_sync(digests)


def _refusal(past: ResumeState, earlier: tuple[Attempt, ...], why: str) -> ParkedError | None:
    """Why this job must not be sent again unasked, or None."""
    after = f" ({why.rstrip('.')})" if why else ""
    if any(a.billing == "maybe" for a in earlier) and not past.again.resend_ambiguous:
        return ParkedError(
            f"Not sent again: an earlier request for it may have been billed{after}.",
            remedy={"resend_ambiguous": True, "max_cost": None},
            hint="It may then be billed twice.",
        )
    if any(a.billing == "yes" for a in earlier) and not past.again.retry_failed:
        return ParkedError(
            f"Not sent again: an earlier request for it was billed{after}.",
            remedy={"retry_failed": True},
            hint="It is then billed once more.",
        )
    return None


async def _record_ended(
    leftovers: UnsettledFiles, journal: Journal, entry: JournalEntry, last: PendingAttempt
) -> None:
    """Record an item whose attempts have ended, and whose process ended just after: it had stored
    the image by then, if one was paid for.
    """
    ended = entry.attempts[-1]
    is_image = ended.billing == "yes" and not ended.error
    found = await leftovers.of(last) if is_image else None
    if found is None:
        why = ended.error or "its image is not there"
        error = InterruptedAttemptError(f"Its process ended before it was recorded: {why}.")
        await journal.finish(entry.item, failure_of_entry(entry, error, entry.attempts))
        return
    answer = Answer(request_id=ended.request_id)
    image = image_of_entry(entry, [(found, "")], entry.attempts, answer, None)
    await journal.finish(entry.item, image)


async def _settle_interrupted(
    leftovers: UnsettledFiles, journal: Journal, entry: JournalEntry
) -> None:
    """Settle an item that was out. Its image may be stored, if the process ended just after."""
    last = entry.pending[-1]
    found = await leftovers.of(last)
    for pending in entry.pending:
        journal.settle(entry.item, interrupted(pending, found is not None and pending is last))
    if found is None:
        error = InterruptedAttemptError("Its process ended while the request was out.")
        await journal.finish(entry.item, failure_of_entry(entry, error, all_attempts(entry)))
        return
    earlier = (*entry.attempts, *(interrupted(p, p is last) for p in entry.pending))
    image = image_of_entry(entry, [(found, "")], earlier, Answer(request_id=last.request_id), None)
    await journal.finish(entry.item, image)
