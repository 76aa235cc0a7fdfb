"""A run as a durable queue: submitted to, worked on and waited for by any number of processes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import date
from types import TracebackType
from typing import Self

from nbp_async._base.errors import ConfigError
from nbp_async._calls.call import Opened
from nbp_async._calls.plan import Stream
from nbp_async._client.keyword_options import takes
from nbp_async._client.options import CallOptions
from nbp_async._client.outcome_waiters import OutcomeWaiters
from nbp_async._client.run_submission import RunParts, submissions_of
from nbp_async._client.run_tickets import (
    Ticket,
    TicketStatus,
    items_of,
    outcome_of,
    status_of,
    tickets_of,
)
from nbp_async._client.run_work import RunWork
from nbp_async._client.submit_options import SubmitOptions
from nbp_async._flow.job_source import Prompts
from nbp_async._journal.base import Journal
from nbp_async._journal.run_queue import (
    Cancelled,
    Period,
    Purse,
    QueueCounts,
    QueueEntry,
    QueueTerms,
    RunQueue,
    queue_of,
)
from nbp_async._journal.shared_journal import RunLimits, as_shared
from nbp_async._journal.write_errors import over_limit
from nbp_async._models.events import Listener
from nbp_async._models.outcomes import ZERO, Job, Outcome
from nbp_async._models.settings import Dollars, Limits, dollars

_PAGE = 500  # tickets of one question
_POLL = 1.0  # seconds between two looks of a process that is the only one
_OF_IMAGES = ("size", "aspect_ratio", "model", "quality", "thinking", "tier")


class Run:
    """A queue of images that outlives its processes: what `Client.open_run` gives.

    ```python
    async with Client.from_env() as gen, gen.open_run("catalogue/") as run:
        tickets = await run.submit(["a red bicycle", "a green one"], size="4K")
        async for outcome in run.work():
            print(outcome)
        image = await run.wait(tickets[0])
    ```

    Submitting sets the price aside and queues the image in one commit. Working draws from the
    queue, in any process that has the same run open; what a killed one had out is named as possibly
    billed, and never queued again.
    """

    def __init__(self, parts: RunParts, options: CallOptions) -> None:
        """Nothing is opened or sent."""
        self._parts = parts
        self._options = options
        self._journal: Journal | None = None
        self._queue: RunQueue | None = None
        self._works: list[RunWork] = []
        self._changed = asyncio.Event()
        self._waiters: OutcomeWaiters | None = None

    @takes(SubmitOptions)
    async def submit(self, prompts: Prompts, options: SubmitOptions) -> list[Ticket]:
        """Queue one image per prompt (and per copy), with its price set aside, in one commit.

        References are read, and stored with the run: the process that makes the image needs no
        file of this one. Memory follows the number of prompts: submit a million in pieces.

        Args:
            prompts: As `Client.many` takes them.

        Returns: A ticket for each image; with `part`, for those that the money was enough for.

        Raises:
            BudgetError: `max_cost` or the owner's budget has no room for all. Nothing was queued.
            ConfigError: A prompt cannot be made, or `key` stands for another submission. Nothing
                was queued.
            JournalError: The run's journal cannot be used.
        """
        queue = self._open_queue()
        submissions = await submissions_of(prompts, options, self._options, self._parts, queue)
        terms = QueueTerms(
            owner=options.owner,
            priority=options.priority,
            not_before=options.earliest,
            cap=self._options.spend_limit,
            part=options.part,
        )
        said = await queue.submit(submissions, terms)
        self._note_change()
        cost = sum((one.job.most for one in submissions), ZERO)
        return tickets_of(said, terms, cost, options.key)

    def work(
        self, *, tickets: Iterable[Ticket | int] | None = None, forever: bool = False
    ) -> Stream:
        """Make what is queued; iterate over it for the outcomes, in the order of completion.

        Each outcome's `index` is the number of its ticket. `stop()` of the stream sends nothing
        more, and what was sent still comes; leaving the loop early cancels what is out, which may
        be billed.

        Args:
            tickets: Make these alone, and leave those that others make or that are for later. A
                process may have several such streams at once: they share its client's limits.
            forever: Wait for more when nothing is left to draw; by default that is the end.

        Raises:
            ConfigError: This process works on the whole run already, or `tickets` are to be made
                for ever.
        """
        items = None if tickets is None else items_of(tickets)
        if items is not None and forever:
            raise ConfigError("is for the whole queue, and tickets end.", option="forever")
        self._works = [work for work in self._works if not work.stream.ended]
        if items is None and any(work.is_of_all for work in self._works):
            raise ConfigError("This process works on the run already: once is enough.")
        width = self._parts.limits.most_in_flight
        work = RunWork(
            self._open_call, self._job_of, self._room, width=width, items=items, forever=forever
        )
        self._works.append(work)
        return work.stream

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
        items = items_of(tickets)
        said = await self._open_queue().cancel(items, out=accept_price)
        for work in self._works if accept_price else ():
            work.cancel([item for item, became in said.items() if became == "out"])
        self._note_change()
        return said

    async def requeue(self, tickets: Iterable[Ticket | int]) -> list[int]:
        """Queue those again that failed and of which nothing was billed; gives their numbers.

        Raises:
            BudgetError: The money is not enough for one of them; those before it are queued.
        """
        queue, items = self._open_queue(), items_of(tickets)
        entries = await queue.look(items)
        most = [self._job_of(entry).most for entry in entries]
        numbers = [entry.entry.item for entry in entries]
        said = await queue.requeue(numbers, most, self._options.spend_limit)
        self._note_change()
        for item, price in zip(numbers, most, strict=True):
            left = said.get(item)
            if left is not None:
                raise over_limit(price, left)
        return list(said)

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

    async def limit(self, limits: Limits) -> None:
        """Set what holds for all processes of the run together: calls in flight, rate, spend.

        It is kept in the run's database until it is set again. A client's own limits hold as well.

        Raises:
            ConfigError: The journal is a file, which one process works on: that one's own limits
                hold.
        """
        self._open_queue()
        shared = None if self._journal is None else as_shared(self._journal)
        if shared is None:
            raise ConfigError(
                "One process works on a run in a file: give the limits to its client."
            )
        if limits.learned is not None:
            raise ConfigError("is a number for a whole run.", option="max_in_flight", value="auto")
        rate, spend = limits.departures, limits.spend_window
        await shared.limit(
            RunLimits(
                max_in_flight=limits.most_in_flight,
                rate_seconds=None if rate is None else rate.period / rate.count,
                burst=limits.burst,
                spend=None if spend is None else spend.dollars,
                spend_seconds=0.0 if spend is None else spend.period,
            )
        )

    async def aclose(self) -> None:
        """Leave the run: work that goes on sends nothing more, and what it sent is waited for."""
        for work in self._works:
            work.stream.stop()
        for work in self._works:
            await work.aclose()
        if self._waiters is not None:
            self._waiters.close()
        journal, self._journal, self._queue = self._journal, None, None
        if journal is not None:
            await journal.aclose()

    async def __aenter__(self) -> Self:
        parts = self._parts.open()
        self._journal = await parts.open_journal(self._options)
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

    def _open_queue(self) -> RunQueue:
        if self._queue is None:
            raise ConfigError("The run is not open: use it in `async with gen.open_run(...)`.")
        return self._queue

    def _open_call(self) -> Opened:
        parts = self._parts.open()
        self._open_queue()
        state, delivery = parts.run_call(self._options)
        past, journal = state.past, self._journal
        assert past is not None, "a run has a journal"
        assert journal is not None, "it is open"

        async def lend() -> Journal:
            return journal

        past.open, past.stays_open, past.queue = lend, True, self._queue
        state.listeners = state.listeners.plus(_Wakes(self._note_outcome))
        return state, delivery

    def _room(self) -> int:
        slots = self._parts.open().resources.slots
        return self._parts.limits.most_in_flight - slots.in_use

    def _job_of(self, drawn: QueueEntry) -> Job:
        entry, request = drawn.entry, drawn.request
        prices = self._parts.prices(entry.model, request.tier)
        return Job(entry.item, entry.prompt, 0, entry.model, *prices.of(entry.prompt))

    def _note_outcome(self, outcome: Outcome) -> None:
        if self._waiters is not None:
            self._waiters.resolve(outcome.index, outcome)
        self._note_change()

    def _note_change(self) -> None:
        """Wake who waits here for something to change; other processes look again by themselves."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        for work in self._works:
            work.wake()

    async def _await_change(self, changed: asyncio.Event) -> None:
        poll = self._open_queue().poll or _POLL
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(poll):
                await changed.wait()


class _Wakes(Listener):
    """Says what has come."""

    def __init__(self, note: Callable[[Outcome], None]) -> None:
        self._note = note

    def on_outcome(self, outcome: Outcome) -> None:
        self._note(outcome)
