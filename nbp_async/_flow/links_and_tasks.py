"""Fetch what an earlier call paid for: links that were not fetched, tasks that are still open.

Nothing is bought here: only polls and downloads are sent.
"""

from collections.abc import Iterable

import msgspec

from nbp_async._base.errors import (
    JournalError,
    LinkExpiredError,
    NbpError,
    TaskOpenError,
)
from nbp_async._base.http import Billing
from nbp_async._base.task_handle import Handle
from nbp_async._dialects.base import Answer
from nbp_async._flow.call_state import CallState
from nbp_async._flow.endpoint import Endpoint
from nbp_async._flow.exchange import Exchange
from nbp_async._flow.ledger import worst_billing
from nbp_async._flow.resume_state import ResumeState
from nbp_async._flow.storing import ReceivedImage, describe, follow, kept_links, store
from nbp_async._flow.task_client import PendingTask, TaskClient
from nbp_async._flow.unread_reply import ReplyOrigin, keep_unread
from nbp_async._images.download import Downloader
from nbp_async._journal.base import Journal, JournalEntry, PendingAttempt
from nbp_async._models.outcomes import Attempt, Failure, Image, Outcome, Timings
from nbp_async._pacing.retry import AttemptHistory, judge


async def recover(
    endpoint: Endpoint, call: CallState, past: ResumeState, entry: JournalEntry
) -> Outcome:
    """Fetch what an earlier call paid for. Nothing is bought."""
    if entry.handle is not None and past.tasks is not None and not links_of(entry):
        return await _resume_task(endpoint, call, past, entry, past.tasks, entry.handle)
    return await fetch_known_links(endpoint.resources.downloads, call, past, entry)


async def fetch_known_links(
    downloads: Downloader, call: CallState, past: ResumeState, entry: JournalEntry
) -> Outcome:
    """Fetch an image that is paid for and still behind links. The vendor's API is not asked.

    In a call that keeps links they are its outcome, and nothing is asked at all.
    """
    if call.keeps_links and entry.image is not None and entry.image.links:
        return msgspec.structs.replace(entry.image, earlier=all_attempts(entry))
    links, expires = links_of(entry), expiry_of(entry)
    earlier, stem = all_attempts(entry), past.file_stem(entry.index, entry.nonce)
    received: list[ReceivedImage] = []
    try:
        if call.keeps_links:
            received += kept_links(links)
        else:
            with call.without_slot():
                await follow(downloads, call.sink, links, stem, received)
    except NbpError as exc:
        call.record_error(exc)
        outcome: Outcome = failure_of_entry(entry, exc, earlier)
        if not isinstance(exc, LinkExpiredError):
            outcome = msgspec.structs.replace(outcome, links=links, link_expires=expires)
    else:
        outcome = image_of_entry(entry, received, earlier, Answer(links=links), expires)
    await _finish(call, past, entry, outcome)
    return outcome


async def _resume_task(
    endpoint: Endpoint,
    call: CallState,
    past: ResumeState,
    entry: JournalEntry,
    tasks: TaskClient,
    handle: Handle,
) -> Outcome:
    """Poll a task that an earlier call submitted, until it is done."""
    origin = _origin(entry, past.file_stem(entry.index, entry.nonce), handle)
    task = _task_of(entry, handle, origin)
    received: list[ReceivedImage] = []
    exchange: Exchange | None = None
    try:
        exchange = await tasks.result(task, call.sink)
        answer = await _store_result(endpoint, call, exchange, origin, received)
    except TaskOpenError as exc:
        return failure_of_entry(entry, exc, all_attempts(entry))
    except NbpError as exc:
        call.record_error(exc)
        verdict = judge(
            exc,
            retry=endpoint.resources.retry,
            profile=endpoint.profile,
            history=AttemptHistory(1),
            rng=endpoint.resources.rng,
            model=entry.model,
        )
        earlier = _settle(entry, past.journal, verdict.billing, exc)
        outcome: Outcome = failure_of_entry(entry, exc, earlier)
    else:
        earlier = _settle(entry, past.journal, "yes")
        expires = endpoint.link_expiry(answer.links)
        outcome = image_of_entry(entry, received, earlier, answer, expires)
    finally:
        if exchange is not None:
            exchange.discard()
    await _finish(call, past, entry, outcome)
    return outcome


async def _store_result(
    endpoint: Endpoint,
    call: CallState,
    exchange: Exchange,
    origin: ReplyOrigin,
    received: list[ReceivedImage],
) -> Answer:
    """Store the images of a task's result; one that is no use so far is kept."""
    answer = exchange.answer
    assert answer is not None, "an exchange without an error has one"
    try:
        downloads, collector = endpoint.resources.downloads, exchange.collector
        await store(downloads, call, answer, collector, origin.stem, received)
    except NbpError as exc:
        await keep_unread(exchange, exc, endpoint, origin)
        raise
    return answer


def _task_of(entry: JournalEntry, handle: Handle, origin: ReplyOrigin) -> PendingTask:
    tier = entry.prompt.size or ""
    return PendingTask(handle=handle, model=entry.model, tier=tier, resumed=True, origin=origin)


def _origin(entry: JournalEntry, stem: str, handle: Handle) -> ReplyOrigin:
    last = entry.pending[-1]
    return ReplyOrigin(
        index=entry.index,
        number=last.number,
        prompt=entry.prompt.text,
        model=entry.model,
        price=last.price,
        stem=stem,
        handle=handle,
    )


async def _finish(
    call: CallState, past: ResumeState, entry: JournalEntry, outcome: Outcome
) -> None:
    try:
        await past.journal.finish(entry.item, outcome)
    except JournalError as exc:
        call.stop(exc)  # what came is safe, and handed out all the same


def links_of(entry: JournalEntry) -> tuple[str, ...]:
    """Links to the image that was paid for, if its bytes are not here."""
    if entry.links:
        return entry.links
    if entry.image is not None:
        return (entry.image.url,) if entry.image.url else ()
    return next((pending.links for pending in entry.pending if pending.links), ())


def expiry_of(entry: JournalEntry) -> float | None:
    if entry.links:
        return entry.link_expires
    if entry.image is not None:
        return entry.image.url_expires
    return next((p.link_expires for p in entry.pending if p.links), None)


def soonest_first(entries: Iterable[JournalEntry]) -> list[JournalEntry]:
    """In the order in which their links expire; those without a known date come last."""
    return sorted(entries, key=lambda entry: (expiry_of(entry) is None, expiry_of(entry) or 0.0))


def settle_linked(journal: Journal, entry: JournalEntry) -> None:
    """Record how its unsettled attempts ended: the one with links is paid, others may be."""
    for pending in entry.pending:
        journal.settle(entry.item, interrupted(pending, bool(pending.links)))


def all_attempts(entry: JournalEntry) -> tuple[Attempt, ...]:
    """All attempts of the item; those that were out when a process ended may be billed."""
    return (*entry.attempts, *(interrupted(p, bool(p.links)) for p in entry.pending))


def interrupted(pending: PendingAttempt, paid: bool) -> Attempt:
    """An attempt that was out when its process ended."""
    return Attempt(
        number=pending.number,
        billing="yes" if paid else "maybe",
        cost=pending.price if paid else pending.most,
        timings=Timings(0.0, 0.0),
        request_id=pending.request_id,
        error="" if paid else "InterruptedAttemptError: its process ended while it was out.",
        account=pending.account,
    )


def image_of_entry(
    entry: JournalEntry,
    received: list[ReceivedImage],
    earlier: tuple[Attempt, ...],
    answer: Answer,
    expires: float | None,
) -> Image:
    return describe(
        received,
        answer,
        index=entry.index,
        prompt=entry.prompt,
        pixels=entry.pixels,
        expires=expires,
        earlier=earlier,
    )


def failure_of_entry(entry: JournalEntry, error: NbpError, earlier: tuple[Attempt, ...]) -> Failure:
    error.__traceback__ = error.__context__ = None
    return Failure(
        index=entry.index,
        prompt=entry.prompt,
        earlier=earlier,
        error=error,
        billing=worst_billing(earlier),
    )


def _settle(
    entry: JournalEntry, journal: Journal, billing: Billing, error: NbpError | None = None
) -> tuple[Attempt, ...]:
    """Record how the attempt that was out has ended; gives all attempts of the item."""
    settled = list(entry.attempts)
    for pending in entry.pending:
        attempt = interrupted(pending, billing == "yes")
        if error is not None:
            attempt = msgspec.structs.replace(
                attempt,
                billing=billing,
                cost=pending.most if billing == "maybe" else pending.price,
                error=f"{type(error).__name__}: {error}",
                unread=error.unread,
            )
        journal.settle(entry.item, attempt)
        settled.append(attempt)
    return tuple(settled)
