"""What is known of the lines of batch jobs: who they are, what they cost, how they ended."""

import asyncio
from decimal import Decimal

import msgspec

from nbp_async._dialects.base import Answer
from nbp_async._dialects.batch_lines import Line
from nbp_async._errors import (
    JournalError,
    MalformedReplyError,
    NbpError,
    NoImageError,
    StorageError,
    TaskOpenError,
)
from nbp_async._flow.answers import Brought, describe, store
from nbp_async._flow.books import Books, Page, worst
from nbp_async._flow.run import Past, Run
from nbp_async._flow.wiring import Wiring
from nbp_async._http import Billing, Usage
from nbp_async._images.collect import Collector
from nbp_async._journal.base import Entry, Journal, Pending
from nbp_async._models import ZERO, Attempt, Failure, Image, Job, Outcome, Prompt, Timings
from nbp_async._pacing.retry import Tries, judge
from nbp_async._profiles import endpoint_of


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """A batch job in the journal.

    Attributes:
        name: What we called it; nothing else in the world is called so.
        model: The model that is asked.
        state: "planned" before it is created, "creating" while it may be, "created", or "over".
        count: Its lines.
        id: What the vendor calls it, once that is known.
        file: The uploaded lines, once they are; "" where they went within its creation.
        made: When it was planned, in seconds since 1970.
        vendor: What the endpoint is called, as in the account that pays.
        endpoint: Name or address of the endpoint: who looks after it later asks there.
        store: The place in a store that its images go to; "" for the run's folder.
    """

    name: str
    model: str
    state: str
    count: int
    id: str = ""
    file: str = ""
    made: float = 0.0
    vendor: str = ""
    endpoint: str = ""
    store: str = ""


_record = msgspec.json.Decoder(Record)


def record_from(text: str) -> Record:
    return _record.decode(text)


def planned(name: str, model: str, count: int, wiring: Wiring, past: Past) -> Record:
    """A job of so many lines, with all that is needed to go on with it from another machine."""
    profile = wiring.profile
    return Record(
        name, model, "planned", count,
        made=wiring.wall_clock(),
        vendor=profile.name,
        endpoint=endpoint_of(profile),
        store="" if past.store is None else str(past.store),
    )  # fmt: skip


class Member:
    """One line of a job: the image that it is to bring.

    Attributes:
        key: What joins it with its answer.
        item: In the journal.
        place: Its index in this call's batch, once it was drawn; in the earlier one's before.
        job: What was drawn for it in this call, or None.
        books: Its account in this call, if this call sent it.
        page: Its place in the journal, once this call has claimed it.
    """

    __slots__ = (
        "_began", "books", "earlier", "item", "job", "key", "most", "number", "page", "pixels",
        "place",
        "price", "prompt", "stem",
    )  # fmt: skip

    def __init__(
        self, key: str, item: int, number: int, price: Decimal, most: Decimal, stem: str,
        place: int, prompt: Prompt, pixels: tuple[int, int] | None, earlier: tuple[Attempt, ...],
    ) -> None:  # fmt: skip
        self.key = key
        self.item = item
        self.number = number
        self.price = price
        self.most = most
        self.stem = stem
        self.place = place
        self.prompt = prompt
        self.pixels = pixels
        self.earlier = earlier
        self.job: Job | None = None
        self.books: Books | None = None
        self.page: Page | None = None
        self._began = asyncio.get_running_loop().time()

    @classmethod
    def drawn(cls, job: Job, books: Books) -> "Member":
        """A line that this call sends."""
        page = books.page
        assert page is not None, "a batch has a journal"
        key = f"{page.item}-{books.number}"
        member = cls(
            key, page.item, books.number, job.price, job.most, books.stem, job.index, job.prompt,
            job.canvas.pixels, books.earlier,
        )  # fmt: skip
        member.job, member.books, member.page = job, books, page
        return member

    @classmethod
    def found(cls, entry: Entry, pending: Pending, key: str) -> "Member":
        """A line that an earlier call sent."""
        return cls(
            key, entry.item, pending.number, pending.price, pending.most, pending.stem,
            entry.index, entry.prompt, entry.pixels, entry.attempts,
        )  # fmt: skip

    def attempt(self, billing: Billing, cost: Decimal, reduced: Decimal, error: str) -> Attempt:
        now = asyncio.get_running_loop().time()
        return Attempt(
            number=self.number,
            billing=billing,
            cost=cost,
            timings=Timings(self._began, now),
            error=error,
            reduced=reduced if billing == "yes" else ZERO,
        )

    def attempts(self, last: Attempt) -> tuple[tuple[Attempt, ...], tuple[Attempt, ...]]:
        """Those of this call and those of earlier ones, as an outcome has them."""
        if self.books is None:
            return (), (*self.earlier, last)
        return (*self.books.attempts, last), self.earlier

    def open(self, name: str) -> Failure:
        """It stays at the vendor: what this call says of it."""
        error = TaskOpenError(
            f"It is in batch job {name}, which is not over.",
            task=name,
            hint="The same call, made again, or nbp batch fetch brings what it has made.",
        )
        attempts, earlier = self.attempts(
            self.attempt("maybe", self.most, ZERO, f"{type(error).__name__}: {error}")
        )
        return self.failed(error, attempts, earlier)

    def failed(
        self, error: NbpError, attempts: tuple[Attempt, ...], earlier: tuple[Attempt, ...]
    ) -> Failure:
        error.__traceback__ = error.__context__ = None
        return Failure(
            index=self.place,
            prompt=self.prompt,
            attempts=attempts,
            earlier=earlier,
            error=error,
            billing=worst((*earlier, *attempts)),
        )


class Gathered:
    """The lines of a job that is not full yet.

    Attributes:
        address: Where they go.
        lines: As they are handed in.
        members: Who they are, by key.
        size: Bytes of all lines.
        dollars: What all of them may cost.
        model: The model that is asked.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.lines: list[bytes] = []
        self.members: dict[str, Member] = {}
        self.size = 0
        self.dollars = ZERO
        self.model = ""

    def add(self, member: Member, line: bytes) -> None:
        """One more line."""
        assert member.job is not None, "who gathers has drawn it"
        self.lines.append(line)
        self.members[member.key] = member
        self.size += len(line)
        self.dollars += member.most
        self.model = member.job.model


class Ledger:
    """Turns lines into outcomes: images made safe first, then written down, then told."""

    def __init__(self, wiring: Wiring, run: Run, journal: Journal) -> None:
        self._w = wiring
        self._run = run
        self._journal = journal
        self._prices = wiring.profile.prices.in_batch()
        self._share = wiring.profile.prices.batch

    async def take(self, member: Member, line: Line, collector: Collector) -> Outcome:
        """The line came: its outcome, in the journal.

        Raises:
            StorageError: The image cannot be kept here. It stays at the vendor, and in the job.
        """
        if line.answer is None:
            return await self.fail(member, line.error or MalformedReplyError("An empty line."))
        brought: list[Brought] = []
        try:
            await store(self._w, self._run.sink, line.answer, collector, member.stem, brought)
        except StorageError:
            if not brought:
                raise
        except NbpError as exc:
            if not brought:
                return await self.fail(member, exc, "yes", self._cost(member, line.answer.usage))
        cost = self._cost(member, line.answer.usage)
        attempt = self._note(member, "yes", cost, "", line.answer)
        attempts, earlier = member.attempts(attempt)
        image: Image = describe(
            brought, line.answer, index=member.place, prompt=member.prompt, pixels=member.pixels,
            expires=None, attempts=attempts, earlier=earlier,
        )  # fmt: skip
        self._w.totals.images += len(brought)
        await self._finish(member, image)
        return image

    async def fail(
        self, member: Member, error: NbpError, billing: Billing | None = None,
        cost: Decimal | None = None,
    ) -> Failure:  # fmt: skip
        """The line ended without an image."""
        if billing is None:
            billing = judge(
                error, retry=self._w.retry, profile=self._w.profile, tries=Tries(1),
                rng=self._w.rng,
            ).billing  # fmt: skip
        if cost is None:
            cost = member.most if billing == "maybe" else member.price
            if isinstance(error, NoImageError) and billing == "yes":
                cost = self._prices.cost_without_image(error.usage)
        self._run.heard(error)
        attempt = self._note(member, billing, cost, f"{type(error).__name__}: {error}")
        failure = member.failed(error, *member.attempts(attempt))
        await self._finish(member, failure)
        return failure

    def release(self, member: Member, why: str) -> None:
        """The line never was at the vendor: it costs nothing, and may be sent."""
        self._note(member, "no", ZERO, why)

    def _cost(self, member: Member, usage: Usage | None) -> Decimal:
        if usage is None or not usage.image_tokens or not self._prices.by_tokens:
            return member.price
        return self._prices.cost("", usage)

    def _note(
        self, member: Member, billing: Billing, cost: Decimal, error: str,
        answer: Answer | None = None,
    ) -> Attempt:  # fmt: skip
        reduced = cost / self._share - cost if self._share else ZERO
        attempt = member.attempt(billing, cost, reduced, error)
        self._journal.settle(member.item, attempt)
        if member.books is not None:
            self._w.totals.add(attempt)
            if self._run.cap is not None:
                self._run.cap.settle(member.most, ZERO if billing == "no" else cost)
        if self._w.listeners and member.job is not None:
            told = (answer.usage, answer.model) if answer is not None else (None, "")
            self._w.tell_ended(member.job, attempt, "batch", *told)
        return attempt

    async def _finish(self, member: Member, outcome: Outcome) -> None:
        try:
            await self._journal.finish(member.item, outcome)
        except JournalError as exc:
            self._run.stop(exc)  # the image is safe, and is told all the same
