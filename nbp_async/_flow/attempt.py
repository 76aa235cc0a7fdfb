"""One try, told in order: gate, send, receive, decode. Nothing is tried again here."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal

import msgspec

from nbp_async._dialects.base import Dialect
from nbp_async._errors import DeadlineError, NbpError, NoReplyError
from nbp_async._events import AttemptStarted
from nbp_async._flow.exchange import Exchange
from nbp_async._flow.run import Run
from nbp_async._flow.wiring import Wiring
from nbp_async._handle import Handle
from nbp_async._http import HttpRequest
from nbp_async._models import ZERO, Job, Timings
from nbp_async._pacing.gate import Gate, Ticket
from nbp_async._transports.base import Watch

_UNHEARD = "The vendor may go on, and bill, without us."


class Try(Exchange):
    """One attempt as far as it got; filled in while it goes, so that it can be cut off anywhere.

    Attributes:
        eta: Seconds that the vendor says it will take, or None.
        handle: What the vendor took it on as, where it goes on alone after this.
        done_at: When it was over, if that was later than its connection.
    """

    __slots__ = ("_run", "done_at", "error", "eta", "gate", "handle", "ticket", "watch")

    def __init__(self, dialect: Dialect, gate: Gate, run: Run) -> None:
        super().__init__(dialect, run.sink)
        self.gate = gate
        self._run = run
        self.ticket: Ticket | None = None
        self.watch: Watch | None = None
        self.handle: Handle | None = None
        self.eta: float | None = None
        self.done_at: float | None = None
        self.error: NbpError | None = None

    @property
    def sent(self) -> bool:
        """Bytes of the request may have left this machine."""
        return self.watch is not None and self.watch.sent

    @property
    def timings(self) -> Timings:
        if self.watch is not None:
            timings = self.watch.timings()
            if self.done_at is None:
                return timings
            return msgspec.structs.replace(timings, done=self.done_at)
        now = asyncio.get_running_loop().time()
        return Timings(now, now)

    async def run(
        self,
        wiring: Wiring,
        job: Job,
        request: HttpRequest,
        number: int,
        *,
        arm: Callable[[], Awaitable[None]] | None = None,
        wait_until: float | None = None,
    ) -> None:
        """Hold a slot, send, and read the answer to its end; `error` says what went wrong.

        The images of a good answer are in `collector`, not yet committed: the slot is free by
        then, and the connection closed. `arm` is awaited when nothing but the request itself is
        left to do, and may refuse. With `wait_until`, on the loop's clock, a slot that comes later
        is not waited for: `error` is a DeadlineError. A run that was stopped while this waited
        sends nothing: `error` is a StoppedError. In each of these cases `ticket` is None.
        """
        asked_at = asyncio.get_running_loop().time()
        try:
            ticket = self.ticket = await self._enter(job.most, arm, wait_until)
        except NbpError as exc:
            self.error = exc
            return
        try:
            if wiring.listeners:
                started = AttemptStarted(job=job, number=number, at=ticket.at)
                wiring.tell("on_attempt_started", started)
            self.watch = self._watch(wiring, job, asked_at, len(request.body))
            await self.exchange(wiring, wiring.transport, request, self.watch)
            self._note_handle()
        except NbpError as exc:
            if isinstance(exc, NoReplyError):
                exc.hint = exc.hint or _UNHEARD
            self.error = exc
        finally:
            self.gate.leave(ticket)

    def _note_handle(self) -> None:
        """A handle is no image yet: only what is known by it may bring one."""
        if self.answer is not None and self.answer.handle is not None:
            self.handle, self.eta = self.answer.handle, self.answer.eta
            self.answer = None

    def _watch(self, wiring: Wiring, job: Job, asked_at: float, size: int) -> Watch:
        vendor = wiring.profile.name
        spans = wiring.task_spans(submit=True) if self._run.by_tasks else wiring.spans(job)
        return Watch(spans, vendor=vendor, queued_at=asked_at, size=size)

    async def _enter(
        self, most: Decimal, arm: Callable[[], Awaitable[None]] | None, deadline: float | None
    ) -> Ticket:
        """Pass the gate, and arm; raises why not, and holds nothing then."""
        ticket = self.gate.enter_nowait() or await self._queue(most, deadline)
        try:
            self._run.check()
            if arm is not None:
                await arm()
        except BaseException:
            self.gate.settle(ticket, ZERO)
            self.gate.leave(ticket)
            raise
        return ticket

    async def _queue(self, most: Decimal, deadline: float | None) -> Ticket:
        """Wait in line, but not beyond the deadline or a stop."""
        try:
            async with asyncio.timeout_at(deadline):
                return await self._run.wait(lambda: self.gate.enter(most))
        except TimeoutError:
            problem = DeadlineError("The deadline came before the next attempt could leave.")
        raise problem
