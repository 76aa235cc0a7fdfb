"""The gateway without HTTP: users submit to a run, one worker makes it, and all hear of it."""

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec

from nbp_async import BudgetError, Client, ConfigError, NbpError, Prompt, Run, Ticket, TicketStatus
from nbp_async.gateway.bodies import BadRequestError
from nbp_async.gateway.gateway_settings import GatewaySettings
from nbp_async.gateway.task_json import TaskNote, has_ended
from nbp_async.gateway.users import User

log = logging.getLogger("nbp_async.gateway")

_UNHEARD = 256  # changes that a slow listener may be behind
_AGAIN = 30.0  # seconds until the worker is started again after it was stopped by an error


class QueueFullError(Exception):
    """There are as many tasks waiting as may; ask again in `seconds`."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class OverBudgetError(Exception):
    """The user's money is not enough; `left` is what there is."""

    def __init__(self, message: str, left: Decimal | None) -> None:
        super().__init__(message)
        self.message = message
        self.left = left


class KeyReusedError(Exception):
    """The idempotency key stands for another request."""


@dataclass(slots=True)
class ServiceCounts:
    """What happened since this process began.

    Attributes:
        submitted: Tasks that were taken, by user.
        ended: Tasks that ended, by status.
    """

    submitted: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    ended: dict[str, int] = field(default_factory=lambda: defaultdict(int))


class Gateway:
    """One process of a gateway. Its run is open.

    Args:
        client: Asks the vendor.
        run: Has the tasks.
        settings: How it runs.

    Attributes:
        problem: Why nothing is made now, or "".
        draining: No new tasks are taken.
    """

    def __init__(self, client: Client, run: Run, settings: GatewaySettings) -> None:
        self.client = client
        self.run = run
        self.settings = settings
        self.counts = ServiceCounts()
        self.problem = ""
        self.draining = False
        self._listeners: dict[str | None, set[asyncio.Queue[TicketStatus]]] = defaultdict(set)
        self._stream: Any = None
        self._tasks: list[asyncio.Task[None]] = []
        self._ready = 0
        self._budgets: dict[str, tuple[Any, ...]] = {}

    def start(self) -> None:
        """Begin to work, and to tell of changes."""
        for main in (self._work(), self._tell()):
            self._tasks.append(asyncio.ensure_future(main))

    def begin_to_stop(self) -> None:
        """Take and send nothing more."""
        self.draining = True
        if self._stream is not None:
            self._stream.stop()

    async def drain(self) -> None:
        """Take and send nothing more; wait for what is out, as long as the settings allow."""
        self.begin_to_stop()
        if self._tasks:
            await asyncio.wait(self._tasks[:1], timeout=self.settings.drain)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def submit(
        self, user: User, prompt: Prompt, note: TaskNote, *, model: str | None = None, key: str = ""
    ) -> list[Ticket]:
        """Queue what a user asks for, with its price set aside.

        Raises:
            QueueFullError: Too many tasks wait.
            OverBudgetError: The user's money, or the whole run's, is not enough.
            KeyReusedError: The key stands for another request.
            BadRequestError: It cannot be made.
        """
        if self.draining or self._ready + prompt.n > self.settings.max_queued:
            raise QueueFullError(30)
        given: dict[str, Any] = {"owner": user.name, "note": msgspec.json.encode(note).decode()}
        if key:
            given["key"] = f"{user.name}:{key}"
        if model:
            given["model"] = model
        try:
            tickets = await self.run.submit([prompt], **given)
        except BudgetError as exc:
            raise OverBudgetError(exc.message, await self.left(user)) from None
        except ConfigError as exc:
            if exc.option == "key":
                raise KeyReusedError from None
            raise BadRequestError(str(exc), exc.option) from None
        self._ready += sum(ticket.is_new for ticket in tickets)
        self.counts.submitted[user.name] += sum(ticket.is_new for ticket in tickets)
        return tickets

    async def find(self, user: User, numbers: Sequence[int]) -> list[TicketStatus]:
        """Tasks of this user; an operator finds everybody's."""
        found = await self.run.status(numbers)
        return [one for one in found if one.owner == user.name or user.role == "operator"]

    async def wait(self, numbers: Sequence[int], seconds: float) -> bool:
        """Wait until all have ended; False if the time was up before."""
        waiting = [asyncio.ensure_future(self.run.wait(number)) for number in numbers]
        done, left = await asyncio.wait(waiting, timeout=seconds)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for task in done:
            task.result()
        return not left

    @contextlib.asynccontextmanager
    async def listening(self, user: User) -> AsyncIterator["asyncio.Queue[TicketStatus]"]:
        """Changes of this user's tasks, while the body runs. One that is too far behind misses the
        oldest: whoever asks for a task always has its latest state.
        """
        queue: asyncio.Queue[TicketStatus] = asyncio.Queue(_UNHEARD)
        whose = None if user.role == "operator" else user.name
        self._listeners[whose].add(queue)
        try:
            yield queue
        finally:
            self._listeners[whose].discard(queue)

    async def left(self, user: User) -> Decimal | None:
        """US dollars that the user may still spend; None without a budget."""
        budgets = await self.run.budgets(user.name)
        today = time.strftime("%Y-%m-%d", time.gmtime())
        left: Decimal | None = None
        for period, dollars in budgets.items():
            purse = await self.run.account(user.name, **_days_of(period, today))
            rest = Decimal(dollars) - purse.held - purse.spent - purse.maybe
            left = rest if left is None else min(left, rest)
        return left if left is None else max(left, Decimal(0))

    async def know(self, user: User) -> None:
        """Somebody asks: let the run know what this user may spend, where that has changed."""
        if self._budgets.get(user.name) != user.budgets:
            known = dict(user.budgets)
            for period in ("day", "month", "all"):
                await self.run.set_budget(user.name, known.get(period), per=period)
            self._budgets[user.name] = user.budgets

    async def _work(self) -> None:
        """Make what is queued. An error that stops the work is told, and it is begun again."""
        while not self.draining:
            self._stream = self.run.work(forever=True)
            try:
                async for outcome in self._stream:
                    self.problem = ""
                    self.counts.ended["completed" if outcome.ok else "failed"] += 1
            except NbpError as exc:
                self.problem = str(exc)
                log.error("The gateway makes nothing for %g s: %s", _AGAIN, exc)  # noqa: TRY400
            if not self.draining:
                self.problem = self.problem or "The vendor refuses everything."
                await asyncio.sleep(_AGAIN)

    async def _tell(self) -> None:
        """Tell listeners of changes, and count what waits."""
        counting = asyncio.ensure_future(self._count())
        try:
            async for status in self.run.watch():
                for whose in (status.owner, None):
                    for queue in self._listeners[whose]:
                        _put(queue, status)
        finally:
            counting.cancel()

    async def _count(self) -> None:
        while True:
            counts = await self.run.counts()
            self._ready = counts.ready + counts.later
            await asyncio.sleep(1.0)


def _put(queue: "asyncio.Queue[TicketStatus]", status: TicketStatus) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(status)


def _days_of(period: str, today: str) -> dict[str, Any]:
    from datetime import date

    day = date.fromisoformat(today)
    if period == "day":
        return {"since": day, "until": day}
    return {"since": day.replace(day=1)} if period == "month" else {}


def all_ended(statuses: Sequence[TicketStatus]) -> bool:
    return all(map(has_ended, statuses))
