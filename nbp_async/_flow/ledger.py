"""What a prompt's attempts cost: reserved before, recorded after. Nothing else moves dollars."""

import asyncio
import logging
import secrets
from decimal import Decimal
from functools import partial

from nbp_async._base.errors import (
    BudgetError,
    CancelledAttemptError,
    JournalError,
    NbpError,
    NoImageError,
    StoppedError,
    TaskOpenError,
)
from nbp_async._base.http import Billing, Usage
from nbp_async._base.task_handle import Handle
from nbp_async._flow.attempt import LiveAttempt
from nbp_async._flow.call_state import CallState
from nbp_async._flow.endpoint import Endpoint
from nbp_async._flow.job_prices import price_kind
from nbp_async._flow.unread_reply import ReplyOrigin
from nbp_async._journal.base import Journal, JournalEntry
from nbp_async._models.events import AttemptEnded
from nbp_async._models.outcomes import ZERO, Attempt, Failure, Job, Prompt
from nbp_async._pacing.budgets import SpendCap
from nbp_async._vendors.answer_cost import AnswerCost, answer_cost, cost_without_image
from nbp_async._vendors.price_options import charged_tier

log = logging.getLogger("nbp_async")

_WORST: dict[Billing, int] = {"no": 0, "maybe": 1, "yes": 2}


class JournalRecord:
    """A job's item in the journal of its run; `armed` while an attempt of it may be out."""

    __slots__ = ("armed", "item", "journal", "nonce")

    def __init__(self, journal: Journal, entry: JournalEntry) -> None:
        self.journal = journal
        self.item = entry.item
        self.nonce = entry.nonce
        self.armed = False


class Ledger:
    """The account of one job in this call.

    Attributes:
        most: Dollars that are set aside for its next attempt.
        attempts: What was sent for it, with what it cost.
        earlier: What earlier calls of the same run had sent for it.
        in_journal: Its item in the journal, once it is claimed; None without a journal.
    """

    __slots__ = (
        "_asked",
        "_call",
        "_endpoint",
        "_job",
        "_kind",
        "attempts",
        "earlier",
        "in_journal",
        "most",
    )

    def __init__(
        self,
        endpoint: Endpoint,
        call: CallState,
        job: Job,
        earlier: tuple[Attempt, ...] = (),
        in_journal: JournalRecord | None = None,
        *,
        in_batch: bool = False,
    ) -> None:
        self._endpoint = endpoint
        self._call = call
        self._job = self._asked = job
        self.most = job.most
        self._kind = price_kind(job, in_batch=in_batch)
        self.attempts: list[Attempt] = []
        self.earlier = earlier
        self.in_journal = in_journal

    def turn_to(self, endpoint: Endpoint, asked: Job) -> None:
        """The next attempt is another account's, where the job is asked for so.

        What was reserved is enough for it; see `most`.
        """
        self._endpoint, self._asked = endpoint, asked

    def repriced(self, job: Job) -> "Ledger":
        """The same account, for the job at the price of a held call."""
        ledger = Ledger(self._endpoint, self._call, job, self.earlier, self.in_journal)
        ledger.attempts = self.attempts
        return ledger

    @property
    def number(self) -> int:
        """The next attempt's, from 1, over all calls of the run."""
        tried = self.attempts or self.earlier
        return tried[-1].number + 1 if tried else 1

    @property
    def nonce(self) -> str:
        """The job's idempotency key: the same in every call of the run."""
        return self.in_journal.nonce if self.in_journal is not None else secrets.token_hex(16)

    @property
    def _image_name(self) -> str:
        past, job = self._call.past, self._job
        if past is not None and past.queue is not None:
            return f"Ticket {job.index}"
        return image_name(job.index, job.prompt)

    @property
    def file_stem(self) -> str:
        """What the names of its image's files begin with."""
        past, record = self._call.past, self.in_journal
        if past is None or record is None:
            return f"{self._job.index:06d}"
        return past.file_stem(self._job.index, record.nonce)

    def origin(self, handle: Handle | None = None) -> ReplyOrigin:
        """What a reply to the next attempt is an answer to."""
        job = self._asked
        return ReplyOrigin(
            index=job.index,
            number=self.number,
            prompt=job.prompt.text,
            model=job.model,
            price=job.price,
            stem=self.file_stem,
            handle=handle,
        )

    async def reserve(self) -> NbpError | None:
        """Reserve the price of an attempt; gives why nothing may be sent, or None."""
        call, cap, most, kind = self._call, self._call.cap, self.most, self._kind
        stopped = call.stop_error()
        if stopped is not None or cap is None or cap.reserve_nowait(most, kind):
            return stopped
        try:
            if await call.wait(lambda: cap.reserve(most, kind)):
                return None
        except StoppedError as exc:
            return exc
        return self.over_cap(cap)

    def over_cap(self, cap: SpendCap) -> BudgetError:
        """Why an attempt is not sent that the cap has no room for."""
        most, kind = self.most, self._kind
        return BudgetError(
            f"not sent, because it may cost ${cap.price_of(most, kind).normalize():f} and only "
            f"${max(ZERO, cap.left).normalize():f} is left.",
            option="max_cost",
            value=cap.limit,
            hint="What may have been billed counts too. Raise the limit to continue.",
        )

    def fits(self) -> bool:
        """The price of an attempt could be reserved now."""
        cap = self._call.cap
        return cap is None or cap.fits(self.most, self._kind)

    def never_fits(self, cap: SpendCap) -> bool:
        """It could not be reserved later, either."""
        return cap.never_fits(self.most, self._kind)

    def release(self) -> None:
        """Nothing was sent after all."""
        self.settle_cap(ZERO)

    def settle_cap(self, charged: Decimal) -> None:
        """What was reserved for an attempt cost `charged`."""
        if self._call.cap is not None:
            self._call.cap.settle(self.most, charged, self._kind)

    def learn(self, cost: Decimal) -> None:
        """An answer came and cost that: what others like it may cost beyond their price."""
        margins, asked = self._endpoint.margins, self._asked
        shared = self._endpoint.resources.margins
        shared.record(self._kind, self.most, cost)
        if margins is not shared:  # one account of several
            margins.record(price_kind(asked), asked.most, cost)

    async def arm(self) -> None:
        """Record that a request may be out from now on.

        Raises:
            JournalError: It cannot be recorded, so it must not be sent.
            StoppedError: The call was stopped while the run had no room for it.
            StorageError: There is no room left for its image.
        """
        record, job = self.in_journal, self._asked
        if self._call.room is not None:
            await self._call.room.check(self._endpoint.resources.slots.in_use, job.canvas.tier)
        while record is not None:
            record.armed = True
            seconds = await record.journal.arm(
                record.item,
                self.number,
                job.price,
                job.most,
                self.file_stem,
                account=self._endpoint.name,
            )
            if not seconds:
                return
            record.armed = False
            await self._call.wait(partial(asyncio.sleep, seconds))

    async def record_links(
        self, links: tuple[str, ...], expires: float | None, request_id: str
    ) -> None:
        """Record that it is paid and behind these links, before they are fetched."""
        record = self.in_journal
        if record is not None:
            try:
                await record.journal.record_answer(
                    record.item, self.number, links, expires, request_id
                )
            except JournalError as exc:
                self._call.stop(exc)  # the image can still be fetched

    async def record_handle(self, handle: Handle, request_id: str) -> None:
        """Record the handle of the task, before it is waited for."""
        record = self.in_journal
        if record is not None:
            try:
                await record.journal.record_submission(record.item, self.number, handle, request_id)
            except JournalError as exc:
                self._call.stop(exc)  # the task can still be waited for

    def record_unsent(self, attempt: LiveAttempt) -> None:
        """The caller left before the request did."""
        if self.in_journal is not None and self.in_journal.armed:
            error = CancelledAttemptError("Cancelled before it left.")
            self.record(attempt, "no", error, cost=ZERO)
        else:
            self.release()

    def record(
        self,
        attempt: LiveAttempt,
        billing: Billing,
        error: NbpError | None = None,
        *,
        cost: Decimal | None = None,
    ) -> None:
        """Record an attempt, and settle what was reserved; an open task stays so in the journal."""
        usage = _usage_of(attempt, error)
        if cost is None:
            cost, note = self._cost(billing, error, usage, attempt)
            attempt.cost_note = note
            if note:
                log.warning("%s: %s.", self._image_name, note)
        recorded = Attempt(
            number=attempt.number,
            billing=billing,
            cost=cost,
            timings=attempt.timings,
            backoff=attempt.backoff,
            status=None if attempt.head is None else attempt.head.status,
            request_id=attempt.request_id,
            error=describe_end(error),
            unread="" if error is None else error.unread,
            account=self._endpoint.name,
        )
        self.attempts.append(recorded)
        warn_of_cost(self._image_name, recorded)
        self._endpoint.resources.totals.add(recorded)
        self._settle(attempt, recorded, error, usage)
        if self.in_journal is not None and self.in_journal.armed:
            # An attempt that was never armed is not in the journal: there is nothing to settle.
            self.in_journal.armed = False
            if not isinstance(error, TaskOpenError):
                self.in_journal.journal.settle(self.in_journal.item, recorded)
        self._notify(attempt, recorded, usage)

    def _settle(
        self, attempt: LiveAttempt, recorded: Attempt, error: NbpError | None, usage: Usage | None
    ) -> None:
        """Settle what was reserved with what the attempt cost, and learn from that."""
        billing, cost, most = recorded.billing, recorded.cost, self._asked.most
        charged = ZERO if billing == "no" else cost
        if billing == "yes" and error is not None and usage is None:
            charged = max(cost, most)  # its tokens are unknown: stay below the cap
        if billing == "yes" and (error is None or cost > most):
            self.learn(cost)
        self.settle_cap(charged)
        if attempt.ticket is not None:
            attempt.gate.settle(attempt.ticket, charged)

    def _notify(self, attempt: LiveAttempt, recorded: Attempt, usage: Usage | None) -> None:
        if not self._call.listeners:
            return
        profile = self._endpoint.profile
        event = AttemptEnded(
            self._asked,
            recorded,
            profile.name,
            profile.base_url,
            attempt.via,
            usage,
            attempt.model,
        )
        self._call.listeners.notify("on_attempt", event)

    def _cost(
        self, billing: Billing, error: NbpError | None, usage: Usage | None, attempt: LiveAttempt
    ) -> AnswerCost:
        """What an attempt costs if it is charged: what was given counts, not what was asked."""
        job, given = self._asked, attempt.given
        if billing == "maybe":
            return AnswerCost(job.most)
        prices = self._endpoint.profile.prices_for(job.model)
        if prices is None:
            return AnswerCost(ZERO)
        prices = prices.in_tier(charged_tier(prices, job.tier, given.tier))
        if isinstance(error, NoImageError):
            return cost_without_image(prices, usage, price=job.price, most=job.most)
        quality = given.quality or job.prompt.quality or "auto"
        price = prices.estimate(job.canvas.price_size, quality)
        return answer_cost(
            prices,
            usage,
            price=job.price if price is None else price,
            most=job.most,
            images=attempt.image_count,
        )


def describe_end(error: NbpError | None) -> str:
    """Class and message of what ended an attempt, or ""."""
    return "" if error is None else f"{type(error).__name__}: {error}"


def warn_of_cost(image: str, attempt: Attempt) -> None:
    """Log an attempt that was, or may have been, billed and brought no image."""
    if attempt.billing == "no" or not attempt.error:
        return
    log.warning(
        "%s %s billed $%s and is not here (request id: %s): %s",
        image,
        "was" if attempt.billing == "yes" else "may have been",
        f"{attempt.cost.normalize():f}",
        attempt.request_id or "none",
        attempt.error,
        extra={"billing": attempt.billing},
    )


def image_name(index: int, prompt: Prompt) -> str:
    """The image as people count, from 1, and where its prompt stands."""
    return f"Image {index + 1}" + ("" if prompt.row is None else f" (row {prompt.row})")


def _usage_of(attempt: LiveAttempt, error: NbpError | None) -> Usage | None:
    if isinstance(error, NoImageError):
        return error.usage
    return attempt.answer.usage if attempt.answer is not None else None


def failure_of(
    job: Job,
    error: NbpError,
    ledger: Ledger,
    *,
    links: tuple[str, ...] = (),
    expires: float | None = None,
) -> Failure:
    """End without an image; the billing is the worst of the attempts, earlier ones included."""
    error.__traceback__ = error.__context__ = None
    return Failure(
        index=job.index,
        prompt=job.prompt,
        attempts=tuple(ledger.attempts),
        earlier=ledger.earlier,
        error=error,
        billing=worst_billing((*ledger.earlier, *ledger.attempts)),
        links=links,
        link_expires=expires if links else None,
    )


def worst_billing(attempts: tuple[Attempt, ...]) -> Billing:
    """What the vendor charges, at worst."""
    return max((a.billing for a in attempts), key=_WORST.__getitem__, default="no")
