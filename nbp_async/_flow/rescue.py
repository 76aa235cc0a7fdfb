"""Bring what an earlier call paid for: links that were not fetched, tasks that are still open.

Nothing is bought here, and nothing is sent but looks and downloads.
"""

from collections.abc import Iterable

import msgspec

from nbp_async._dialects.base import Answer
from nbp_async._errors import (
    JournalError,
    LinkExpiredError,
    NbpError,
    TaskOpenError,
)
from nbp_async._flow.answers import Brought, describe, follow, store
from nbp_async._flow.books import worst
from nbp_async._flow.run import Past, Run
from nbp_async._flow.tasks import Asked
from nbp_async._flow.wiring import Wiring
from nbp_async._handle import Handle
from nbp_async._http import Billing
from nbp_async._images.download import Downloader
from nbp_async._journal.base import Entry, Journal, Pending
from nbp_async._models import Attempt, Failure, Image, Outcome, Timings
from nbp_async._pacing.retry import Tries, judge


async def rescue(wiring: Wiring, run: Run, past: Past, entry: Entry) -> Outcome:
    """Bring what an earlier call paid for. Nothing is bought."""
    if entry.handle is not None and not links_of(entry):
        return await _rescue_task(wiring, run, past, entry, entry.handle)
    return await rescue_links(wiring.downloads, run, past, entry)


async def rescue_links(downloads: Downloader, run: Run, past: Past, entry: Entry) -> Outcome:
    """Fetch the image that was paid for and is only a link yet. Nothing is sent to the vendor."""
    assert past.journal is not None, "the run has begun"
    links, expires = links_of(entry), expiry_of(entry)
    earlier = all_attempts(entry)
    brought: list[Brought] = []
    try:
        with run.stand_aside():
            await follow(downloads, run.sink, links, past.stem(entry.index, entry.nonce), brought)
    except NbpError as exc:
        run.heard(exc)
        lost = isinstance(exc, LinkExpiredError)
        outcome: Outcome = Failure(
            index=entry.index,
            prompt=entry.prompt,
            earlier=earlier,
            error=exc,
            billing=worst(earlier),
            links=() if lost else links,
            link_expires=None if lost else expires,
        )
    else:
        outcome = image_of_entry(entry, brought, earlier, Answer(links=links), expires)
    try:
        await past.journal.finish(entry.item, outcome)
    except JournalError as exc:
        run.stop(exc)
    return outcome


async def _rescue_task(
    wiring: Wiring, run: Run, past: Past, entry: Entry, handle: Handle
) -> Outcome:
    """Ask for a task that an earlier call submitted, until it is done."""
    assert past.journal is not None and run.desk is not None, "the run has begun"
    size = entry.prompt.size or ""
    asked = Asked(handle=handle, model=entry.model, tier=size, resumed=True)
    brought: list[Brought] = []
    collector = None
    try:
        answer, collector = await run.desk.result(wiring, asked, run.sink)
        await store(
            wiring, run.sink, answer, collector, past.stem(entry.index, entry.nonce), brought
        )
    except TaskOpenError as exc:
        return _failed(entry, exc, all_attempts(entry))
    except NbpError as exc:
        run.heard(exc)
        verdict = judge(
            exc, retry=wiring.retry, profile=wiring.profile, tries=Tries(1), rng=wiring.rng
        )
        outcome: Outcome = _failed(entry, exc, _settle(entry, past.journal, verdict.billing, exc))
    else:
        earlier = _settle(entry, past.journal, "yes")
        outcome = image_of_entry(entry, brought, earlier, answer, _expiry(wiring))
    finally:
        if collector is not None:
            collector.discard()
    try:
        await past.journal.finish(entry.item, outcome)
    except JournalError as exc:
        run.stop(exc)
    return outcome


def links_of(entry: Entry) -> tuple[str, ...]:
    """Links to the image that was paid for, if its bytes are not here."""
    if entry.links:
        return entry.links
    if entry.image is not None:
        return (entry.image.url,) if entry.image.url else ()
    return next((pending.links for pending in entry.pending if pending.links), ())


def expiry_of(entry: Entry) -> float | None:
    if entry.links:
        return entry.link_expires
    if entry.image is not None:
        return entry.image.url_expires
    return next((p.link_expires for p in entry.pending if p.links), None)


def soonest_first(entries: Iterable[Entry]) -> list[Entry]:
    """In the order in which their links end; those of which nobody knows come last."""
    return sorted(entries, key=lambda entry: (expiry_of(entry) is None, expiry_of(entry) or 0.0))


def settle_linked(journal: Journal, entry: Entry) -> None:
    """Write down how its attempts ended that no process told of: the one with links is paid."""
    for pending in entry.pending:
        journal.settle(entry.item, interrupted(pending, bool(pending.links)))


def all_attempts(entry: Entry) -> tuple[Attempt, ...]:
    """All attempts of the item; what was out when its process ended may have been billed."""
    return (*entry.attempts, *(interrupted(p, bool(p.links)) for p in entry.pending))


def interrupted(pending: Pending, paid: bool) -> Attempt:
    return Attempt(
        number=pending.number,
        billing="yes" if paid else "maybe",
        cost=pending.price if paid else pending.most,
        timings=Timings(0.0, 0.0),
        request_id=pending.request_id,
        error="" if paid else "InterruptedAttemptError: its process ended while it was out.",
    )


def image_of_entry(
    entry: Entry,
    brought: list[Brought],
    earlier: tuple[Attempt, ...],
    answer: Answer,
    expires: float | None,
) -> Image:
    return describe(
        brought,
        answer,
        index=entry.index,
        prompt=entry.prompt,
        pixels=entry.pixels,
        expires=expires,
        earlier=earlier,
    )


def _failed(entry: Entry, error: NbpError, earlier: tuple[Attempt, ...]) -> Failure:
    error.__traceback__ = error.__context__ = None
    return Failure(
        index=entry.index, prompt=entry.prompt, earlier=earlier, error=error, billing=worst(earlier)
    )


def _settle(
    entry: Entry, journal: Journal, billing: Billing, error: NbpError | None = None
) -> tuple[Attempt, ...]:
    """Write down how the attempt ended that was out; all attempts of the item."""
    settled = list(entry.attempts)
    for pending in entry.pending:
        attempt = interrupted(pending, billing == "yes")
        if billing != "yes":
            cost = pending.most if billing == "maybe" else pending.price
            words = "" if error is None else f"{type(error).__name__}: {error}"
            attempt = msgspec.structs.replace(attempt, billing=billing, cost=cost, error=words)
        journal.settle(entry.item, attempt)
        settled.append(attempt)
    return tuple(settled)


def _expiry(wiring: Wiring) -> float | None:
    lifetime = wiring.profile.link_lifetime
    return None if lifetime is None else wiring.wall_clock() + lifetime
