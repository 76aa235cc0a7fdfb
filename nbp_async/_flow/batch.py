"""Many prompts by the batch API: half the price, up to a day, no connection held meanwhile.

A crew like that of `many.py`. Prompts are drawn and gathered to jobs of a bounded size; each job is
created once, followed until it is over, and its results are joined with the prompts by key. A job
that expires brings nothing at all, so that many small ones are safer than few large ones.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from decimal import Decimal

import anyio.to_thread
import msgspec

from nbp_async._errors import (
    BudgetError,
    ConfigError,
    JournalError,
    NbpError,
    StoppedError,
    StorageError,
)
from nbp_async._flow.batch_books import Gathered, Member, planned
from nbp_async._flow.batch_calls import Office
from nbp_async._flow.batch_jobs import BatchJob, may_pass, reopened
from nbp_async._flow.books import Books, failure_of
from nbp_async._flow.generate import LARGE, go_on
from nbp_async._flow.rescue import rescue
from nbp_async._flow.resume import begin, end, pass_over, recall
from nbp_async._flow.run import Past, Run
from nbp_async._flow.source import BadPrompt, Jobs
from nbp_async._flow.wiring import Wiring, log
from nbp_async._handle import Handle
from nbp_async._images.references import load_references
from nbp_async._journal.base import Journal
from nbp_async._models import Failure, Job, Outcome, Reference

MOST_LINES = 200  # of a job: one that expires brings nothing at all
MOST_BYTES = 64 * 1024 * 1024  # of a job's lines; references are in them as text
MOST_JOBS = 100  # under way at once, for that is what Google allows
MOST_ROUNDS = 3  # jobs that a line may be in, of one call, while none of them cost anything


class BatchCrew:
    """The work of one call by the batch API. `deliver` gets every outcome, as it comes."""

    def __init__(
        self,
        wiring: Wiring,
        run: Run,
        jobs: Jobs,
        deliver: Callable[[Outcome], Awaitable[None] | None],
    ) -> None:
        assert run.batching is not None and run.past is not None, "checked when it was called"
        self._w = wiring
        self._run = run
        self._jobs = jobs
        self._deliver = deliver
        self._past: Past = run.past
        self._way = run.batching
        self._office = Office(wiring, self._way.dialect, run.sink)
        self._open: dict[str, BatchJob] = {}
        self._left: set[str] = set()  # names of open jobs that cannot be followed for now
        self._gathered: dict[str, Gathered] = {}  # by address
        self._again: list[tuple[Job, Books]] = []
        self._rounds: Counter[int] = Counter()
        self._changed = asyncio.Event()
        self._followers: set[asyncio.Task[None]] = set()
        self._broken: Exception | None = None

    async def work(self) -> None:
        """Work until all prompts have an outcome, or all jobs are created; or it is stopped.

        Raises:
            ConfigError: A prompt cannot be sent, or nothing listened for. Nothing was sent.
            JournalError, StorageError: The run, or its images, cannot be kept. Nothing was sent.
            Exception: What the iterable of prompts raised; what was created by then goes on.
        """
        await self._jobs.check()
        if self._run.ready is not None:
            await self._run.ready()
        (await self._run.sink.open()).discard()
        try:
            linked = await begin(self._w, self._run, self._past)
            try:
                async with asyncio.TaskGroup() as group:
                    for entry in linked:
                        bring = rescue(self._w, self._run, self._past, entry)
                        self._past.rescues[entry.item] = group.create_task(bring)
                    await self._reopen(group)
                    await self._draw_all(group)
                    await self._see_off(group)
                await self._leave_open()
            finally:
                self._drop()
        finally:
            await self._jobs.aclose()
            await end(self._run, self._past)
        if self._broken is not None:
            raise self._broken

    def stop(self, reason: NbpError | None = None) -> None:
        """Create no more jobs, and look at none; those that are created go on at the vendor."""
        self._jobs.stop()
        self._run.stop(reason or StoppedError("Stopped; batch jobs go on at the vendor."))
        self._changed.set()

    @property
    def _journal(self) -> Journal:
        assert self._past.journal is not None, "the run has begun"
        return self._past.journal

    async def _reopen(self, group: asyncio.TaskGroup) -> None:
        """Go on with the jobs of earlier calls."""
        for job in await reopened(self._w, self._run, self._office, self._tell):
            if job.record.state == "planned":
                await job.free()
                continue
            self._open[job.record.name] = job
            self._begin(group, job)

    async def _draw_all(self, group: asyncio.TaskGroup) -> None:
        while self._broken is None and not self._stopped_for_good:
            try:
                job = await self._jobs.draw()
            except BadPrompt as bad:
                if not self._wanted(bad.index):
                    continue
                await self._hand_out(Failure(index=bad.index, prompt=bad.prompt, error=bad.error))
                continue
            except Exception as exc:  # noqa: BLE001  the user's own iterator: what is paid goes on
                self._broken = exc
                break
            if job is None:
                break
            await self._take_up(group, job)
        await self._send_all(group)

    @property
    def _stopped_for_good(self) -> bool:
        return self._run.stopped is not None and self._jobs.count is None

    def _wanted(self, index: int) -> bool:
        return self._jobs.only is None or index in self._jobs.only

    async def _take_up(self, group: asyncio.TaskGroup, job: Job) -> None:
        """Add a prompt to the job that is being gathered; or give its outcome, if that is known."""
        books = Books(self._w, self._run, job)
        try:
            if not self._wanted(job.index):
                await pass_over(self._past, job)  # of equal ones each must find its own item
                return
            references = await load_references(job.prompt)
            known = await recall(self._w, self._run, self._past, job, references)
            if not isinstance(known, Books):
                await self._hand_out(known)
                return
            books = known
            if not self._adopt(job, books):
                await self._gather(group, job, books, references)
        except (ConfigError, JournalError, StorageError) as exc:
            self._run.heard(exc)
            await self._hand_out(failure_of(job, exc, books))

    async def _gather(
        self, group: asyncio.TaskGroup, job: Job, books: Books, references: tuple[Reference, ...]
    ) -> None:
        """Add a line to the job that is being gathered; send that once it is full.

        Raises:
            ConfigError: This API cannot be asked for it.
            JournalError: The journal cannot be written.
        """
        member = Member.drawn(job, books)
        line = await self._line(job, references, member.key)
        address = self._office.dialect.address(job, self._w.profile, references)
        if not self._fits(address, line, job.most):
            await self._send(group, address)
        if (refused := await self._reserve(group, books, job)) is not None:
            await self._hand_out(failure_of(job, refused, books))
            return
        gathered = self._gathered.setdefault(address, Gathered(address))
        gathered.add(member, line)
        if len(gathered.lines) >= MOST_LINES:
            await self._send(group, address)

    async def _line(self, job: Job, references: tuple[Reference, ...], key: str) -> bytes:
        """What is sent for it. Megabytes of references are encoded beside the loop."""
        line, profile = self._office.dialect.line, self._w.profile
        if sum(len(reference.data) for reference in references) < LARGE:
            return line(job, profile, references, key)
        return await anyio.to_thread.run_sync(line, job, profile, references, key)

    def _fits(self, address: str, line: bytes, most: Decimal) -> bool:
        """A job is small enough to be uploaded, and to be paid for within one period."""
        gathered, window = self._gathered.get(address), self._w.window
        if gathered is None:
            return True
        if gathered.size + len(line) > MOST_BYTES:
            return False
        return window is None or gathered.dollars + most <= window.spend.dollars

    async def _reserve(self, group: asyncio.TaskGroup, books: Books, job: Job) -> NbpError | None:
        cap = self._run.cap
        if self._gathered and cap is not None and job.most > cap.left:
            await self._send_all(group)  # what is gathered gives nothing back before it is sent
        refused = await books.reserve()
        if isinstance(refused, BudgetError) and self._jobs.count is None:
            self.stop(refused)
        return refused

    def _adopt(self, job: Job, books: Books) -> bool:
        """It is in a job of an earlier call: its outcome is this prompt's."""
        out = books.page.out if books.page is not None else None
        open_ = self._open.get(out.id) if out is not None and out.kind == "batch" else None
        if open_ is None or out is None or out.key not in open_.members:
            return False
        member = open_.members[out.key]
        member.job, member.place, member.prompt = job, job.index, job.prompt
        member.page = books.page
        return True

    async def _send_all(self, group: asyncio.TaskGroup) -> None:
        for address in list(self._gathered):
            await self._send(group, address)

    async def _send(self, group: asyncio.TaskGroup, address: str) -> None:
        """Arm what is gathered, and create a job of it as soon as there is room."""
        gathered = self._gathered.pop(address)
        await self._room()
        members = gathered.members
        name = f"nbp-{secrets.token_hex(12)}"
        record = planned(name, gathered.model, len(members), self._w, self._past)
        job = BatchJob(self._w, self._run, self._journal, self._office, record, members, self._tell)
        self._open[name] = job
        try:
            async with job.charged(gathered.dollars):
                await self._journal.keep_batch(name, msgspec.json.encode(record).decode())
                await asyncio.gather(*(self._arm(name, member) for member in members.values()))
                there = await self._submit(job, gathered)
        except NbpError as exc:
            await self._unsent(job, exc)
            return
        if there:
            self._begin(group, job)
        else:
            self._forget(job)

    async def _room(self) -> None:
        """Wait until one more job is allowed: who waits for no results waits for the oldest's."""
        while self._run.why_stopped() is None:
            going = [job for name, job in self._open.items() if name not in self._left]
            if len(going) < MOST_JOBS:
                break
            oldest = next((job for job in going if job.record.state == "created"), None)
            if self._way.wait or oldest is None:
                await self._change()
            else:
                await self._follow(oldest, wait=True)

    async def _submit(self, job: BatchJob, gathered: Gathered) -> bool:
        """Create a job; False if there is none, and that is certain."""
        try:
            return await job.submit(gathered.lines, gathered.address)
        except NbpError as exc:
            log.warning("Batch job %s is in doubt: %s", job.record.name, exc)
            self._run.heard(exc)
            return True

    async def _unsent(self, job: BatchJob, why: NbpError) -> None:
        """It cannot be written down, or must not be paid now: it is not sent."""
        self._run.heard(why)
        self._forget(job)
        for member in job.members.values():
            if member.job is not None and member.books is not None:
                member.books.release()
                await self._hand_out(failure_of(member.job, why, member.books))

    async def _arm(self, name: str, member: Member) -> None:
        handle = Handle("batch", name, key=member.key)
        await self._journal.arm(
            member.item, member.number, member.price, member.most, member.stem, handle
        )

    def _begin(self, group: asyncio.TaskGroup, job: BatchJob) -> None:
        if self._way.wait or job.record.state != "created":
            self._start(group, self._follow(job, wait=self._way.wait))

    def _start(self, group: asyncio.TaskGroup, work: Coroutine[None, None, None]) -> None:
        task = group.create_task(work)
        self._followers.add(task)
        task.add_done_callback(self._followed)

    async def _follow(self, job: BatchJob, *, wait: bool) -> None:
        try:
            if job.record.state == "creating":
                await job.clear_up()
            if wait:
                await job.follow()
            if not job.members:
                self._forget(job)
        except NbpError as exc:
            self._left.add(job.record.name)
            if not isinstance(exc, StoppedError):
                log.warning("Batch job %s stays as it is: %s", job.record.name, exc)

    def _followed(self, task: asyncio.Task[None]) -> None:
        """Told last of all, so that who is woken by it finds the follower gone."""
        self._followers.discard(task)
        self._changed.set()

    def _forget(self, job: BatchJob) -> None:
        self._open.pop(job.record.name, None)
        self._changed.set()

    async def _see_off(self, group: asyncio.TaskGroup) -> None:
        """Send again what cost nothing and may go well now, until nothing is under way."""
        while True:
            again, self._again = self._again, []
            for job, books in again:
                if self._way.failed == "held":
                    self._start(group, self._hold(job, books))
                    continue
                try:
                    references = await load_references(job.prompt)
                    await self._gather(group, job, books, references)
                except ConfigError as exc:
                    await self._hand_out(failure_of(job, exc, books))
            await self._send_all(group)
            if not self._again and not self._followers:
                return
            if not self._again:
                await self._change()

    async def _hold(self, job: Job, books: Books) -> None:
        """Make what a job could not by a held call, at the full price."""
        share = self._w.profile.prices.batch or 1
        full = msgspec.structs.replace(job, price=job.price / share, most=job.most / share)
        await self._hand_out(await go_on(self._w, self._run, full, books.of(full)))

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _tell(self, member: Member, outcome: Outcome) -> None:
        """A line has ended: send it again, or give its outcome."""
        if member.job is None:
            return  # this call has not asked for it: the journal knows
        page, job = member.page, member.job
        if isinstance(outcome, Failure) and page is not None and self._wants_again(outcome):
            self._rounds[job.index] += 1
            if self._rounds[job.index] < MOST_ROUNDS:
                page.out = None
                tried = (*outcome.earlier, *outcome.attempts)
                self._again.append((job, Books(self._w, self._run, job, tried, page)))
                self._changed.set()
                return
        await self._hand_out(outcome)

    def _wants_again(self, failure: Failure) -> bool:
        wanted = self._way.failed != "keep" and self._run.stopped is None
        return wanted and failure.billing == "no" and may_pass(failure.error)

    async def _hand_out(self, outcome: Outcome) -> None:
        if self._w.listeners:
            self._w.tell("on_outcome", outcome)
        delivered = self._deliver(outcome)
        if delivered is not None:
            try:
                await delivered
            except asyncio.CancelledError:
                self._run.dropped.append(outcome)
                raise
        if not outcome.attempts:
            await asyncio.sleep(0)

    async def _leave_open(self) -> None:
        """The call ends before its jobs do: say so of each prompt."""
        left, self._open = self._open, {}
        for job in left.values():
            for member in job.members.values():
                if member.job is not None:
                    await self._hand_out(member.open(job.record.name))

    def _drop(self) -> None:
        """What stays at the vendor has a name: it is in the plan's `partial`."""
        for job in self._open.values():
            for member in job.members.values() if job.record.state != "planned" else ():
                if member.job is not None:
                    left = member.open(job.record.name)
                    self._run.dropped.append(left)
                    self._w.tell("on_outcome", left)
