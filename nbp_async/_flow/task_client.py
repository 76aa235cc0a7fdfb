"""A task at the vendor, from its submit to its result: wait, poll, and poll again.

It holds no slot and no connection meanwhile. Polling is free and may be repeated; whatever goes
wrong with it leaves the task where it is, under its id.
"""

import asyncio
import logging
from copy import copy
from dataclasses import dataclass
from typing import Self

from nbp_async._base.errors import (
    AuthError,
    ContentBlockedError,
    InvalidRequestError,
    MalformedReplyError,
    NbpError,
    NoImageError,
    RefusedError,
    TaskError,
    TaskFailedError,
    TaskLostError,
    TaskOpenError,
)
from nbp_async._base.http import HttpRequest
from nbp_async._base.task_handle import Handle
from nbp_async._dialects.openai_images import BLOCKED
from nbp_async._dialects.task_dialect import TaskImages
from nbp_async._flow.endpoint import Endpoint
from nbp_async._flow.exchange import Exchange
from nbp_async._flow.unread_reply import ReplyOrigin, keep_unread, spool_for
from nbp_async._pacing.poll_hints import PollHints
from nbp_async._pacing.poll_schedule import PollSchedule, TypicalDurations
from nbp_async._pacing.slots import Slots
from nbp_async._pacing.token_bucket import RateLimiter
from nbp_async._sinks.base import Sink
from nbp_async._transports.base import Transport
from nbp_async._transports.stage_timer import StageTimer

log = logging.getLogger("nbp_async")

MAX_POLLS = 16  # that are out at the same time
_UNREADABLE = 3  # answers in a row that refuse the key, or cannot be read
_LATE_RESTS = (0.5, 2.0, 5.0, 10.0)  # seconds before each further poll once it is late
_UNKNOWN_FOR, _UNKNOWN_POLLS = 60.0, 5  # how long, and how often, "no such task" is not believed


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingTask:
    """A task that was submitted.

    Attributes:
        handle: What it is polled by.
        model: The model that was requested, for paths that contain it.
        tier: "1K", "2K" or "4K": how long it may take.
        eta: Seconds that it takes according to the service, or None.
        resumed: It was submitted by an earlier call.
        origin: What its result answers; None if a result that cannot be read is not kept.
    """

    handle: Handle
    model: str
    tier: str
    eta: float | None = None
    resumed: bool = False
    origin: ReplyOrigin | None = None


class TaskClient:
    """Polls the tasks of a client. Belongs to one event loop.

    Attributes:
        endpoint: Who is asked.
        dialect: How a task is submitted and polled.
        transport: Connections for polling, which are reused.
        hints: Of tasks that webhooks tell of.
        open: Tasks that are open at the same time.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        dialect: TaskImages,
        transport: Transport,
        *,
        pace: RateLimiter,
        max_open: int,
    ) -> None:
        self.endpoint = endpoint
        self.dialect = dialect
        self.transport = transport
        self.hints = PollHints()
        self.open = Slots(max_open)
        self._pace = pace
        self._polls = Slots(MAX_POLLS)
        self._durations = TypicalDurations(dialect.table.usual)
        self._cancellations: set[asyncio.Task[None]] = set()

    def with_dialect(self, dialect: TaskImages) -> Self:
        """The same client with another dialect; only the first is closed."""
        other = copy(self)
        other.dialect = dialect
        return other

    async def result(self, task: PendingTask, sink: Sink) -> Exchange:
        """Wait for a task; the poll that brought its answer, with images not yet committed.

        The caller discards it.

        Raises:
            TaskError: It failed, is lost, or is not done in time.
            NoImageError: It is done, and has none.
            MalformedReplyError: It is done, and its images cannot be read.
        """
        poller = Poller(self, task, sink)
        try:
            return await poller.wait()
        finally:
            poller.discard()

    def schedule(self, task: PendingTask) -> PollSchedule:
        schedule = PollSchedule(
            self._durations.estimate(task.tier),
            self.endpoint.resources.rng,
            hinted=bool(self.dialect.callback),
            at_once=task.resumed,
        )
        if task.eta is not None and not task.resumed:
            schedule.expect(task.eta)
        return schedule

    def learn(self, task: PendingTask, seconds: float) -> None:
        """A task took so long: the next ones are expected to take as long."""
        if not task.resumed:
            self._durations.learn(task.tier, seconds)

    def time_limit(self, task: PendingTask) -> float:
        """Seconds until a task must be done."""
        given = self.endpoint.resources.timeouts.task
        return given or 2 * self.endpoint.read_timeout(task.tier)

    async def poll(self, task: PendingTask, handle: Handle, exchange: Exchange) -> None:
        """Ask once, in turn.

        Raises:
            NbpError: There is no response, or it cannot be read.
        """
        await self._pace.acquire()
        await self._polls.acquire()
        try:
            key = self.endpoint.key.reveal()
            await self._send(exchange, self.dialect.poll(handle, task.model, key), handle)
        finally:
            self._polls.release()

    async def keep(self, exchange: Exchange, error: NbpError, task: PendingTask) -> None:
        """Keep what a poll brought, if it is a result that cannot be read."""
        if task.origin is not None:
            await keep_unread(exchange, error, self.endpoint, task.origin)

    async def cancel(self, task: PendingTask, sink: Sink) -> None:
        """Ask the service to cancel it, where it can. The next poll tells what became of it."""
        key = self.endpoint.key.reveal()
        request = self.dialect.cancel(task.handle, task.model, key)
        if request is None:
            return
        exchange = Exchange(self.dialect, sink)
        try:
            await self._send(exchange, request, task.handle)
        except NbpError as exc:
            log.debug("%s", exc)
        finally:
            exchange.discard()

    def cancel_soon(self, task: PendingTask, sink: Sink) -> None:
        """The same, without waiting for it.

        The caller is being cancelled and must not wait for the network. The request is a task of
        its own, held here because an event loop holds none, and `aclose` waits for it.
        """
        cancellation = asyncio.get_running_loop().create_task(self.cancel(task, sink))
        self._cancellations.add(cancellation)
        cancellation.add_done_callback(self._cancellations.discard)

    async def aclose(self) -> None:
        """Wait for what is under way, at most as long as one request may take."""
        if self._cancellations:
            await asyncio.wait(self._cancellations)
        await self.transport.aclose()

    async def _send(self, exchange: Exchange, request: HttpRequest, handle: Handle) -> None:
        endpoint = self.endpoint
        timer = StageTimer(
            endpoint.timeouts(endpoint.resources.timeouts.poll),
            vendor=endpoint.profile.name,
            queued_at=asyncio.get_running_loop().time(),
        )
        decoder = self.dialect.poll_decoder(handle)
        await exchange.exchange(endpoint, self.transport, request, timer, decoder)


class Poller:
    """One task being waited for."""

    def __init__(self, client: TaskClient, task: PendingTask, sink: Sink) -> None:
        self._client = client
        self._task = task
        self._sink = sink
        self._vendor = client.endpoint.profile.name
        self._handle = task.handle
        self._schedule = client.schedule(task)
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._ends = self._began + client.time_limit(task)
        self._unknown = self._unreadable = 0  # answers in a row
        self._unknown_since = 0.0
        self._ready = False  # its result is known to be there: fetch it at once
        self._has_answered = False  # the last poll said how it stands
        self._last: Exchange | None = None

    async def wait(self) -> Exchange:
        result = None
        while result is None and self._loop.time() < self._ends:
            await self._sleep()
            result = await self._poll()
        if result is None:
            result = await self._poll_late()
        self._client.learn(self._task, self._waited)
        return result

    async def _poll_late(self) -> Exchange:
        """The deadline came: cancel, but not before the service says that it is not done.

        A poll that fails at this moment must not cancel a task that is done and paid.
        """
        for rest in _LATE_RESTS:
            if self._has_answered and not self._ready:
                break
            await asyncio.sleep(0.0 if self._ready else rest)
            result = await self._poll()
            if result is not None:
                return result
        await self._client.cancel(self._task, self._sink)
        result = await self._poll()
        if result is None:
            raise self._open(f"is not done after {self._waited:.0f} s")
        return result

    def discard(self) -> None:
        """Discard the images of the last poll, unless they were handed out."""
        if self._last is not None:
            self._last.discard()

    @property
    def _waited(self) -> float:
        return self._loop.time() - self._began

    async def _sleep(self) -> None:
        """Until the next poll is due, or a webhook says that the task is done."""
        if self._ready:
            return
        seconds = min(self._schedule.wait(self._waited), self._ends - self._loop.time())
        await self._client.hints.wait(self._handle.id, seconds)

    async def _poll(self) -> Exchange | None:
        """Poll once: the result, or None to go on."""
        self.discard()
        self._ready = self._has_answered = False
        client, files = self._client, self._client.endpoint.resources.files
        self._last = exchange = Exchange(client.dialect, self._sink)
        exchange.spool = spool_for(self._sink, files)
        try:
            await client.poll(self._task, self._handle, exchange)
        except (TaskError, NoImageError) as exc:
            await client.keep(exchange, exc, self._task)
            raise
        except NbpError as exc:
            await self._record_error(exc, exchange)
            return None
        self._unknown = self._unreadable = 0
        self._has_answered = True
        answer = exchange.answer
        assert answer is not None, "an exchange without an error has one"
        if answer.handle is None:
            self._last = None
            return exchange
        self._handle = answer.handle
        if answer.eta is not None:
            self._ready = answer.eta == 0
            self._schedule.expect(answer.eta)
        return None

    async def _record_error(self, error: NbpError, exchange: Exchange) -> None:
        """A poll failed: go on, or raise that the task is lost or stays open."""
        now = self._loop.time()
        if isinstance(error, InvalidRequestError) and error.status in (400, 422):
            self._raise_if_final(error)
        if isinstance(error, InvalidRequestError) and error.status in (404, 410):
            self._unknown_since = now if not self._unknown else self._unknown_since
            self._unknown += 1
            if self._unknown >= _UNKNOWN_POLLS and now - self._unknown_since >= _UNKNOWN_FOR:
                raise TaskLostError(
                    f"{self._vendor} accepted task {self._handle.id}, and does not know it any "
                    f"more: {error}",
                    task=self._handle.id,
                ) from error
            return
        if isinstance(error, AuthError | MalformedReplyError | InvalidRequestError):
            self._unreadable += 1
            if self._unreadable >= _UNREADABLE:
                why = str(error).removesuffix(".")
                await self._client.keep(exchange, error, self._task)
                stays_open = self._open(f"cannot be polled: {why}")
                stays_open.unread = error.unread
                raise stays_open from error
            return
        if isinstance(error, RefusedError) and error.retry_after:
            await asyncio.sleep(min(error.retry_after, max(0.0, self._ends - now)))

    def _raise_if_final(self, error: InvalidRequestError) -> None:
        """The task is done, and its result is a refusal: fal answers so to what it blocked."""
        if not self._handle.result or self._handle.look != self._handle.result:
            return
        message = f"{self._vendor}: task {self._handle.id} is done, without an image: {error}"
        if any(blocked in error.code.lower() for blocked in BLOCKED):
            raise ContentBlockedError(message, reason=error.code)
        billing = self._client.dialect.table.billed_failed
        raise TaskFailedError(message, task=self._handle.id, billing=billing)

    def _open(self, why: str) -> TaskOpenError:
        return TaskOpenError(
            f"Task {self._handle.id} at {self._vendor} {why}.",
            task=self._handle.id,
            hint="It may be billed. With a journal, the same call made again polls it again.",
        )
