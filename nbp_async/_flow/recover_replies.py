"""Read kept replies again: their images become outcomes, and the journal follows.

    kept reply ──► dialect after dialect ──► images are safe ──► journal: paid, stored ──► deleted
                                       └──► still none: it stays as it is

Nothing is bought. Where a reply turns out to hold links, these are fetched, which costs nothing.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec

from nbp_async._base.errors import MalformedReplyError, NbpError
from nbp_async._dialects.base import Answer, Decoder
from nbp_async._dialects.image_text import with_full_links
from nbp_async._flow.call_state import CallState
from nbp_async._flow.kept_replies import KeptReply, ReplyShelf, reply_name
from nbp_async._flow.links_and_tasks import all_attempts, failure_of_entry, image_of_entry
from nbp_async._flow.resume import end
from nbp_async._flow.resume_state import ResumeState
from nbp_async._flow.storing import ReceivedImage, describe, store
from nbp_async._flow.unread_reply import KeptHead
from nbp_async._images.collector import Collector
from nbp_async._images.download import Downloader
from nbp_async._journal.base import Journal, JournalEntry
from nbp_async._models.outcomes import Attempt, Failure, Image, Outcome, Prompt, Timings
from nbp_async._transports.content_coding import ContentDecoder
from nbp_async._vendors.answer_cost import answer_cost

log = logging.getLogger("nbp_async")

Decoders = Callable[[KeptHead], Iterable[Decoder]]
"""The decoders to try on a reply, the likeliest first."""


@dataclass(slots=True, kw_only=True)
class ReplyRecovery:
    """Reads kept replies again, and stores what they have.

    Attributes:
        downloads: Fetches links.
        call: Where images go.
        shelf: Where the replies are.
        decoders: What reads them.
        deliver: Gets every outcome.
    """

    downloads: Downloader
    call: CallState
    shelf: ReplyShelf
    decoders: Decoders
    deliver: Callable[[Outcome], object]
    _done: set[str] = field(default_factory=set)

    async def of_run(self, past: ResumeState) -> None:
        """Those of a run with a journal: the named ones, and what is beside its images.

        Raises:
            JournalError: The journal cannot be used, or another process uses the run.
            StorageError: There is no place for images, or their store cannot be read.
        """
        (await self.call.sink.open()).discard()
        journal = await past.open_journal()
        try:
            listed = await self.shelf.listed()
            for entry in await journal.unsettled(failed=True):
                await self._recover(journal, past, entry, listed)
            alone = [place for place in listed if place not in self._done]
            if past.store is not None:  # runs may share it: ours are the strays of our batch jobs
                ours = tuple(f"unknown-{name}-" for name in await journal.batches())
                alone = [place for place in alone if reply_name(place).startswith(ours)]
            await self._read_alone(alone)
        finally:
            await end(self.call, past)

    async def alone(self, places: Sequence[str]) -> None:
        """Those that no journal knows.

        Raises:
            StorageError: There is no place for images.
        """
        (await self.call.sink.open()).discard()
        await self._read_alone(places)

    async def _recover(
        self, journal: Journal, past: ResumeState, entry: JournalEntry, listed: Sequence[str]
    ) -> None:
        """Read the replies of an item, the latest first, until one has its image."""
        stem, failure = past.file_stem(entry.index, entry.nonce), None
        for attempt in reversed(all_attempts(entry)):
            named = [attempt.unread] if attempt.unread else []
            start = f"{stem}-{attempt.number}-"
            found = [place for place in listed if reply_name(place).startswith(start)]
            for place in dict.fromkeys(named + found):
                reply = await self.shelf.open(place)
                if not _is_of(reply, entry, named=place in named):
                    continue
                self._done.add(place)
                outcome = await self._store(reply, journal, entry, attempt, stem)
                if isinstance(outcome, Image):
                    self.deliver(outcome)
                    return
                failure = failure or outcome
        if failure is not None:
            self.deliver(failure)

    async def _store(
        self, reply: KeptReply, journal: Journal, entry: JournalEntry, attempt: Attempt, stem: str
    ) -> Outcome:
        """Store the images of an item's reply, and record them; a failure changes nothing."""
        received: list[ReceivedImage] = []
        try:
            answer = await self._read(reply, stem, received)
        except NbpError as exc:
            exc.unread = reply.place
            return failure_of_entry(entry, exc, all_attempts(entry))
        paid = msgspec.structs.replace(
            attempt, billing="yes", cost=_cost(reply.head, answer, attempt), error="", unread=""
        )
        others = [one for one in all_attempts(entry) if one.number != paid.number]
        image = image_of_entry(entry, received, (*others, paid), answer, None)
        pending = {one.number for one in entry.pending}
        for one in (*others, paid):
            if one is paid or one.number in pending:
                journal.settle(entry.item, one)
        await journal.finish(entry.item, image)
        await self.shelf.delete(reply.place)
        return image

    async def _read_alone(self, places: Iterable[str]) -> None:
        for place in places:
            reply = await self.shelf.open(place)
            head, received = reply.head, list[ReceivedImage]()
            try:
                answer = await self._read(reply, _stem(head), received)
            except NbpError as exc:
                self.deliver(_failure_alone(reply, exc))
                continue
            image = _image_alone(head, answer, received)
            await self.shelf.delete(place)
            self.deliver(image)

    async def _read(self, reply: KeptReply, stem: str, received: list[ReceivedImage]) -> Answer:
        """Read a reply by one decoder after the other, until its images are stored.

        Raises:
            NbpError: None of them finds an image; what is wrong according to the first.
        """
        problem: NbpError | None = reply.problem
        for decoder in self.decoders(reply.head) if problem is None else ():
            collector = Collector(self.call.sink)
            try:
                answer = await _decode(self.shelf.body(reply), reply.head, decoder, collector)
                answer = with_full_links(answer, reply.head.url)
                await store(self.downloads, self.call, answer, collector, stem, received)
            except NbpError as exc:
                problem = problem or exc.with_traceback(None)
            else:
                return answer
            finally:
                collector.discard()
        raise problem or MalformedReplyError("No dialect is known for it.")


async def _decode(
    body: AsyncGenerator[bytes], head: KeptHead, decoder: Decoder, collector: Collector
) -> Answer:
    # What could not be inflated when it came may be now: a package is installed since.
    content = ContentDecoder(head.headers.get("content-encoding", ""), head.endpoint)
    async with aclosing(body):  # an error here would leave its file open
        async for data in body:
            await collector.take(decoder.feed(content.feed(data)))
            await asyncio.sleep(0)
    await collector.take(decoder.feed(content.close()))
    return decoder.close()


def _stem(head: KeptHead) -> str:
    return head.stem or f"{head.index:06d}"


def _failure_alone(reply: KeptReply, error: NbpError) -> Failure:
    error.unread = reply.place
    error.__traceback__ = error.__context__ = None
    head = reply.head
    paid = msgspec.structs.replace(_attempt(head, head.price), unread=reply.place)
    prompt = Prompt(head.prompt)
    return Failure(index=head.index, prompt=prompt, earlier=(paid,), error=error, billing="yes")


def _image_alone(head: KeptHead, answer: Answer, received: Sequence[ReceivedImage]) -> Image:
    paid = _attempt(head, head.price)
    return describe(
        received,
        answer,
        index=head.index,
        prompt=Prompt(head.prompt),
        pixels=None,
        expires=None,
        earlier=(msgspec.structs.replace(paid, cost=_cost(head, answer, paid)),),
    )


def _attempt(head: KeptHead, cost: Decimal) -> Attempt:
    return Attempt(head.number, "yes", cost, Timings(0.0, 0.0), status=head.status)


def _is_of(reply: KeptReply, entry: JournalEntry, *, named: bool) -> bool:
    """The reply is to this item: the journal says so, or its name and its prompt do.

    A process that was killed may have kept it and not recorded that.
    """
    return named or (reply.problem is None and reply.head.prompt == entry.prompt.text)


def _cost(head: KeptHead, answer: Answer, attempt: Attempt) -> Decimal:
    """What an attempt has cost: by its tokens, or as it was booked."""
    booked = attempt.cost if attempt.billing == "yes" else head.price
    images = max(1, len(answer.images or answer.links))
    cost = answer_cost(head.prices, answer.usage, price=booked, most=booked, images=images)
    if cost.note:
        log.warning("Image %d: %s.", head.index + 1, cost.note)
    return cost.dollars
