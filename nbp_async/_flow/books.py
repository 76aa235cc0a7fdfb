"""What one job's attempts cost: reserved before, written down after. Nothing else moves dollars."""

import secrets
from decimal import Decimal

from nbp_async._errors import (
    BudgetError,
    CancelledAttemptError,
    JournalError,
    NbpError,
    NoImageError,
    StoppedError,
    TaskOpenError,
)
from nbp_async._flow.attempt import Try
from nbp_async._flow.run import Run
from nbp_async._flow.wiring import Wiring
from nbp_async._handle import Handle
from nbp_async._http import Billing, Usage
from nbp_async._journal.base import Entry, Journal
from nbp_async._models import ZERO, Attempt, Failure, Job

_WORST: dict[Billing, int] = {"no": 0, "maybe": 1, "yes": 2}


class Page:
    """A job's place in the journal of its run; `out` is what the vendor has of it already."""

    __slots__ = ("armed", "item", "journal", "nonce", "out")

    def __init__(self, journal: Journal, entry: Entry) -> None:
        self.journal = journal
        self.item = entry.item
        self.nonce = entry.nonce
        self.armed = False
        self.out = entry.handle


class Books:
    """The account of one job in this call.

    Attributes:
        attempts: What was sent for it, with what it cost.
        earlier: What earlier calls of the same run had sent for it.
        page: Its place in the journal, or None.
    """

    __slots__ = ("_job", "_run", "_w", "attempts", "earlier", "page")

    def __init__(
        self,
        wiring: Wiring,
        run: Run,
        job: Job,
        earlier: tuple[Attempt, ...] = (),
        page: Page | None = None,
    ) -> None:
        self._w = wiring
        self._run = run
        self._job = job
        self.attempts: list[Attempt] = []
        self.earlier = earlier
        self.page = page

    def of(self, job: Job) -> "Books":
        """The same account, for a job that has another price by now."""
        books = Books(self._w, self._run, job, self.earlier, self.page)
        books.attempts = self.attempts
        return books

    @property
    def number(self) -> int:
        """The next attempt's, from 1, over all calls of the run."""
        tried = self.attempts or self.earlier
        return tried[-1].number + 1 if tried else 1

    @property
    def nonce(self) -> str:
        """What an endpoint that knows idempotency keys knows this job by: the same in every run."""
        return self.page.nonce if self.page is not None else secrets.token_hex(16)

    @property
    def stem(self) -> str:
        """What the names of its image's files begin with."""
        past, page = self._run.past, self.page
        if past is None or page is None:
            return stem_of(self._job)
        return past.stem(self._job.index, page.nonce)

    async def reserve(self) -> NbpError | None:
        """Set the price of an attempt aside, or say why nothing may be sent."""
        cap, most, run = self._run.cap, self._job.most, self._run
        stopped = run.stop_error()
        if stopped is not None or cap is None or cap.reserve_nowait(most):
            return stopped
        try:
            if await run.wait(lambda: cap.reserve(most)):
                return None
        except StoppedError as exc:
            return exc
        return BudgetError(
            f"Not sent: it may cost ${most.normalize():f}, and of max_cost=${cap.limit} only "
            f"${max(ZERO, cap.left).normalize():f} are left.",
            hint="What may have been billed counts as well. A higher max_cost lets it go on.",
        )

    def release(self) -> None:
        """Nothing was sent after all."""
        if self._run.cap is not None:
            self._run.cap.settle(self._job.most, ZERO)

    def not_sent(self, attempt: Try) -> None:
        """The caller left before the request did."""
        if self.page is not None and self.page.armed:
            self.note(attempt, "no", ZERO, error=CancelledAttemptError("Cancelled before it left."))
        else:
            self.release()

    async def arm(self) -> None:
        """Write down that a request may be out from now on.

        Raises:
            JournalError: It cannot be written down, and so must not be sent.
            StorageError: There is no room left for its image.
        """
        page, job = self.page, self._job
        if self._run.room is not None:
            await self._run.room.check(self._w.slots.in_use, job.canvas.tier)
        if page is not None:
            page.armed = True
            await page.journal.arm(page.item, self.number, job.price, job.most, self.stem)

    async def answered(self, links: tuple[str, ...], expires: float | None, reply: str) -> None:
        """Write down that it is paid and behind these links, before they are fetched."""
        page = self.page
        if page is not None:
            try:
                await page.journal.answered(page.item, self.number, links, expires, reply)
            except JournalError as exc:
                self._run.stop(exc)  # the image can still be fetched

    async def submitted(self, handle: Handle, reply: str) -> None:
        """Write down what the vendor took it on as, before anything is waited for."""
        page = self.page
        if page is not None:
            try:
                await page.journal.submitted(page.item, self.number, handle, reply)
            except JournalError as exc:
                self._run.stop(exc)  # the task can still be waited for

    def note(
        self,
        attempt: Try,
        billing: Billing,
        cost: Decimal,
        *,
        backoff: float = 0.0,
        error: NbpError | None = None,
    ) -> None:
        """Write an attempt down, and settle what was reserved for it.

        A task that is still open stays so in the journal: a later call asks for it.
        """
        noted = Attempt(
            number=self.number,
            billing=billing,
            cost=cost,
            timings=attempt.timings,
            backoff=backoff,
            status=attempt.head.status if attempt.head is not None else None,
            request_id=attempt.request_id,
            error="" if error is None else f"{type(error).__name__}: {error}",
        )
        self.attempts.append(noted)
        self._w.totals.add(noted)
        charged = ZERO if billing == "no" else cost
        if billing == "yes" and error is not None and _usage_of(attempt, error) is None:
            charged = max(cost, self._job.most)  # its tokens were not told: stay below the cap
        if self._run.cap is not None:
            self._run.cap.settle(self._job.most, charged)
        if attempt.ticket is not None:
            attempt.gate.settle(attempt.ticket, charged)
        if self.page is not None and self.page.armed:
            self.page.armed = False
            if not isinstance(error, TaskOpenError):
                self.page.journal.settle(self.page.item, noted)
        if self._w.listeners:
            usage = _usage_of(attempt, error)
            self._w.tell_ended(self._job, noted, self._run.via, usage, attempt.model)

    def cost(self, attempt: Try, billing: Billing, error: NbpError | None = None) -> Decimal:
        """What the attempt costs if it is charged."""
        prices, tier = self._w.profile.prices, self._job.canvas.tier
        if billing == "maybe":
            return self._job.most
        usage = _usage_of(attempt, error)
        if isinstance(error, NoImageError):
            return prices.cost_without_image(usage)
        return self._job.price if usage is None else prices.cost(tier, usage)


def _usage_of(attempt: Try, error: NbpError | None) -> Usage | None:
    if isinstance(error, NoImageError):
        return error.usage
    return attempt.answer.usage if attempt.answer is not None else None


def stem_of(job: Job) -> str:
    """What the names of its image's files begin with."""
    return f"{job.index:06d}"


def failure_of(
    job: Job,
    error: NbpError,
    books: Books,
    *,
    links: tuple[str, ...] = (),
    expires: float | None = None,
) -> Failure:
    """End without an image; the billing is the worst of the attempts, earlier ones included."""
    error.__traceback__ = error.__context__ = None
    return Failure(
        index=job.index,
        prompt=job.prompt,
        attempts=tuple(books.attempts),
        earlier=books.earlier,
        error=error,
        billing=worst((*books.earlier, *books.attempts)),
        links=links,
        link_expires=expires if links else None,
    )


def worst(attempts: tuple[Attempt, ...]) -> Billing:
    """Who pays, at worst."""
    return max((a.billing for a in attempts), key=_WORST.__getitem__, default="no")
