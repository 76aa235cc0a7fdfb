"""The lines of batch jobs: which images they bring, what they cost, and how they ended."""

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec

from nbp_async._base.errors import (
    AuthError,
    JournalError,
    MalformedReplyError,
    NbpError,
    NoImageError,
    QuotaError,
    StorageError,
    TaskOpenError,
)
from nbp_async._base.http import Billing
from nbp_async._base.task_handle import Handle
from nbp_async._batch_api.result_lines import ResultLine
from nbp_async._dialects.base import Answer
from nbp_async._flow.call_state import CallState
from nbp_async._flow.endpoint import Endpoint
from nbp_async._flow.exchange import Exchange
from nbp_async._flow.ledger import (
    JournalRecord,
    Ledger,
    describe_end,
    image_name,
    warn_of_cost,
    worst_billing,
)
from nbp_async._flow.resume_state import ResumeState
from nbp_async._flow.storing import ReceivedImage, describe, store
from nbp_async._flow.unread_reply import ReplyOrigin, keep_unread
from nbp_async._journal.base import Journal, JournalEntry, PendingAttempt
from nbp_async._models.events import AttemptEnded
from nbp_async._models.outcomes import ZERO, Attempt, Failure, Job, Outcome, Prompt, Timings
from nbp_async._pacing.retry import AttemptHistory, judge
from nbp_async._vendors.answer_cost import AnswerCost, answer_cost, cost_without_image
from nbp_async._vendors.profiles import endpoint_of


class JobRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A batch job in the journal.

    Attributes:
        name: Our name for it, which is unique.
        model: The model that is requested.
        state: "planned" before it is created, "creating" while it may be, "created", or "over".
        count: How many lines it has.
        id: The vendor's name for it, once that is known.
        file: The uploaded file; "" if its lines were sent within its creation.
        made: When it was planned, in seconds since 1970.
        vendor: Name of the endpoint, as in the account that pays.
        endpoint: Name or address of the endpoint, for whoever fetches its results later.
        store: Where in a store its images go; "" for the run's folder.
        keys: Of its lines, in their order.
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
    keys: tuple[str, ...] = ()


_record = msgspec.json.Decoder(JobRecord)


def record_from(text: str) -> JobRecord:
    return _record.decode(text)


def planned(name: str, request: "BatchRequest", endpoint: Endpoint, past: ResumeState) -> JobRecord:
    """The record of a new job, with all that another machine needs to go on with it."""
    return JobRecord(
        name,
        request.model,
        "planned",
        len(request.by_key),
        made=endpoint.resources.wall_clock(),
        vendor=endpoint.profile.name,
        endpoint=endpoint_of(endpoint.profile),
        store="" if past.store is None else str(past.store),
        keys=tuple(request.by_key),
    )


@dataclass(slots=True, kw_only=True, eq=False)
class BatchItem:
    """One line of a job, and the image that it is to bring.

    Attributes:
        key: Joins it with its result.
        item: Number of its item in the journal.
        number: Of its attempt, over all calls of the run.
        price, most: US dollars that it should cost, and may cost.
        file_stem: What the names of its files begin with.
        index: In this call's batch, once it was drawn; in the earlier one's before.
        prompt, pixels: What was requested.
        earlier: Its attempts before this one.
        job: What was drawn for it in this call, or None.
        ledger: Its account in this call, if this call sent it.
        in_journal: Its item in the journal, once this call has claimed it.
        began: When this call began with it, on the loop's clock.
    """

    key: str
    item: int
    number: int
    price: Decimal
    most: Decimal
    file_stem: str
    index: int
    prompt: Prompt
    pixels: tuple[int, int] | None
    earlier: tuple[Attempt, ...]
    job: Job | None = None
    ledger: Ledger | None = None
    in_journal: JournalRecord | None = None
    began: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    @classmethod
    def drawn(cls, job: Job, ledger: Ledger) -> "BatchItem":
        """A line that this call sends."""
        record = ledger.in_journal
        assert record is not None, "a batch has a journal"
        return cls(
            key=f"{record.item}-{ledger.number}",
            item=record.item,
            number=ledger.number,
            price=job.price,
            most=job.most,
            file_stem=ledger.file_stem,
            index=job.index,
            prompt=job.prompt,
            pixels=job.canvas.pixels,
            earlier=ledger.earlier,
            job=job,
            ledger=ledger,
            in_journal=record,
        )

    @classmethod
    def found(cls, entry: JournalEntry, pending: PendingAttempt, key: str) -> "BatchItem":
        """A line that an earlier call sent."""
        return cls(
            key=key,
            item=entry.item,
            number=pending.number,
            price=pending.price,
            most=pending.most,
            file_stem=pending.stem,
            index=entry.index,
            prompt=entry.prompt,
            pixels=entry.pixels,
            earlier=entry.attempts,
        )

    def adopt(self, job: Job, in_journal: JournalRecord | None) -> None:
        """This call has the same job: it gets the outcome of this line."""
        self.job, self.index, self.prompt = job, job.index, job.prompt
        self.in_journal = in_journal

    def origin(self, job: JobRecord) -> ReplyOrigin:
        """What a result of it answers."""
        return ReplyOrigin(
            index=self.index,
            number=self.number,
            prompt=self.prompt.text,
            model=job.model,
            price=self.price,
            stem=self.file_stem,
            handle=Handle("batch", job.name, key=self.key),
        )

    def attempt(
        self,
        billing: Billing,
        cost: Decimal,
        reduced: Decimal,
        error: NbpError | None = None,
    ) -> Attempt:
        return Attempt(
            number=self.number,
            billing=billing,
            cost=cost,
            timings=Timings(self.began, asyncio.get_running_loop().time()),
            error=describe_end(error),
            reduced=reduced if billing == "yes" else ZERO,
            unread="" if error is None else error.unread,
        )

    def attempts(self, last: Attempt) -> tuple[tuple[Attempt, ...], tuple[Attempt, ...]]:
        """Those of this call and those of earlier ones, as an outcome has them."""
        if self.ledger is None:
            return (), (*self.earlier, last)
        return (*self.ledger.attempts, last), self.earlier

    def open(self, name: str) -> Failure:
        """The outcome of a line that stays at the vendor when this call ends."""
        error = TaskOpenError(
            f"It is in batch job {name}, which has not finished.",
            task=name,
            hint="Make the same call again, or use nbp batch fetch, to fetch what it has made.",
        )
        return self.failed(error, self.attempt("maybe", self.most, ZERO, error))

    def failed(self, error: NbpError, last: Attempt) -> Failure:
        """Its outcome without an image."""
        error.__traceback__ = error.__context__ = None
        attempts, earlier = self.attempts(last)
        return Failure(
            index=self.index,
            prompt=self.prompt,
            attempts=attempts,
            earlier=earlier,
            error=error,
            billing=worst_billing((*earlier, *attempts)),
        )


class BatchRequest:
    """The lines of a job that is not full yet.

    Attributes:
        address: Where they go.
        lines: As they are submitted.
        by_key: What they are to bring.
        size: Bytes of all lines.
        dollars: What all of them may cost.
        model: The model that is requested.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.lines: list[bytes] = []
        self.by_key: dict[str, BatchItem] = {}
        self.size = 0
        self.dollars = ZERO
        self.model = ""

    def add(self, item: BatchItem, line: bytes) -> None:
        """One more line."""
        assert item.job is not None, "it was drawn in this call"
        self.lines.append(line)
        self.by_key[item.key] = item
        self.size += len(line)
        self.dollars += item.most
        self.model = item.job.model


class BatchLedger:
    """Turns lines into outcomes: images made safe first, then written down, then handed out."""

    def __init__(
        self, endpoint: Endpoint, call: CallState, journal: Journal, job: JobRecord
    ) -> None:
        self._endpoint = endpoint
        self._call = call
        self._journal = journal
        self._job = job
        prices = endpoint.profile.prices_for(job.model)
        self._prices = None if prices is None else prices.in_tier("batch")
        self._share = None if prices is None else prices.tiers.get("batch")

    async def take(
        self, item: BatchItem, line: ResultLine, exchange: Exchange, note: str = ""
    ) -> Outcome:
        """The line came: its outcome, in the journal. `note` is added to its image's.

        Raises:
            StorageError: The image cannot be kept here. It stays at the vendor, and in the job.
        """
        answer = line.answer
        if answer is None:
            error = line.error or MalformedReplyError("An empty line.")
            return await self._unread(item, exchange, error)
        resources = self._endpoint.resources
        cost, cost_note = self._cost(item, answer)
        received: list[ReceivedImage] = []
        images, stem = exchange.collector, item.file_stem
        try:
            await store(resources.downloads, self._call, answer, images, stem, received)
        except StorageError:
            if not received:
                raise
        except NbpError as exc:
            if not received:
                return await self._unread(item, exchange, exc, "yes", cost)
        attempts, earlier = item.attempts(self._record(item, "yes", cost, answer=answer))
        notes = (*answer.notes, *filter(None, (note, cost_note)))
        image = describe(
            received,
            msgspec.structs.replace(answer, notes=notes),
            index=item.index,
            prompt=item.prompt,
            pixels=item.pixels,
            expires=self._endpoint.link_expiry(answer.links),
            attempts=attempts,
            earlier=earlier,
        )
        resources.totals.images += len(received)
        self._call.record_error(self._call.sink.error)
        await self._finish(item, image)
        return image

    async def _unread(
        self,
        item: BatchItem,
        exchange: Exchange,
        error: NbpError,
        billing: Billing | None = None,
        cost: Decimal | None = None,
    ) -> Failure:
        """The line came without an image: keep it if it cannot be read."""
        await keep_unread(exchange, error, self._endpoint, item.origin(self._job))
        return await self.fail(item, error, billing, cost)

    async def fail(
        self,
        item: BatchItem,
        error: NbpError,
        billing: Billing | None = None,
        cost: Decimal | None = None,
        *,
        of_job: bool = False,
    ) -> Failure:
        """The line ended without an image; `of_job`: as all of its job did, which counts once."""
        if billing is None:
            resources = self._endpoint.resources
            billing = judge(
                error,
                retry=resources.retry,
                profile=self._endpoint.profile,
                history=AttemptHistory(1),
                rng=resources.rng,
                model=self._job.model,
            ).billing
        if cost is None:
            cost = self._cost_of_failure(item, error, billing)
        # A refused key, or a used-up balance, is no accident of one job: the others are not sent.
        if not of_job or isinstance(error, AuthError | QuotaError):
            self._call.record_error(error)
        attempt = self._record(item, billing, cost, error)
        failure = item.failed(error, attempt)
        await self._finish(item, failure)
        return failure

    def _cost_of_failure(self, item: BatchItem, error: NbpError, billing: Billing) -> Decimal:
        if isinstance(error, NoImageError) and billing == "yes":
            prices, usage = self._prices, error.usage
            return cost_without_image(prices, usage, price=item.price, most=item.most).dollars
        return item.most if billing == "maybe" else item.price

    def _cost(self, item: BatchItem, answer: Answer) -> AnswerCost:
        images = max(1, len(answer.images or answer.links))
        return answer_cost(
            self._prices, answer.usage, price=item.price, most=item.most, images=images
        )

    def _record(
        self,
        item: BatchItem,
        billing: Billing,
        cost: Decimal,
        error: NbpError | None = None,
        answer: Answer | None = None,
    ) -> Attempt:
        reduced = cost / self._share - cost if self._share else ZERO
        attempt = item.attempt(billing, cost, reduced, error)
        self._journal.settle(item.item, attempt)
        warn_of_cost(image_name(item.index, item.prompt), attempt)
        if item.ledger is not None:
            self._endpoint.resources.totals.add(attempt)
            if billing == "yes" and answer is not None:
                item.ledger.learn(cost)
            item.ledger.settle_cap(ZERO if billing == "no" else cost)
        if self._call.listeners and item.job is not None:
            profile = self._endpoint.profile
            usage, model = (answer.usage, answer.model) if answer is not None else (None, "")
            event = AttemptEnded(
                item.job, attempt, profile.name, profile.base_url, "batch", usage, model
            )
            self._call.listeners.notify("on_attempt", event)
        return attempt

    async def _finish(self, item: BatchItem, outcome: Outcome) -> None:
        try:
            await self._journal.finish(item.item, outcome)
        except JournalError as exc:
            self._call.stop(exc)  # the image is safe, and is handed out all the same
