"""One attempt: gate, send, receive, decode. Nothing is tried again here."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec

from nbp_async._base.errors import DeadlineError, NbpError, NoReplyError
from nbp_async._base.http import HttpRequest
from nbp_async._base.task_handle import Handle
from nbp_async._dialects.base import Dialect
from nbp_async._flow.call_state import CallState
from nbp_async._flow.endpoint import Endpoint, RequestTimeouts
from nbp_async._flow.exchange import Exchange
from nbp_async._flow.job_prices import price_kind
from nbp_async._flow.unread_reply import spool_for
from nbp_async._models.events import AttemptStarted
from nbp_async._models.outcomes import ZERO, Job, Timings, Via
from nbp_async._pacing.gate import GatePass
from nbp_async._transports.stage_timer import StageTimer

_NO_REPLY_HINT = "The vendor may go on, and bill, without us."


class Admission(NamedTuple):
    """A gate was passed; `queued_at` is when that began, on the loop's clock."""

    ticket: GatePass
    queued_at: float


class LiveAttempt(Exchange):
    """One attempt as far as it got; filled in while it goes, so that it can be cut off anywhere.

    Attributes:
        number: From 1, over all calls of the run.
        via: How its image is to come.
        backoff: Seconds that the prompt waited before it.
        cost_note: What is wrong with the tokens that the vendor counted, or "".
        gate: The gate of its model.
        ticket: What the gate gave it; None while it waits, and where it was rejected.
        timer: Times the request, once it is sent.
        handle: The task that the vendor answered with, if it goes on alone.
        eta: Seconds that the vendor says the task will take, or None.
        done_at: When it was over, if that was later than its connection.
        result: The request that brought its answer, if that was a later one.
    """

    __slots__ = (
        "_call",
        "_endpoint",
        "_job",
        "backoff",
        "cost_note",
        "done_at",
        "eta",
        "gate",
        "handle",
        "number",
        "result",
        "ticket",
        "timer",
        "via",
    )

    def __init__(
        self,
        endpoint: Endpoint,
        dialect: Dialect,
        call: CallState,
        job: Job,
        *,
        number: int,
        via: Via,
        backoff: float,
    ) -> None:
        super().__init__(dialect, call.sink)
        self.spool = spool_for(call.sink, endpoint.resources.files)
        self._endpoint = endpoint
        self._call = call
        self._job = job
        self.number = number
        self.via = via
        self.backoff = backoff
        self.cost_note = ""
        self.gate = endpoint.gate(job.model)
        self.ticket: GatePass | None = None
        self.timer: StageTimer | None = None
        self.handle: Handle | None = None
        self.eta: float | None = None
        self.done_at: float | None = None
        self.result: Exchange | None = None

    @property
    def sent(self) -> bool:
        """Bytes of the request may have left this machine."""
        return self.timer is not None and self.timer.sent

    @property
    def image_count(self) -> int:
        """How many images its answer has, drafts aside; 1 while nothing is known."""
        return max(1, len(self.answer.images or self.answer.links)) if self.answer else 1

    @property
    def timings(self) -> Timings:
        if self.timer is None:
            now = asyncio.get_running_loop().time()
            return Timings(now, now)
        timings = self.timer.timings()
        if self.done_at is None:
            return timings
        return msgspec.structs.replace(timings, done=self.done_at)

    async def run(
        self,
        request: HttpRequest,
        timeouts: RequestTimeouts,
        *,
        keep: Callable[[Exchange, NbpError], Awaitable[None]],
        arm: Callable[[], Awaitable[None]] | None = None,
        wait_until: float | None = None,
        admitted: Admission | None = None,
    ) -> None:
        """Hold a slot, send, and read the response to its end; then the slot is free.

        The images of a good response are in `collector`, not yet committed.

        Args:
            request: The request as it is sent.
            timeouts: Of the request.
            keep: Keeps a reply that cannot be read, before the slot is free for another.
            arm: Awaited when only the request itself is left to do; it may refuse.
            wait_until: The deadline, on the loop's clock: no slot is waited for beyond it.
            admitted: What the gate gave it already, if it was passed before.

        Raises:
            DeadlineError, StoppedError: While it waited for a slot, and what `arm` and the gate
                raise; `ticket` is None. Nothing was sent.
            NbpError: What went wrong with the request or its response.
        """
        queued_at = asyncio.get_running_loop().time() if admitted is None else admitted.queued_at
        self.ticket = ticket = await self._enter(arm, wait_until, admitted)
        try:
            await self._send(request, timeouts, ticket, queued_at)
        except NoReplyError as exc:
            exc.hint = exc.hint or _NO_REPLY_HINT
            raise
        except NbpError as exc:
            await keep(self, exc)
            raise
        finally:
            self.gate.leave(ticket)
        self._take_handle()

    def _take_handle(self) -> None:
        """A task is not an image yet: it is polled by its handle."""
        if self.answer is not None and self.answer.handle is not None:
            self.handle, self.eta = self.answer.handle, self.answer.eta
            self.answer = None

    def adopt(self, result: Exchange) -> None:
        """Its image came by another request: what that brought is its answer."""
        self.collector.discard()
        self.answer, self.collector, self.result = result.answer, result.collector, result

    def discard(self) -> None:
        super().discard()
        if self.result is not None:
            self.result.discard()

    async def _send(
        self, request: HttpRequest, timeouts: RequestTimeouts, ticket: GatePass, queued_at: float
    ) -> None:
        listeners, endpoint = self._call.listeners, self._endpoint
        if listeners:
            started = AttemptStarted(self._job, self.number, ticket.at, endpoint.name)
            listeners.notify("on_attempt_started", started)
        self.timer = StageTimer(
            timeouts,
            vendor=endpoint.profile.name,
            queued_at=queued_at,
            size=len(request.body),
        )
        watched = self._call.connections.watch(self.timer, endpoint.profile.name)
        try:
            await self.exchange(endpoint, endpoint.transport, request, self.timer)
        finally:
            if watched is not None:
                watched.cancel()

    async def _enter(
        self,
        arm: Callable[[], Awaitable[None]] | None,
        deadline: float | None,
        admitted: Admission | None,
    ) -> GatePass:
        """Pass the gate, and arm; raises why not, and holds nothing then."""
        if admitted is not None:
            ticket = admitted.ticket
        else:
            ticket = self.gate.enter_nowait() or await self._queue(deadline)
        try:
            self._call.check()
            if arm is not None:
                await arm()
        except BaseException:
            self.gate.settle(ticket, ZERO)
            self.gate.leave(ticket)
            raise
        return ticket

    async def _queue(self, deadline: float | None) -> GatePass:
        """Wait in line, but not beyond the deadline or a stop."""
        job = self._job
        try:
            async with asyncio.timeout_at(deadline):
                return await self._call.wait(lambda: self.gate.enter(job.most, price_kind(job)))
        except TimeoutError:
            raise DeadlineError("The deadline came before the next attempt could leave.") from None
