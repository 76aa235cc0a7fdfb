"""One try, told in order: gate, send, receive, decode. Nothing is tried again here."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal

from nbp_async._dialects.base import Answer, Decoder
from nbp_async._errors import (
    BodyTooLargeError,
    DeadlineError,
    MalformedReplyError,
    NbpError,
    RefusedError,
)
from nbp_async._events import AttemptStarted
from nbp_async._flow.run import Run
from nbp_async._flow.wiring import Wiring
from nbp_async._http import HttpRequest, ReplyHead
from nbp_async._images.collect import Collector
from nbp_async._models import ZERO, Job, Timings
from nbp_async._pacing.gate import Gate, Ticket
from nbp_async._pacing.retry_after import parse_retry_after
from nbp_async._pacing.turns import Turn
from nbp_async._transports.base import Reply, Watch

_SUCCESS = (200, 201)
_MOST_OF_A_REFUSAL = 64 * 1024  # bytes
_LARGE_PIECE = 16 * 1024  # bytes that take long enough to let others run in between


class Try:
    """One attempt as far as it got; filled in while it goes, so that it can be cut off anywhere."""

    __slots__ = (
        "_refused", "_run", "answer", "collector", "error", "gate", "head", "ticket", "watch"
    )  # fmt: skip

    def __init__(self, gate: Gate, run: Run) -> None:
        self.gate = gate
        self._run = run
        self.ticket: Ticket | None = None
        self.watch: Watch | None = None
        self.head: ReplyHead | None = None
        self.answer: Answer | None = None
        self.collector = Collector(run.sink)
        self.error: NbpError | None = None
        self._refused = b""

    @property
    def sent(self) -> bool:
        """Bytes of the request may have left this machine."""
        return self.watch is not None and self.watch.sent

    @property
    def timings(self) -> Timings:
        if self.watch is not None:
            return self.watch.timings()
        now = asyncio.get_running_loop().time()
        return Timings(now, now)

    @property
    def request_id(self) -> str:
        from_head = self.head.request_id if self.head is not None else ""
        return from_head or (self.answer.request_id if self.answer is not None else "")

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
            await self._exchange(wiring, request, self.watch)
        except NbpError as exc:
            self.error = exc
            # Frames would keep the request, and the key in it, alive and in every report.
            exc.__traceback__ = exc.__context__ = exc.__cause__ = None
            _hide(exc, wiring.key.reveal())
        finally:
            self.gate.leave(ticket)

    def _watch(self, wiring: Wiring, job: Job, asked_at: float, size: int) -> Watch:
        spans, vendor = wiring.spans(job), wiring.profile.name
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

    async def _exchange(self, wiring: Wiring, request: HttpRequest, watch: Watch) -> None:
        decoder = wiring.dialect.decoder()
        try:
            async with watch, wiring.transport.send(request, watch) as reply:
                self.head = head = reply.head
                if head.status in _SUCCESS:
                    await self._receive(wiring, reply, watch, decoder)
                else:
                    await self._read_refusal(reply, watch)
        except MalformedReplyError:
            # A refusal is one whether or not its text came whole.
            if self.head is None or self.head.status in _SUCCESS:
                raise
        if self.head is not None and self.head.status not in _SUCCESS:
            raise self._refusal(self.head, wiring)
        self.answer = decoder.close()

    async def _receive(self, wiring: Wiring, reply: Reply, watch: Watch, decoder: Decoder) -> None:
        length, max_body = reply.head.length, wiring.limits.max_body
        if length is not None and length > max_body:
            raise BodyTooLargeError(f"An answer of {length} bytes is over max_body={max_body}.")
        size = 0
        turn = Turn(wiring.turns)
        try:
            while data := await reply.read():
                size += len(data)
                if size > max_body:
                    raise BodyTooLargeError(f"The answer is over max_body={max_body} bytes.")
                watch.received(len(data))
                watch.rest()
                await turn.begin()
                await self._take(decoder, data)
                turn.pause(len(data))
                watch.resume()
                if length is None and decoder.complete:
                    watch.whole()
        finally:
            turn.end()

    async def _take(self, decoder: Decoder, data: bytes) -> None:
        """Decode and store a piece."""
        parts = decoder.feed(data)
        if parts:
            await self.collector.take(parts)
        if len(data) > _LARGE_PIECE:
            await asyncio.sleep(0)

    async def _read_refusal(self, reply: Reply, watch: Watch) -> None:
        while len(self._refused) < _MOST_OF_A_REFUSAL and (data := await reply.read()):
            watch.received(len(data))
            self._refused += data

    def _refusal(self, head: ReplyHead, wiring: Wiring) -> RefusedError:
        # A vendor may repeat the key that it refuses, in whatever shape keys have there.
        said = self._refused.replace(wiring.key.reveal().encode(), b"[hidden]")
        error = wiring.dialect.refusal(head, said, wiring.profile)
        asked = parse_retry_after(head.headers, now=wiring.wall_clock)
        if asked is not None:
            error.retry_after = max(asked, error.retry_after or 0.0)
        return error


def _hide(error: NbpError, key: str) -> None:
    """Take the key out of a vendor's words, whatever shape keys have there."""
    error.args = tuple(str(part).replace(key, "[hidden]") for part in error.args)
    for name, value in vars(error).items():
        if isinstance(value, str) and key in value:
            setattr(error, name, value.replace(key, "[hidden]"))
