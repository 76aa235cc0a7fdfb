"""One try, told in order: gate, send, receive, decode. Nothing is tried again here."""

import asyncio
from collections.abc import Callable

from nbp_async._dialects.base import Answer, Decoder
from nbp_async._errors import (
    BodyTooLargeError,
    DeadlineError,
    MalformedReplyError,
    NbpError,
    RefusedError,
    StoppedError,
)
from nbp_async._events import AttemptStarted
from nbp_async._flow.wiring import Wiring
from nbp_async._http import HttpRequest, ReplyHead
from nbp_async._images.collect import Collector
from nbp_async._models import Job, Timings
from nbp_async._pacing.gate import Gate, Ticket
from nbp_async._pacing.retry_after import parse_retry_after
from nbp_async._pacing.slots import Slots
from nbp_async._sinks.base import Sink
from nbp_async._transports.base import Reply, Watch

_SUCCESS = (200, 201)
_MOST_OF_A_REFUSAL = 64 * 1024  # bytes
_LARGE_PIECE = 16 * 1024  # bytes that take long enough to let others run in between


class Try:
    """One attempt as far as it got; filled in while it goes, so that it can be cut off anywhere."""

    __slots__ = (
        "_refused", "_stopped", "answer", "collector", "error", "gate", "head", "ticket", "watch"
    )  # fmt: skip

    def __init__(self, gate: Gate, stopped: Callable[[], NbpError | None]) -> None:
        self.gate = gate
        self._stopped = stopped
        self.ticket: Ticket | None = None
        self.watch: Watch | None = None
        self.head: ReplyHead | None = None
        self.answer: Answer | None = None
        self.collector: Collector | None = None
        self.error: NbpError | None = None
        self._refused = b""

    @property
    def sent(self) -> bool:
        """Bytes of the request may have left this machine."""
        return self.watch is not None and self.watch.sent

    @property
    def timings(self) -> Timings:
        now = asyncio.get_running_loop().time()
        return self.watch.timings() if self.watch is not None else Timings(now, now)

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
        wait_until: float | None = None,
    ) -> None:
        """Hold a slot, send, and read the answer to its end; `error` says what went wrong.

        The images of a good answer are in `collector`, not yet committed: the slot is free by
        then, and the connection closed. With `wait_until`, on the loop's clock, a slot that comes
        later is not waited for: `error` is a DeadlineError. A run that was stopped while this
        waited sends nothing: `error` is a StoppedError. Either way `ticket` is None.
        """
        asked_at = asyncio.get_running_loop().time()
        ticket = self.ticket = await self._enter(wait_until)
        if ticket is None:
            return
        try:
            if wiring.listeners:
                started = AttemptStarted(job=job, number=number, at=ticket.at)
                wiring.tell("on_attempt_started", started)
            self.watch = Watch(
                wiring.spans(job),
                vendor=wiring.profile.name,
                queued_at=asked_at,
                size=len(request.body),
            )
            await self._exchange(wiring, request, self.watch)
        except NbpError as exc:
            self.error = exc
            # Frames would keep the request, and the key in it, alive and in every report.
            exc.__traceback__ = exc.__context__ = exc.__cause__ = None
            _hide(exc, wiring.key.reveal())
        finally:
            self.gate.leave(ticket)

    async def _enter(self, deadline: float | None) -> Ticket | None:
        """Pass the gate; None, and why in `error`, if the deadline or a stop comes first."""
        if deadline is None:
            ticket = await self.gate.enter()
        else:
            try:
                async with asyncio.timeout_at(deadline):
                    ticket = await self.gate.enter()
            except TimeoutError:
                self.error = DeadlineError("The deadline came before the next attempt could leave.")
                return None
        reason = self._stopped()
        if reason is None:
            return ticket
        self.gate.leave(ticket)
        self.error = StoppedError(f"Not sent: the run was stopped. {reason}")
        return None

    def open(self, sink: Sink) -> None:
        """Say where the images go."""
        self.collector = Collector(sink)

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
        while data := await reply.read():
            size += len(data)
            if size > max_body:
                raise BodyTooLargeError(f"The answer is over max_body={max_body} bytes.")
            watch.received(len(data))
            watch.rest()
            await self._take(wiring.turns, decoder, data)
            watch.resume()
            if length is None and decoder.complete:
                watch.whole()

    async def _take(self, turns: Slots, decoder: Decoder, data: bytes) -> None:
        """Decode and store a piece, in turn.

        When a hundred bodies arrive at once, a few at a time are worked on: what they need stays
        in the processor's cache, and the loop gets round between two rounds of them.
        """
        assert self.collector is not None
        await turns.acquire()
        try:
            parts = decoder.feed(data)
            if parts:
                await self.collector.take(parts)
            if len(data) > _LARGE_PIECE:
                await asyncio.sleep(0)
        finally:
            turns.release()

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
