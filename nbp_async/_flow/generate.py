"""One prompt, from its first attempt to its outcome: try, judge, wait, try again or end."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import anyio.to_thread

from nbp_async._dialects.base import Answer
from nbp_async._errors import (
    BudgetError,
    CancelledAttemptError,
    ConfigError,
    NbpError,
    NoImageError,
    OverloadedError,
    RateLimitError,
    RefusedError,
    StoppedError,
)
from nbp_async._events import AttemptEnded
from nbp_async._flow.attempt import Try
from nbp_async._flow.wiring import Run, Wiring
from nbp_async._http import Billing, HttpRequest
from nbp_async._images.collect import Kept
from nbp_async._images.references import load_references
from nbp_async._models import ZERO, Attempt, Failure, Image, Job, Outcome
from nbp_async._pacing.retry import Tries, Verdict, judge

_LARGE = 256 * 1024  # bytes of references above which encoding would be felt by the event loop
_WORST: dict[Billing, int] = {"no": 0, "maybe": 1, "yes": 2}


async def generate(wiring: Wiring, run: Run, job: Job) -> Outcome:
    """Make one image. Whatever goes wrong is in the outcome; only cancellation is raised.

    A cancelled prompt that had been sent is added to `run.dropped` before the cancellation goes
    on, so that what may have been billed has a name.
    """
    story = _Story(wiring, run, job)
    try:
        request = await _encode(wiring, job)
    except ConfigError as exc:
        outcome: Outcome = story.failure(exc)
    else:
        outcome = await story.tell(request)
    if wiring.listeners:
        wiring.tell("on_outcome", outcome)
    return outcome


async def _encode(wiring: Wiring, job: Job) -> HttpRequest:
    dialect, profile, key = wiring.dialect, wiring.profile, wiring.key.reveal()
    if not job.prompt.references:
        return dialect.encode(job, profile, (), key)
    references = await load_references(job.prompt)
    if sum(len(reference.data) for reference in references) < _LARGE:
        return dialect.encode(job, profile, references, key)
    return await anyio.to_thread.run_sync(dialect.encode, job, profile, references, key)


class _Story:
    """What happened to one job so far."""

    __slots__ = ("_attempts", "_backoff", "_deadline", "_job", "_put_off", "_run", "_tries", "_w")

    def __init__(self, wiring: Wiring, run: Run, job: Job) -> None:
        self._w = wiring
        self._run = run
        self._job = job
        self._attempts: list[Attempt] = []
        self._tries = Tries()
        self._backoff = 0.0
        self._put_off = 0.0
        self._deadline: float | None = None

    async def tell(self, request: HttpRequest) -> Outcome:
        while True:
            refused = self._refused_beforehand()
            if refused is not None:
                return self.failure(refused)
            outcome = await self._once(request)
            if outcome is not None:
                return outcome
            if self._backoff:
                try:
                    await asyncio.sleep(self._backoff)
                except asyncio.CancelledError:
                    self._leave()
                    raise

    def failure(self, error: NbpError) -> Failure:
        """End without an image; the billing is the worst of the attempts."""
        error.__traceback__ = error.__context__ = None
        attempts = tuple(self._attempts)
        billing: Billing = max((a.billing for a in attempts), key=_WORST.__getitem__, default="no")
        return Failure(
            index=self._job.index,
            prompt=self._job.prompt,
            attempts=attempts,
            error=error,
            billing=billing,
        )

    def _refused_beforehand(self) -> NbpError | None:
        """Why no further attempt may begin, or None; reserves the price of the next one."""
        run, price = self._run, self._job.price
        stopped = run.why_stopped()
        if stopped is not None:
            return StoppedError(f"Not sent: the run was stopped. {stopped}")
        if run.cap is None or run.cap.reserve(price):
            return None
        return BudgetError(
            f"Not sent: ${price} more would go over max_cost=${run.cap.limit}.",
            hint="What may have been billed counts until it is known.",
        )

    async def _once(self, request: HttpRequest) -> Outcome | None:
        """One attempt and its consequences: the outcome, or None to go on."""
        attempt = Try(self._w.gate(self._job.model), self._run.why_stopped)
        attempt.open(self._run.sink)
        assert attempt.collector is not None
        try:
            number = len(self._attempts) + 1
            await attempt.run(self._w, self._job, request, number, self._deadline)
            self._start_deadline(attempt)
            if attempt.error is None:
                return await self._image(attempt)
        except NbpError as exc:
            attempt.error = exc
        except BaseException:  # cancelled, or a bug: what was sent may be billed either way
            self._drop(attempt)
            raise
        finally:
            attempt.collector.discard()
        if attempt.ticket is None:  # it came too late, or the gate turned it away: not an attempt
            self._unreserve()
            self._run.turned_away(attempt.error)
            return self.failure(attempt.error)
        return self._consequence(attempt, attempt.error)

    def _start_deadline(self, attempt: Try) -> None:
        """The deadline counts from the first slot: queueing is not the prompt's fault."""
        span = self._w.timeouts.deadline
        if span is not None and self._deadline is None and attempt.ticket is not None:
            self._deadline = attempt.ticket.at + span

    async def _image(self, attempt: Try) -> Image:
        """The answer was good: make its images safe and say what they are."""
        answer, collector = attempt.answer, attempt.collector
        assert answer is not None
        assert collector is not None
        stem = f"{self._job.index:06d}"
        if answer.images:
            kept = await collector.keep(answer.images, stem)
        else:
            fetch = self._w.downloads.fetch
            kept = [
                await fetch(link, self._run.sink, stem if not place else f"{stem}-extra{place}")
                for place, link in enumerate(answer.links)
            ]
        cost = self._job.price
        if answer.usage is not None:
            cost = self._w.profile.prices.cost(self._job.canvas.tier, answer.usage)
        self._note(attempt, "yes", cost)
        wiring = self._w
        wiring.retry_budget.succeeded()
        self._run.heard(None)
        if attempt.ticket is not None:
            attempt.gate.succeeded(attempt.ticket)
        wiring.totals.images += len(kept)
        return self._describe(kept, answer)

    def _describe(self, kept: Sequence[Kept], answer: Answer) -> Image:
        attempts = tuple(self._attempts)
        if len(kept) == 1:
            return self._one(kept[0], answer, attempts, 0)
        extras = tuple(
            self._one(further, answer, (), place) for place, further in enumerate(kept[1:], 1)
        )
        return self._one(kept[0], answer, attempts, 0, extras)

    def _one(
        self,
        kept: Kept,
        answer: Answer,
        attempts: tuple[Attempt, ...],
        place: int,
        extras: tuple[Image, ...] = (),
    ) -> Image:
        job, facts = self._job, kept.facts
        url = answer.links[place] if place < len(answer.links) else ""
        lifetime = self._w.profile.link_lifetime if url else None
        return Image(
            index=job.index,
            prompt=job.prompt,
            attempts=attempts,
            stored=kept.stored,
            format=facts.format,
            width=facts.width,
            height=facts.height,
            url=url,
            url_expires=None if lifetime is None else self._w.wall_clock() + lifetime,
            model=answer.model,
            usage=answer.usage,
            mismatch=_mismatch(job, facts.width, facts.height),
            extras=extras,
        )

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
        self._note(attempt, verdict.billing, self._price(error), error)
        self._run.heard(error)
        wait = max(verdict.delay, self._throttle(attempt, error))
        if verdict.action == "finish" or not self._may_go_on(verdict, wait):
            return self.failure(error)
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
        return verdict.action != "resend" or self._w.ambiguous.reserve(self._job.price)

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

    def _price(self, error: NbpError) -> Decimal:
        """What the attempt costs if it is charged."""
        if isinstance(error, NoImageError):
            return self._w.profile.prices.cost_without_image(error.usage)
        return self._job.price

    def _note(
        self, attempt: Try, billing: Billing, cost: Decimal, error: NbpError | None = None
    ) -> None:
        """Write the attempt down, and settle the price that was reserved for it."""
        noted = Attempt(
            number=len(self._attempts) + 1,
            billing=billing,
            cost=cost,
            timings=attempt.timings,
            backoff=self._backoff,
            status=attempt.head.status if attempt.head is not None else None,
            request_id=attempt.request_id,
            error="" if error is None else f"{type(error).__name__}: {error}",
        )
        self._attempts.append(noted)
        self._w.totals.add(noted)
        cap = self._run.cap
        if cap is not None:
            if billing == "maybe":
                cap.keep(self._job.price)
            else:
                cap.settle(self._job.price, cost if billing == "yes" else ZERO)
        if self._w.listeners:
            self._w.tell("on_attempt", AttemptEnded(job=self._job, attempt=noted))

    def _drop(self, attempt: Try) -> None:
        """The caller leaves: say what that may cost."""
        if attempt.sent:
            billing: Billing = "yes" if attempt.answer is not None else "maybe"
            error = CancelledAttemptError("Cancelled while the request was out.")
            self._note(attempt, billing, self._job.price, error)
        else:
            self._unreserve()
        self._leave()

    def _leave(self) -> None:
        """Name a prompt whose caller is gone, if it was tried at all."""
        if self._attempts:
            dropped = self.failure(CancelledAttemptError("Cancelled by the caller."))
            self._run.dropped.append(dropped)
            if self._w.listeners:
                self._w.tell("on_outcome", dropped)

    def _unreserve(self) -> None:
        if self._run.cap is not None:
            self._run.cap.settle(self._job.price, ZERO)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _mismatch(job: Job, width: int, height: int) -> str:
    """How the pixels differ from what was asked, in words, or ""."""
    expected = job.canvas.pixels
    if expected is None or expected == (width, height):
        return ""
    return f"asked for {expected[0]}x{expected[1]}, got {width}x{height}"
