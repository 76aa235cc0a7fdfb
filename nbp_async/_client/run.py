"""A run as a durable queue: submitted to, worked on and waited for by any number of processes."""

from collections.abc import Callable, Iterable

from nbp_async._base.errors import ConfigError
from nbp_async._calls.call import Opened
from nbp_async._calls.plan import Stream
from nbp_async._client.keyword_options import takes
from nbp_async._client.run_control import RunControl
from nbp_async._client.run_submission import RunOptions, RunParts, submissions_of
from nbp_async._client.run_tickets import Ticket, items_of, tickets_of
from nbp_async._client.run_work import RunWork
from nbp_async._client.shared_run_options import no_place
from nbp_async._client.submit_options import SubmitOptions
from nbp_async._flow.job_source import Prompts
from nbp_async._flow.resume_state import CallsOfRun
from nbp_async._journal.base import Journal
from nbp_async._journal.run_queue import Cancelled, QueueEntry, QueueTerms
from nbp_async._journal.write_errors import over_limit
from nbp_async._models.events import Listener
from nbp_async._models.outcomes import Job, Outcome


class Run(RunControl):
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

    def __init__(self, parts: RunParts, options: RunOptions) -> None:
        """Nothing is opened or sent."""
        super().__init__("")  # its client opens it
        self._parts = parts
        self._options = options
        self._works: list[RunWork] = []
        self._calls = CallsOfRun()

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
        prices = [one.job.most for one in submissions]
        return tickets_of(said, terms, prices, options.key)

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
                for ever, or nobody said where images go.
        """
        if self._options.database is not None and self._options.out is None:
            raise no_place(str(self._options.database))
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

    async def cancel(
        self, tickets: Iterable[Ticket | int], *, accept_price: bool = False
    ) -> dict[int, Cancelled]:
        """As `RunControl.cancel`; what this process makes of them ends at once."""
        items = items_of(tickets)
        said = await super().cancel(items, accept_price=accept_price)
        for work in self._works if accept_price else ():
            work.cancel([item for item, became in said.items() if became == "out"])
        return said

    async def requeue(self, tickets: Iterable[Ticket | int]) -> list[int]:
        """Queue those again that failed and of which nothing was billed; gives their numbers.

        Raises:
            BudgetError: The money is not enough for one of them; those before it are queued.
        """
        queue, items = self._open_queue(), items_of(tickets)
        found = {one.entry.item: one for one in await queue.look(items)}
        numbers = [item for item in dict.fromkeys(items) if item in found]
        most = [self._job_of(found[item]).most for item in numbers]
        said = await queue.requeue(numbers, most, self._options.spend_limit)
        self._note_change()
        for item, price in zip(numbers, most, strict=True):
            left = said.get(item)
            if left is not None:
                raise over_limit(price, left)
        return list(said)

    async def aclose(self) -> None:
        """Leave the run: work that goes on sends nothing more, and what it sent is waited for."""
        for work in self._works:
            work.stream.stop()
        for work in self._works:
            await work.aclose()
        await super().aclose()

    async def _join(self) -> Journal:
        return await self._parts.open().open_journal(self._options)

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
        past.calls = self._calls
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
        super()._note_change()
        for work in self._works:
            work.wake()


class _Wakes(Listener):
    """Says what has come."""

    def __init__(self, note: Callable[[Outcome], None]) -> None:
        self._note = note

    def on_outcome(self, outcome: Outcome) -> None:
        self._note(outcome)
