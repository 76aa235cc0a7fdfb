"""One prompt, from its first attempt to its outcome: try, judge, wait, try again or end."""

import asyncio

import anyio.to_thread

from nbp_async._dialects.base import Answer
from nbp_async._errors import (
    CancelledAttemptError,
    ConfigError,
    JournalError,
    NbpError,
    OverloadedError,
    RateLimitError,
    RefusedError,
    StorageError,
    TaskOpenError,
)
from nbp_async._flow.answers import Brought, describe, store
from nbp_async._flow.attempt import Try
from nbp_async._flow.books import Books, Page, failure_of
from nbp_async._flow.resume import recall
from nbp_async._flow.run import Run
from nbp_async._flow.tasks import Asked
from nbp_async._flow.wiring import Wiring
from nbp_async._handle import Handle
from nbp_async._http import Billing, HttpRequest
from nbp_async._images.references import load_references
from nbp_async._models import Failure, Image, Job, Outcome, Reference
from nbp_async._pacing.retry import Tries, Verdict, judge

LARGE = 256 * 1024  # bytes of references above which encoding would be felt by the event loop


async def generate(wiring: Wiring, run: Run, job: Job) -> Outcome:
    """Make one image. Whatever goes wrong is in the outcome; only cancellation is raised.

    A cancelled prompt that had been sent is added to `run.dropped` before the cancellation goes
    on, so that what may have been billed has a name.
    """
    books = Books(wiring, run, job)
    try:
        references = await load_references(job.prompt)
        if run.past is not None:
            known = await recall(wiring, run, run.past, job, references)
            if not isinstance(known, Books):
                return _told(wiring, known)
            books = known
        request = await _encode(wiring, run, job, references, books)
        del references  # megabytes, for minutes
    except (ConfigError, JournalError, StorageError) as exc:
        run.heard(exc)
        return _told(wiring, failure_of(job, exc, books))
    return _told(wiring, await _tell(wiring, run, job, books, request))


async def go_on(wiring: Wiring, run: Run, job: Job, books: Books) -> Outcome:
    """Make one image of which the journal knows already, and of which no listener is told yet."""
    try:
        request = await _encode(wiring, run, job, await load_references(job.prompt), books)
    except (ConfigError, JournalError, StorageError) as exc:
        run.heard(exc)
        return failure_of(job, exc, books)
    return await _tell(wiring, run, job, books, request)


async def _tell(wiring: Wiring, run: Run, job: Job, books: Books, request: HttpRequest) -> Outcome:
    outcome = await _Story(wiring, run, job, books).tell(request)
    if books.page is not None and outcome.attempts and not _still_open(outcome):
        await _finish(run, books.page, outcome)
    return outcome


def _still_open(outcome: Outcome) -> bool:
    """The vendor goes on with it, and the journal says under which name."""
    return isinstance(outcome, Failure) and isinstance(outcome.error, TaskOpenError)


def _told(wiring: Wiring, outcome: Outcome) -> Outcome:
    if wiring.listeners:
        wiring.tell("on_outcome", outcome)
    return outcome


async def _finish(run: Run, page: Page, outcome: Outcome) -> None:
    """Journal how it ended. The image is safe by now: a broken journal does not take it away."""
    try:
        await page.journal.finish(page.item, outcome)
    except JournalError as exc:
        run.stop(exc)
    except asyncio.CancelledError:
        run.dropped.append(outcome)
        raise


async def _encode(
    wiring: Wiring, run: Run, job: Job, references: tuple[Reference, ...], books: Books
) -> HttpRequest:
    dialect, profile, key = run.dialect(wiring), wiring.profile, wiring.key.reveal()
    if sum(len(reference.data) for reference in references) < LARGE:
        request = dialect.encode(job, profile, references, key)
    else:
        request = await anyio.to_thread.run_sync(dialect.encode, job, profile, references, key)
    if profile.idempotency:
        request.headers["Idempotency-Key"] = books.nonce
    return request


class _Story:
    """What happened to one job so far."""

    __slots__ = (
        "_backoff", "_books", "_brought", "_deadline", "_job", "_put_off", "_run", "_tries", "_w"
    )  # fmt: skip

    def __init__(self, wiring: Wiring, run: Run, job: Job, books: Books) -> None:
        self._w = wiring
        self._run = run
        self._job = job
        self._books = books
        self._brought: list[Brought] = []
        self._tries = Tries()
        self._backoff = 0.0
        self._put_off = 0.0
        self._deadline: float | None = None

    async def tell(self, request: HttpRequest) -> Outcome:
        """From the first attempt to the outcome. Of tasks, only so many are open at once."""
        run = self._run
        if run.desk is None or not run.by_tasks:
            return await self._tell(request)
        places = run.desk.open
        try:
            await run.wait(places.acquire)
        except NbpError as stopped:
            return self._failure(stopped)
        try:
            return await self._tell(request)
        finally:
            places.release()

    async def _tell(self, request: HttpRequest) -> Outcome:
        while True:
            refused = await self._books.reserve()
            if refused is not None:
                return self._failure(refused)
            outcome = await self._once(request)
            if outcome is None and self._backoff:
                outcome = await self._back_off()
            if outcome is not None:
                return outcome

    async def _back_off(self) -> Failure | None:
        """Wait before the next attempt; the failure, if the run is stopped meanwhile."""
        try:
            with self._run.stand_aside():
                await self._run.wait(lambda: asyncio.sleep(self._backoff))
        except asyncio.CancelledError:
            self._leave_without()
            raise
        except NbpError as stopped:
            return self._failure(stopped)
        return None

    def _failure(self, error: NbpError, attempt: Try | None = None) -> Failure:
        """End without an image. Links of one that was paid for are not lost with it."""
        answer = attempt.answer if attempt is not None else None
        links = answer.links if answer is not None else ()
        return failure_of(self._job, error, self._books, links=links, expires=self._expiry())

    async def _once(self, request: HttpRequest) -> Outcome | None:
        """One attempt and its consequences: the outcome, or None to go on."""
        books = self._books
        attempt = Try(self._run.dialect(self._w), self._w.gate(self._job.model), self._run)
        try:
            await attempt.run(
                self._w,
                self._job,
                request,
                books.number,
                arm=books.arm if self._run.durable else None,
                wait_until=self._deadline,
            )
            self._start_deadline(attempt)
            if attempt.handle is not None:
                await self._await_task(attempt, attempt.handle)
            if attempt.error is None:
                return await self._image(attempt)
        except NbpError as exc:
            attempt.error = exc
        except BaseException:  # cancelled, or a bug: what was sent may be billed either way
            self._drop(attempt)
            raise
        finally:
            attempt.collector.discard()
        if attempt.ticket is None:  # it came too late, or was turned away: not an attempt
            books.release()
            self._run.turned_away(attempt.error)
            return self._failure(attempt.error)
        return self._consequence(attempt, attempt.error)

    def _start_deadline(self, attempt: Try) -> None:
        """The deadline counts from the first slot: queueing is not the prompt's fault."""
        span = self._w.timeouts.deadline
        if span is not None and self._deadline is None and attempt.ticket is not None:
            self._deadline = attempt.ticket.at + span

    async def _await_task(self, attempt: Try, handle: Handle) -> None:
        """The vendor goes on alone: wait for its result, without a slot."""
        desk, run, job = self._run.desk, self._run, self._job
        assert desk is not None, "only a desk's dialect gives handles"
        asked = Asked(handle=handle, model=job.model, tier=job.canvas.tier, eta=attempt.eta)
        if attempt.ticket is not None:
            attempt.gate.succeeded(attempt.ticket)
        try:
            await self._books.submitted(handle, attempt.request_id)
            with run.stand_aside():
                came = await desk.result(self._w, asked, run.sink)
        except asyncio.CancelledError:
            if self._books.page is None:  # nobody could ask for it later
                desk.cancel_soon(self._w, asked, run.sink)
            raise
        finally:
            attempt.done_at = self._now()
        attempt.answer, attempt.collector = came

    async def _image(self, attempt: Try) -> Image:
        """The answer was good: make its images safe and say what they are."""
        answer, run = attempt.answer, self._run
        assert answer is not None
        stem = self._books.stem
        if answer.images:
            await store(self._w, run.sink, answer, attempt.collector, stem, self._brought)
        else:
            await self._books.answered(answer.links, self._expiry(), attempt.request_id)
            with run.stand_aside():
                await store(self._w, run.sink, answer, attempt.collector, stem, self._brought)
        return self._made(attempt, answer)

    def _made(self, attempt: Try, answer: Answer) -> Image:
        """Its images are safe: write it down, and tell the gate that the vendor is well."""
        books, run, job = self._books, self._run, self._job
        books.note(attempt, "yes", books.cost(attempt, "yes"), backoff=self._backoff)
        self._w.retry_budget.succeeded()
        run.heard(run.sink.trouble)
        if attempt.ticket is not None and attempt.handle is None:
            attempt.gate.succeeded(attempt.ticket)
        self._w.totals.images += len(self._brought)
        return describe(
            self._brought,
            answer,
            index=job.index,
            prompt=job.prompt,
            pixels=job.canvas.pixels,
            expires=self._expiry(),
            attempts=tuple(books.attempts),
            earlier=books.earlier,
        )

    def _expiry(self) -> float | None:
        """When a link that comes now ends, in seconds since 1970, or None."""
        lifetime = self._w.profile.link_lifetime
        return None if lifetime is None else self._w.wall_clock() + lifetime

    def _consequence(self, attempt: Try, error: NbpError) -> Failure | None:
        """Judge what happened: end, or set how long to wait before the next attempt."""
        self._count(attempt, error)
        verdict = judge(
            error,
            retry=self._w.retry,
            profile=self._w.profile,
            tries=self._tries,
            rng=self._w.rng,
        )
        if attempt.answer is not None:  # a good answer is paid, whatever became of its image
            verdict = Verdict("finish", "yes")
        billing, books = verdict.billing, self._books
        cost = books.cost(attempt, billing, error)
        books.note(attempt, billing, cost, backoff=self._backoff, error=error)
        self._run.heard(error)
        wait = max(verdict.delay, self._throttle(attempt, error))
        if verdict.action == "finish" or not self._may_go_on(verdict, wait):
            return self._failure(error, attempt)
        # After a 429 or 503 the gate does the waiting, for all prompts together.
        self._backoff = verdict.delay
        return None

    def _throttle(self, attempt: Try, error: NbpError) -> float:
        """Tell the gate that the server asked for patience; returns the seconds it is closed.

        A policy with delays of its own closes the gate only for a wait that the server named.
        """
        if attempt.ticket is None or not isinstance(error, RateLimitError | OverloadedError):
            return 0.0
        if error.retry_after is None and self._w.retry.throttle_counts:
            return 0.0
        self._put_off = self._now()
        return attempt.gate.throttled(attempt.ticket, error.retry_after, type(error).__name__)

    def _may_go_on(self, verdict: Verdict, wait: float) -> bool:
        now = self._now()
        if self._deadline is not None and now + wait >= self._deadline:
            return False
        if self._w.retry.budget and not self._w.retry_budget.take(verdict.cost, now):
            return False
        return verdict.action != "resend" or self._w.ambiguous.reserve_nowait(self._job.most)

    def _count(self, attempt: Try, error: NbpError) -> None:
        """How often it was tried so far, and how long 429 and 503 have put it off."""
        tries = self._tries
        put_off = tries.throttled_for
        if self._put_off and attempt.ticket is not None:
            put_off += max(0.0, attempt.ticket.at - self._put_off)
            self._put_off = 0.0
        sent = attempt.sent or isinstance(error, RefusedError)
        throttled = isinstance(error, RateLimitError | OverloadedError)
        self._tries = Tries(
            reached=tries.reached + sent,
            connects=tries.connects + (not sent),
            throttled=tries.throttled + throttled,
            throttled_for=put_off,
        )

    def _drop(self, attempt: Try) -> None:
        """The caller leaves: say what that may cost, and what had come by then."""
        books = self._books
        if attempt.answer is not None and self._brought:
            self._leave(self._made(attempt, attempt.answer))
            return
        if attempt.sent:
            billing: Billing = "yes" if attempt.answer is not None else "maybe"
            error: NbpError = CancelledAttemptError("Cancelled while the request was out.")
            if attempt.handle is not None and books.page is not None and billing == "maybe":
                self._leave_open(attempt, attempt.handle)
                return
            cost = books.cost(attempt, billing)
            books.note(attempt, billing, cost, backoff=self._backoff, error=error)
        else:
            books.not_sent(attempt)
        self._leave_without(attempt)

    def _leave_open(self, attempt: Try, handle: Handle) -> None:
        """The caller leaves a task that the journal knows by its handle: it stays as it is."""
        error = TaskOpenError(
            f"Cancelled by the caller; {self._w.profile.name} goes on with task {handle.id}.",
            task=handle.id,
            hint="The same call, made again, asks for it.",
        )
        books = self._books
        books.note(attempt, "maybe", books.cost(attempt, "maybe"), error=error)
        failure = self._failure(error, attempt)
        self._run.dropped.append(failure)
        _told(self._w, failure)

    def _leave_without(self, attempt: Try | None = None) -> None:
        """Name a prompt whose caller is gone, if it was tried at all."""
        if self._books.attempts:
            error = CancelledAttemptError("Cancelled by the caller.")
            self._leave(self._failure(error, attempt))

    def _leave(self, outcome: Outcome) -> None:
        """Nobody waits for this outcome any more: keep it where it is looked for."""
        self._run.dropped.append(outcome)
        if self._books.page is not None:
            self._run.unfinished.append((self._books.page.item, outcome))
        _told(self._w, outcome)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
