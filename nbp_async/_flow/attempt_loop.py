"""One prompt, from its first attempt to its outcome: try, judge, wait, try again or end.

    reserve dollars ───────────────────── cap spent, stopped ──► Failure, no attempt
         │
    wait for the gate ─── deadline, stopped, pause too long ──► Failure, no attempt
         │ ticket
    armed in the journal ─────────────────────── cancelled ──► billing "no"
         │ first byte leaves
    sent ──────────────────────────────────────── cancelled ──► billing "maybe"
         │ response              │ task
         │                  in the journal, polled ─ cancelled ──► stays open; without a journal
         │                       │                                 the service is told to cancel
    answered ──────────────────────────────────── cancelled ──► billing "yes"
         │
    image safe ──────────────────────────────────────────────► Image

An error on the way is judged by `_pacing.retry`: the end, or a wait and the next attempt.
"""

import asyncio

import anyio.to_thread
import msgspec

from nbp_async._base.errors import (
    AuthError,
    CancelledAttemptError,
    NbpError,
    OverloadedError,
    RateLimitError,
    TaskOpenError,
)
from nbp_async._base.http import HttpRequest
from nbp_async._base.task_handle import Handle
from nbp_async._dialects.base import Answer
from nbp_async._flow.attempt import Admission, LiveAttempt
from nbp_async._flow.call_state import CallState
from nbp_async._flow.delivery import RequestDelivery
from nbp_async._flow.exchange import Exchange
from nbp_async._flow.ledger import Ledger, failure_of
from nbp_async._flow.retry_state import RetryState
from nbp_async._flow.storing import ReceivedImage, describe, store
from nbp_async._flow.unread_reply import keep_unread
from nbp_async._models.outcomes import Failure, Image, Job, Outcome, Reference
from nbp_async._pacing.retry import Verdict, judge
from nbp_async._vendors.price_options import describe_given

LARGE = 256 * 1024  # bytes of references above which encoding would be felt by the event loop


class AttemptLoop:
    """The attempts of one job."""

    __slots__ = (
        "_call",
        "_delivery",
        "_endpoint",
        "_job",
        "_ledger",
        "_received",
        "_request",
        "_retry",
    )

    def __init__(
        self, delivery: RequestDelivery, call: CallState, job: Job, ledger: Ledger
    ) -> None:
        self._delivery = delivery
        self._endpoint = delivery.endpoint
        self._call = call
        self._job = job
        self._ledger = ledger
        self._received: list[ReceivedImage] = []
        self._request: HttpRequest | None = None
        self._retry = RetryState()

    async def prepare(self, references: tuple[Reference, ...]) -> None:
        """Encode the request.

        Raises:
            ConfigError: The job has something that the endpoint has no place for.
        """
        self._request = await self._encode(references)

    async def run(self) -> Outcome:
        """Try until there is an outcome."""
        try:
            await self._delivery.take_place(self._call)
        except NbpError as stopped:
            return self._failure(stopped)
        try:
            while True:
                refused = await self._reserve()
                if refused is not None:
                    return self._failure(refused)
                outcome = await self._attempt_once()
                if outcome is None and self._retry.backoff:
                    outcome = await self._back_off()
                if outcome is not None:
                    return outcome
        finally:
            self._delivery.give_place_back()

    async def _reserve(self) -> NbpError | None:
        """Reserve what an attempt may cost; gives why nothing may be sent, or None."""
        return await self._ledger.reserve()

    async def _encode(self, references: tuple[Reference, ...]) -> HttpRequest:
        """The request for the job, with these references."""
        encode, profile = self._delivery.dialect.encode, self._endpoint.profile
        key = self._endpoint.key.reveal()
        if sum(len(reference.data) for reference in references) < LARGE:
            request = encode(self._job, profile, references, key)
        else:
            request = await anyio.to_thread.run_sync(encode, self._job, profile, references, key)
        if profile.idempotency:
            request.headers["Idempotency-Key"] = self._ledger.nonce
        return request

    async def _attempt_once(self, admitted: Admission | None = None) -> Outcome | None:
        """One attempt and its consequences: the outcome, or None to go on."""
        delivery, ledger, call = self._delivery, self._ledger, self._call
        attempt = LiveAttempt(
            self._endpoint,
            delivery.dialect,
            call,
            self._job,
            number=ledger.number,
            via=delivery.via,
            backoff=self._retry.backoff,
        )
        try:
            return await self._run(attempt, admitted)
        except NbpError as exc:
            # Its frames hold the request, megabytes of it; and an image store may be the vendor's.
            error = self._endpoint.key.hide_from(exc.with_traceback(None))
        except BaseException as exc:  # cancelled, or a bug: what was sent may be billed either way
            self._abandon(attempt, exc)
            raise
        finally:
            attempt.discard()
        if attempt.ticket is None:  # too late, stopped, or rejected at the gate: not an attempt
            ledger.release()
            call.record_rejection(error)
            return self._failure(error)
        return self._settle(attempt, error)

    async def _run(self, attempt: LiveAttempt, admitted: Admission | None) -> Image:
        """Send it, wait for its image, and store it; a reply that is no use so far is kept."""
        delivery, ledger, call, request = self._delivery, self._ledger, self._call, self._request
        assert request is not None, "it is prepared before it runs"

        async def keep(reply: Exchange, error: NbpError) -> None:
            await keep_unread(reply, error, self._endpoint, ledger.origin(attempt.handle))

        await attempt.run(
            request,
            delivery.timeouts(self._job),
            keep=keep,
            arm=ledger.arm if call.is_durable else None,
            wait_until=self._retry.deadline,
            admitted=admitted,
        )
        await delivery.receive(call, self._job, attempt, ledger)
        try:
            return await self._finish_with_image(attempt)
        except NbpError as exc:
            await keep(attempt.result or attempt, exc)
            raise

    async def _finish_with_image(self, attempt: LiveAttempt) -> Image:
        """The response is complete: store its images, and describe them."""
        answer, call, ledger = attempt.answer, self._call, self._ledger
        assert answer is not None, "an exchange without an error has one"
        downloads = self._endpoint.resources.downloads
        collector, stem, received = attempt.collector, ledger.file_stem, self._received
        if answer.images:
            await store(downloads, call, answer, collector, stem, received)
        else:
            expires = self._endpoint.link_expiry(answer.links)
            await ledger.record_links(answer.links, expires, attempt.request_id)
            with call.without_slot():
                await store(downloads, call, answer, collector, stem, received)
        return self._record_image(attempt, answer)

    def _record_image(self, attempt: LiveAttempt, answer: Answer) -> Image:
        """Its images are stored: record it, and tell the gate that the vendor accepts requests."""
        ledger, job, resources = self._ledger, self._job, self._endpoint.resources
        ledger.record(attempt, "yes")
        resources.retry_budget.succeeded()
        self._call.record_error(self._call.sink.error)
        self._call.connections.succeeded()
        if attempt.ticket is not None and attempt.handle is None:
            attempt.gate.succeeded(attempt.ticket)
        resources.totals.images += len(self._received)
        notes = answer.notes + describe_given(job.tier, job.prompt.quality, attempt.given)
        notes += (attempt.cost_note,) if attempt.cost_note else ()
        return describe(
            self._received,
            answer if notes == answer.notes else msgspec.structs.replace(answer, notes=notes),
            index=job.index,
            prompt=job.prompt,
            pixels=job.canvas.pixels,
            expires=self._endpoint.link_expiry(answer.links),
            attempts=tuple(ledger.attempts),
            earlier=ledger.earlier,
        )

    def _settle(self, attempt: LiveAttempt, error: NbpError) -> Failure | None:
        """Record what it cost, and end, or set how long to wait before the next attempt."""
        resources, retry = self._endpoint.resources, self._retry
        retry.count(attempt, error, resources.timeouts.deadline)
        verdict = judge(
            error,
            retry=resources.retry,
            profile=self._endpoint.profile,
            history=retry.history,
            rng=resources.rng,
            model=self._job.model,
        )
        if attempt.answer is not None:  # a complete response is paid, whatever became of its image
            verdict = Verdict("finish", "yes")
        self._ledger.record(attempt, verdict.billing, error)
        if verdict.billing == "maybe" and attempt.ticket is not None:
            attempt.gate.lost(attempt.ticket, type(error).__name__)
        wait = max(verdict.delay, self._close_gate(attempt, error))
        if verdict.billing == "no" and self._goes_elsewhere(attempt, error):
            retry.backoff = 0.0
            return None
        self._call.record_error(error)
        if attempt.ticket is not None:
            now, most = asyncio.get_running_loop().time(), resources.retry.connect_attempts
            self._call.connections.record(error, began=attempt.ticket.left, now=now, most=most)
        if verdict.action == "finish" or not self._may_go_on(verdict, wait):
            return self._failure(error, attempt)
        # After a 429 or 503 the gate does the waiting, for all prompts together.
        retry.backoff = verdict.delay
        return None

    def _goes_elsewhere(self, attempt: LiveAttempt, error: NbpError) -> bool:  # noqa: ARG002
        """What was refused for free is asked at once elsewhere: with the account's next key."""
        return isinstance(error, AuthError) and error.is_transient

    def _close_gate(self, attempt: LiveAttempt, error: NbpError) -> float:
        """Close the gate if the server answered 429 or 503; returns for how many seconds.

        A policy with delays of its own closes it only if the server said for how long.
        """
        if attempt.ticket is None or not isinstance(error, RateLimitError | OverloadedError):
            return 0.0
        if error.retry_after is None and self._endpoint.resources.retry.throttle_counts:
            return 0.0
        self._retry.throttle()
        gate, reason = attempt.gate, type(error).__name__
        if error.per_minute is not None:
            gate.announced(error.per_minute)
        seconds = gate.throttled(attempt.ticket, error.retry_after, reason)
        self._call.hold_back(seconds)
        return seconds

    def _may_go_on(self, verdict: Verdict, wait: float) -> bool:
        resources, now = self._endpoint.resources, asyncio.get_running_loop().time()
        if not self._retry.can_wait(wait):
            return False
        tokens = resources.retry_budget if resources.retry.budget else None
        if tokens is not None and not tokens.has(verdict.tokens, now):
            return False
        if verdict.action == "resend" and not resources.ambiguous.reserve_nowait(self._job.most):
            return False
        # Only now that nothing else refuses: a token or a dollar taken for nothing is lost.
        return tokens is None or tokens.take(verdict.tokens, now)

    async def _back_off(self) -> Failure | None:
        """Wait before the next attempt; the failure, if the call is stopped meanwhile."""
        try:
            with self._call.without_slot():
                await self._call.wait(lambda: asyncio.sleep(self._retry.backoff))
        except asyncio.CancelledError as exc:
            self._abandon_between_attempts(exc)
            raise
        except NbpError as stopped:
            return self._failure(stopped)
        return None

    def _failure(self, error: NbpError, attempt: LiveAttempt | None = None) -> Failure:
        """End without an image. Links to an image that is paid for are kept in the failure."""
        links = () if attempt is None or attempt.answer is None else attempt.answer.links
        expires = self._endpoint.link_expiry(links)
        return failure_of(self._job, error, self._ledger, links=links, expires=expires)

    def _abandon(self, attempt: LiveAttempt, cause: BaseException) -> None:
        """The caller leaves, or a bug ends it: record what it may cost, and what has come."""
        ledger = self._ledger
        error = CancelledAttemptError(f"{_ended_by(cause)} while the request was out.")
        if attempt.answer is not None and self._received:
            self._record_abandoned(self._record_image(attempt, attempt.answer))
            return
        if not attempt.sent:
            ledger.record_unsent(attempt)
        elif attempt.answer is not None:
            ledger.record(attempt, "yes", error)
        elif attempt.handle is not None and ledger.in_journal is not None:
            self._abandon_open_task(attempt, attempt.handle)
            return
        else:
            ledger.record(attempt, "maybe", error)
        self._abandon_between_attempts(cause, attempt)

    def _abandon_open_task(self, attempt: LiveAttempt, handle: Handle) -> None:
        """The caller leaves a task whose handle is in the journal: it stays open there."""
        vendor = self._endpoint.profile.name
        error = TaskOpenError(
            f"Cancelled by the caller; {vendor} goes on with task {handle.id}.",
            task=handle.id,
            hint="The same call, made again, asks for it.",
        )
        self._ledger.record(attempt, "maybe", error)
        failure = self._failure(error, attempt)
        self._call.dropped.append(failure)
        self._notify_abandoned(failure)

    def _abandon_between_attempts(
        self, cause: BaseException, attempt: LiveAttempt | None = None
    ) -> None:
        """Record a prompt whose caller is gone, if it was tried at all."""
        if self._ledger.attempts:
            by = " by the caller" if isinstance(cause, asyncio.CancelledError) else ""
            error = CancelledAttemptError(f"{_ended_by(cause)}{by}.")
            self._record_abandoned(self._failure(error, attempt))

    def _record_abandoned(self, outcome: Outcome) -> None:
        """Nothing waits for this outcome any more: keep it in `dropped`, and for the journal."""
        call, record = self._call, self._ledger.in_journal
        call.dropped.append(outcome)
        if record is not None and call.past is not None:
            call.past.unfinished.append((record.item, outcome))
        self._notify_abandoned(outcome)

    def _notify_abandoned(self, outcome: Outcome) -> None:
        """Tell the listeners, unless it is an outcome like others: only its submitter left it."""
        past = self._call.past
        if past is None or outcome.index not in past.unwanted:
            self._call.listeners.notify("on_outcome", outcome)


def _ended_by(cause: BaseException) -> str:
    is_cancelled = isinstance(cause, asyncio.CancelledError)
    return "Cancelled" if is_cancelled else f"Ended by {type(cause).__name__} ({cause})"
