"""A task at the vendor, from its submit to its result: wait, look, and look again.

It holds no slot and no connection meanwhile. Looks are free and may be repeated; whatever goes
wrong with them leaves the task where it is, under its id.
"""

import asyncio
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Self

from nbp_async._dialects.base import Answer
from nbp_async._dialects.tasks import TaskImages
from nbp_async._errors import (
    AuthError,
    InvalidRequestError,
    MalformedReplyError,
    NbpError,
    NoImageError,
    RefusedError,
    TaskError,
    TaskLostError,
    TaskOpenError,
)
from nbp_async._flow.exchange import Exchange
from nbp_async._flow.wiring import Wiring, log
from nbp_async._handle import Handle
from nbp_async._http import HttpRequest
from nbp_async._images.collect import Collector
from nbp_async._pacing.bucket import RateLimiter
from nbp_async._pacing.hints import Hints
from nbp_async._pacing.looks import Looks, Usual
from nbp_async._pacing.slots import Slots
from nbp_async._sinks.base import Sink
from nbp_async._transports.base import Transport, Watch

AT_ONCE = 16  # looks that are out at the same time
_STRANGE = 3  # answers in a row that make no sense, or whose image is broken
_UNKNOWN_FOR, _UNKNOWN_LOOKS = 60.0, 5  # how long, and how often, "no such task" is not believed
_MOST_AUTH_FAILURES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A task that was submitted.

    Attributes:
        handle: What to ask for it by.
        model: The model that was asked, for paths that have it in them.
        tier: "1K", "2K" or "4K": how long it may take.
        eta: Seconds that the service said it takes, or None.
        resumed: It was submitted by an earlier call.
    """

    handle: Handle
    model: str
    tier: str
    eta: float | None = None
    resumed: bool = False


class Desk:
    """Where a client asks how its tasks stand. Belongs to one event loop."""

    def __init__(
        self,
        dialect: TaskImages,
        transport: Transport,
        *,
        pace: RateLimiter,
        max_open: int,
        rng: Callable[[], float],
    ) -> None:
        self.dialect = dialect
        self.transport = transport
        self.hints = Hints()
        self.open = Slots(max_open)
        self._pace = pace
        self._at_once = Slots(AT_ONCE)
        self._rng = rng
        self._usual = Usual(dialect.table.usual)
        self._farewells: set[asyncio.Task[None]] = set()

    def asking(self, dialect: TaskImages) -> Self:
        """The same desk in other words; only the first is closed."""
        other = copy(self)
        other.dialect = dialect
        return other

    async def result(self, wiring: Wiring, asked: Asked, sink: Sink) -> tuple[Answer, Collector]:
        """Wait for a task; its answer, and the images that came with it, not yet committed.

        Raises:
            TaskError: It failed, is lost, or is not done in time.
            NoImageError: It is done, and brought none.
            MalformedReplyError: It is done, and its images cannot be read.
        """
        vigil = _Vigil(self, wiring, asked, sink)
        try:
            return await vigil.keep()
        finally:
            vigil.forget()

    def looks(self, asked: Asked) -> Looks:
        hinted = bool(self.dialect.callback)
        looks = Looks(self._usual.of(asked.tier), self._rng, hinted=hinted, at_once=asked.resumed)
        if asked.eta is not None and not asked.resumed:
            looks.expect(asked.eta)
        return looks

    def learn(self, asked: Asked, seconds: float) -> None:
        if not asked.resumed:
            self._usual.learn(asked.tier, seconds)

    async def look(self, wiring: Wiring, asked: Asked, handle: Handle, sink: Sink) -> Exchange:
        """Ask once, in turn. The caller discards what it collects.

        Raises:
            NbpError: There is no answer, or not one that makes sense.
        """
        await self._pace.acquire()
        await self._at_once.acquire()
        found = Exchange(self.dialect, sink)
        try:
            request = self.dialect.look(handle, asked.model, wiring.key.reveal())
            await self._exchange(wiring, found, request, handle)
        except BaseException:
            found.collector.discard()
            raise
        finally:
            self._at_once.release()
        return found

    async def cancel(self, wiring: Wiring, asked: Asked, sink: Sink) -> None:
        """Ask the service to cancel it, where it can. What became of it, a look will tell."""
        request = self.dialect.cancel(asked.handle, asked.model, wiring.key.reveal())
        if request is None:
            return
        said = Exchange(self.dialect, sink)
        try:
            await self._exchange(wiring, said, request, asked.handle)
        except NbpError as exc:
            log.debug("%s", exc)
        finally:
            said.collector.discard()

    def cancel_soon(self, wiring: Wiring, asked: Asked, sink: Sink) -> None:
        """The same, without waiting for it; `aclose` does."""
        task = asyncio.get_running_loop().create_task(self.cancel(wiring, asked, sink))
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)

    async def aclose(self) -> None:
        """Wait for what is under way, at most as long as one request may take."""
        if self._farewells:
            await asyncio.wait(self._farewells)
        await self.transport.aclose()

    async def _exchange(
        self, wiring: Wiring, found: Exchange, request: HttpRequest, handle: Handle
    ) -> None:
        spans, vendor = wiring.task_spans(submit=False), wiring.profile.name
        now = asyncio.get_running_loop().time()
        watch = Watch(spans, vendor=vendor, queued_at=now)
        decoder = self.dialect.look_decoder(handle)
        await found.exchange(wiring, self.transport, request, watch, decoder)


class _Vigil:
    """One task being waited for."""

    def __init__(self, desk: Desk, wiring: Wiring, asked: Asked, sink: Sink) -> None:
        self._desk = desk
        self._w = wiring
        self._asked = asked
        self._sink = sink
        self._handle = asked.handle
        self._looks = desk.looks(asked)
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._ends = self._began + wiring.task_span(asked.tier)
        self._unknown = self._strange = self._refused = 0
        self._unknown_since = 0.0
        self._ready = False  # its result is known to be there: fetch it at once
        self._last: Exchange | None = None

    async def keep(self) -> tuple[Answer, Collector]:
        while True:
            await self._rest()
            late = self._loop.time() >= self._ends
            if late:
                await self._desk.cancel(self._w, self._asked, self._sink)
            came = await self._look()
            if came is not None:
                self._desk.learn(self._asked, self._waited)
                return came
            if late:
                raise self._open(f"is not done after {self._waited:.0f} s")

    def forget(self) -> None:
        """Discard what the last look brought, unless it was handed out."""
        if self._last is not None:
            self._last.collector.discard()

    @property
    def _waited(self) -> float:
        return self._loop.time() - self._began

    async def _rest(self) -> None:
        if self._ready:
            self._ready = False
            return
        seconds = min(self._looks.wait(self._waited), self._ends - self._loop.time())
        await self._desk.hints.wait(self._handle.id, seconds)

    async def _look(self) -> tuple[Answer, Collector] | None:
        """Look once: what came, or None to go on."""
        try:
            self._last = found = await self._desk.look(
                self._w, self._asked, self._handle, self._sink
            )
        except (TaskError, NoImageError):
            raise
        except NbpError as exc:
            await self._trouble(exc)
            return None
        self._unknown = self._strange = self._refused = 0
        answer = found.answer
        assert answer is not None, "an exchange without an error has one"
        if answer.handle is None:
            self._last = None
            return answer, found.collector
        found.collector.discard()
        self._handle = answer.handle
        if answer.eta is not None:
            self._ready = answer.eta == 0
            self._looks.expect(answer.eta)
        return None

    async def _trouble(self, error: NbpError) -> None:
        """A look brought nothing: bear it, or say that the task is lost or stays open."""
        now = self._loop.time()
        if isinstance(error, InvalidRequestError) and error.status in (404, 410):
            self._unknown_since = now if not self._unknown else self._unknown_since
            self._unknown += 1
            long_enough = now - self._unknown_since >= _UNKNOWN_FOR
            if self._unknown >= _UNKNOWN_LOOKS and long_enough:
                raise TaskLostError(
                    f"{self._w.profile.name} took task {self._handle.id} on, and does not know it "
                    f"any more: {error}",
                    task=self._handle.id,
                )
            return
        if isinstance(error, AuthError | MalformedReplyError | InvalidRequestError):
            self._strange += 1
            most = _MOST_AUTH_FAILURES if isinstance(error, AuthError) else _STRANGE
            if self._strange >= most:
                raise self._open(f"cannot be asked for: {str(error).removesuffix('.')}")
            return
        if isinstance(error, RefusedError) and error.retry_after:
            await asyncio.sleep(min(error.retry_after, max(0.0, self._ends - now)))

    def _open(self, why: str) -> TaskOpenError:
        return TaskOpenError(
            f"Task {self._handle.id} at {self._w.profile.name} {why}.",
            task=self._handle.id,
            hint="It may be billed. With a journal the same call, made again, asks for it again.",
        )
