"""The queue of a run without its makers: how it stands, who may spend what, what nobody wants."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Self

from nbp_async._base.errors import ConfigError
from nbp_async._client.outcome_waiters import OutcomeWaiters
from nbp_async._client.run_journal import join_run
from nbp_async._client.run_tickets import Ticket, TicketStatus, items_of, outcome_of, status_of
from nbp_async._journal.base import Journal
from nbp_async._journal.run_queue import Cancelled, Period, Purse, QueueCounts, RunQueue, queue_of
from nbp_async._journal.shared_journal import RunLimits, SharedJournal, as_shared
from nbp_async._models.outcomes import Outcome
from nbp_async._models.settings import Dollars, Limits, dollars

_PAGE = 500  # tickets of one question
_POLL = 1.0  # seconds between two looks of a process that is the only one


class RunControl:
    """The queue of a run that there is, for those who make no images: it needs no key.

    ```python
    async with RunControl("catalogue/") as run:
        print(await run.counts())
        await run.set_budget("ann", "50", per="month")
    ```

    Raises (where it is entered):
        NoRunError: There is no such run.
        JournalError: Its journal cannot be used, or is in a file that another process works on
            (RunBusyError). Nothing was changed.
    """

    def __init__(self, where: str | Path) -> None:
        """`where` is the run's folder, or its journal: a file or a database. Nothing is opened."""
        self._where = where
        self._journal: Journal | None = None
        self._queue: RunQueue | None = None
        self._changed = asyncio.Event()
        self._waiters: OutcomeWaiters | None = None

    async def wait(self, ticket: Ticket | int) -> Outcome:
        """The outcome of a ticket, made by whatever process.

        Raises:
            ConfigError: This run has no such ticket.
            JournalError: The run's journal cannot be used.
        """
        (item,) = items_of([ticket])
        queue = self._open_queue()
        entries = await queue.look([item])
        if not entries:
            raise ConfigError(f"This run has no ticket {item}.")
        assert self._waiters is not None, "it is open"
        return outcome_of(entries[0]) or await self._waiters.wait(item)

    async def status(self, tickets: Iterable[Ticket | int]) -> list[TicketStatus]:
        """How these stand; those that this run does not have are left out."""
        items = items_of(tickets)
        found = {one.entry.item: one for one in await self._open_queue().look(items)}
        return [status_of(found[item]) for item in items if item in found]

    async def tickets(self, owner: str, *, after: int = 0, count: int = 100) -> list[TicketStatus]:
        """Tickets of one owner with numbers above `after`, in order, at most `count` of them."""
        return list(map(status_of, await self._open_queue().owned(owner, after, count)))

    async def position(self, ticket: Ticket | int) -> int | None:
        """How many tickets are drawn before this one as the queue stands; None if it is not in
        the queue.
        """
        (item,) = items_of([ticket])
        return await self._open_queue().position(item)

    async def outcomes(self, owner: str) -> AsyncIterator[Outcome]:
        """What one owner's tickets have become so far, in the order of submission."""
        last = 0
        while page := await self._open_queue().owned(owner, last, _PAGE):
            for entry in page:
                outcome = outcome_of(entry)
                if outcome is not None:
                    yield outcome
            last = page[-1].entry.item

    async def watch(self) -> AsyncIterator[TicketStatus]:
        """Each ticket as it stands after each change from now on, until you leave.

        Several changes that follow each other closely may come as one.
        """
        queue = self._open_queue()
        mark = await queue.mark()
        while True:
            changed = self._changed
            entries, mark = await queue.changes(mark)
            for entry in entries:
                yield status_of(entry)
            await self._await_change(changed)

    async def cancel(
        self, tickets: Iterable[Ticket | int], *, accept_price: bool = False
    ) -> dict[int, Cancelled]:
        """Take tickets out of the queue, for nothing.

        Args:
            tickets: Those that are not wanted any more.
            accept_price: End those that are out as well: each may be billed, and brings no image.

        Returns: By the ticket's number: "cancelled"; "out", which goes on unless its price was
            accepted; or "ended", which has an outcome already.
        """
        said = await self._open_queue().cancel(items_of(tickets), out=accept_price)
        self._note_change()
        return said

    async def pause(self, reason: str = "It is paused.") -> None:
        """Let no process draw or send anything until `resume`; what is out goes on."""
        await self._open_queue().pause(reason or "It is paused.")

    async def resume(self) -> None:
        """Go on after `pause`."""
        await self._open_queue().pause("")
        self._note_change()

    async def counts(self) -> QueueCounts:
        """How many tickets there are in each state."""
        return await self._open_queue().counts()

    async def account(
        self, owner: str | None = None, *, since: date | None = None, until: date | None = None
    ) -> Purse:
        """What tickets hold and have cost, in US dollars.

        Args:
            owner: Whose; None (default) for all.
            since: The first day of submission (UTC), or None.
            until: The last one, or None.
        """
        return await self._open_queue().purse(owner, since, until)

    async def set_budget(self, owner: str, most: Dollars | None, *, per: Period = "all") -> None:
        """What an owner's tickets may cost: submissions and attempts beyond it are refused.

        Args:
            owner: Whose.
            most: US dollars; None for no limit.
            per: "day" or "month" (of submission, UTC), or "all" time, which is the default.
        """
        if per not in ("day", "month", "all"):
            raise ConfigError('is "day", "month" or "all".', option="per", value=per)
        amount = None if most is None else dollars(most, "most")
        await self._open_queue().set_budget(owner, per, amount)

    async def budgets(self, owner: str) -> dict[Period, Dollars]:
        """The budgets of an owner."""
        return dict(await self._open_queue().budgets(owner))

    async def limits(self) -> RunLimits:
        """What holds for all processes of the run together.

        Raises:
            ConfigError: The journal is a file: see `limit`.
        """
        return await self._open_shared().limits()

    async def limit(self, limits: Limits | RunLimits) -> None:
        """Set what holds for all processes of the run together: calls in flight, rate, spend.

        It is kept in the run's database until it is set again. A client's own limits hold as well.

        Raises:
            ConfigError: The journal is a file, which one process works on: that one's own limits
                hold.
        """
        shared = self._open_shared()
        await shared.limit(limits if isinstance(limits, RunLimits) else RunLimits.of(limits))

    async def aclose(self) -> None:
        """Leave the run."""
        if self._waiters is not None:
            self._waiters.close()
        journal, self._journal, self._queue = self._journal, None, None
        if journal is not None:
            await journal.aclose()

    async def __aenter__(self) -> Self:
        self._journal = await self._join()
        self._queue = queue_of(self._journal)
        if self._queue is None:
            await self._journal.aclose()
            raise ConfigError("This journal has no queue: give a folder, a file or a database.")
        self._waiters = OutcomeWaiters(self._queue.look, self._queue.poll or _POLL)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _join(self) -> Journal:
        return await join_run(self._where)

    def _open_queue(self) -> RunQueue:
        if self._queue is None:
            raise ConfigError("The run is not open: use it in `async with`.")
        return self._queue

    def _open_shared(self) -> SharedJournal:
        self._open_queue()
        shared = None if self._journal is None else as_shared(self._journal)
        if shared is None:
            raise ConfigError(
                "One process works on a run in a file: give the limits to its client."
            )
        return shared

    def _note_change(self) -> None:
        """Wake who waits here for something to change; other processes look again by themselves."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _await_change(self, changed: asyncio.Event) -> None:
        poll = self._open_queue().poll or _POLL
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(poll):
                await changed.wait()
