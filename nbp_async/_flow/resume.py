"""What an earlier call on the same run left: done, waiting behind a link, or not to be sent again.

| an earlier call left | now |
| --- | --- |
| its image, and its file or object is there | it is the outcome; nothing is sent |
| a link to it | the link is fetched; nothing is sent |
| a task that the vendor goes on with | it is asked for; nothing is sent |
| a request that may have been billed | a failure that names it, unless `resend_ambiguous` |
| one that was billed and brought nothing, or whose file is gone | the same, unless `retry_failed` |
| only what was not billed, or nothing | it is sent |
"""

import asyncio
import hashlib

import anyio.to_thread
import msgspec

from nbp_async._dialects.base import Answer
from nbp_async._errors import (
    InterruptedAttemptError,
    JournalError,
    ParkedError,
)
from nbp_async._flow.books import Books, Page, failure_of, worst
from nbp_async._flow.found import Leftovers, what_is_wrong
from nbp_async._flow.rescue import (
    all_attempts,
    image_of_entry,
    interrupted,
    links_of,
    rescue_links,
    settle_linked,
    soonest_first,
)
from nbp_async._flow.run import Past, Run
from nbp_async._flow.wiring import Wiring
from nbp_async._images.references import load_references
from nbp_async._journal.base import Entry, Journal
from nbp_async._journal.identity import identity
from nbp_async._models import Attempt, Failure, Image, Job, Outcome, Reference

_LARGE = 256 * 1024  # bytes of references above which hashing would be felt by the event loop


async def begin(wiring: Wiring, run: Run, past: Past) -> list[Entry]:
    """Open the journal, and take in what its last process left.

    Returns:
        Those whose image waits behind a link, soonest to end first; and then those whose task is
        open at the vendor.

    Raises:
        JournalError: It cannot be opened, is another account's, or is being worked on by another
            process. Nothing was changed, and nothing sent.
        StorageError: The store cannot say what is in it. Nothing was sent.
    """
    journal = past.journal = await past.open()
    linked, tasks = [], []
    unsettled = await journal.unsettled()
    leftovers = Leftovers(wiring, past)
    for entry in unsettled:
        if links_of(entry):
            settle_linked(journal, entry)
            linked.append(entry)
        elif entry.handle is not None:
            if entry.handle.kind == "task" and run.desk is not None:
                tasks.append(entry)
        elif entry.pending:
            await _take_in(leftovers, journal, entry)
    period = wiring.window.spend.period if wiring.window is not None else 0.0
    account = await journal.account(period)
    if run.cap is not None:
        run.cap.spent += account.spent + account.maybe
    if wiring.window is not None:
        wiring.window.remember(account.recent, wiring.open_for())
    return soonest_first(linked) + tasks


async def end(run: Run, past: Past) -> None:
    """Write what is still to be written, and close the journal. Carried to its end."""
    if past.journal is None:
        return
    closing = asyncio.ensure_future(_close(run, past.journal))
    cancelled: BaseException | None = None
    while not closing.done():
        try:
            await asyncio.wait([closing])
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is not None:
        raise cancelled
    closing.result()


async def _close(run: Run, journal: Journal) -> None:
    try:
        try:
            for item, outcome in run.unfinished:
                await journal.finish(item, outcome)
        finally:
            await journal.aclose()
    except JournalError as exc:
        run.stop(exc)  # what was paid for is in the outcomes: they are still handed out


async def recall(
    wiring: Wiring, run: Run, past: Past, job: Job, references: tuple[Reference, ...]
) -> Outcome | Books:
    """What is known of a job: its outcome, or the books to go on with.

    Raises:
        JournalError: The journal cannot say. Nothing was sent.
        StorageError: The store of its image cannot say. Nothing was sent.
    """
    assert past.journal is not None, "the run has begun"
    entry = await _claim(past, past.journal, job, references)
    if run.via == "batch" and entry.handle is not None and entry.handle.kind == "batch":
        return Books(wiring, run, job, entry.attempts, Page(past.journal, entry))
    rescued = past.rescues.get(entry.item)
    if rescued is not None:
        outcome = await asyncio.shield(rescued)
        if isinstance(outcome, Image) or outcome.billing != "no":
            return _at(job, outcome)
        return Books(wiring, run, job, outcome.earlier, Page(past.journal, entry))
    books = Books(wiring, run, job, all_attempts(entry), Page(past.journal, entry))
    why = entry.error
    if entry.image is not None:
        why = await what_is_wrong(wiring, past, entry.image)
        if not why:
            found = msgspec.structs.replace(entry.image, earlier=books.earlier)
            return _at(job, found)
        if entry.image.url:
            return _at(job, await rescue_links(wiring.downloads, run, past, entry))
    refusal = _still_out(entry) or _refusal(past, books.earlier, why)
    return books if refusal is None else failure_of(job, refusal, books)


async def pass_over(past: Past, job: Job) -> None:
    """Claim a job's item and leave it as it is.

    Raises:
        ConfigError: A reference cannot be read any more.
        JournalError: The journal cannot be used.
    """
    assert past.journal is not None, "the run has begun"
    await _claim(past, past.journal, job, await load_references(job.prompt))


async def _claim(
    past: Past, journal: Journal, job: Job, references: tuple[Reference, ...]
) -> Entry:
    return await journal.claim(job, identity(job, past.account, await _digests(references)))


def _still_out(entry: Entry) -> ParkedError | None:
    """Why a job that the vendor goes on with cannot be asked for by this call, or None."""
    handle = entry.handle
    if handle is None:
        return None
    if handle.kind == "batch":
        return ParkedError(
            f"Not sent again: it is in batch job {handle.id}, which is not over.",
            hint='via="batch" (nbp batch fetch) brings what it has made.',
        )
    return ParkedError(
        f"Not sent again: the vendor goes on with it, as task {handle.id}.",
        hint="Call with the endpoint that took it on: its profile says how to ask for a task.",
    )


def _at(job: Job, outcome: Outcome) -> Outcome:
    """The outcome at this job's place: the prompts may have changed their order."""
    return msgspec.structs.replace(outcome, index=job.index, prompt=job.prompt)


async def _digests(references: tuple[Reference, ...]) -> tuple[bytes, ...]:
    def digests() -> tuple[bytes, ...]:
        return tuple(hashlib.sha256(r.data or r.uri.encode()).digest() for r in references)

    if sum(len(reference.data) for reference in references) < _LARGE:
        return digests()
    return await anyio.to_thread.run_sync(digests)


def _refusal(past: Past, earlier: tuple[Attempt, ...], why: str) -> ParkedError | None:
    """Why this job must not be sent again unasked, or None."""
    after = f" ({why.rstrip('.')})" if why else ""
    if any(a.billing == "maybe" for a in earlier) and not past.again.resend_ambiguous:
        return ParkedError(
            f"Not sent again: an earlier request for it may have been billed{after}.",
            hint="To pay for it once more: resend_ambiguous=True (nbp many --resend-ambiguous).",
        )
    if any(a.billing == "yes" for a in earlier) and not past.again.retry_failed:
        return ParkedError(
            f"Not sent again: an earlier request for it was billed{after}.",
            hint="To pay for it once more: retry_failed=True (nbp many --retry-failed).",
        )
    return None


async def _take_in(leftovers: Leftovers, journal: Journal, entry: Entry) -> None:
    """Settle an item that was out: its image may be there though nobody could say so."""
    last = entry.pending[-1]
    found = await leftovers.of(last)
    for pending in entry.pending:
        journal.settle(entry.item, interrupted(pending, found is not None and pending is last))
    if found is None:
        error = InterruptedAttemptError("Its process ended while the request was out.")
        earlier = all_attempts(entry)
        await journal.finish(
            entry.item,
            Failure(index=entry.index, prompt=entry.prompt, earlier=earlier, error=error,
                    billing=worst(earlier)),
        )  # fmt: skip
        return
    earlier = (*entry.attempts, *(interrupted(p, p is last) for p in entry.pending))
    image = image_of_entry(entry, [(found, "")], earlier, Answer(request_id=last.request_id), None)
    await journal.finish(entry.item, image)
