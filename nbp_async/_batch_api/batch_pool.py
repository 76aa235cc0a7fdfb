"""Many prompts by the batch API: half the price, up to a day, no connection held meanwhile.

Prompts are drawn and gathered to requests of a bounded size; each becomes one job, which is created
once and followed until it is over, and its results are joined with the prompts by key. A job that
expires brings nothing at all, so that many small ones are safer than few large ones.
"""

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Coroutine
from decimal import Decimal

import anyio.to_thread
import msgspec

from nbp_async._base.errors import (
    BudgetError,
    ConfigError,
    JournalError,
    NbpError,
    StoppedError,
    StorageError,
)
from nbp_async._batch_api.batch_client import BatchClient, may_succeed_later
from nbp_async._batch_api.batch_job import BatchJob, BatchOptions, reopened
from nbp_async._batch_api.batch_ledger import BatchItem, BatchRequest, planned
from nbp_async._flow.attempt_loop import LARGE
from nbp_async._flow.call_state import CallState
from nbp_async._flow.delivery import Deliver, Delivery
from nbp_async._flow.job_source import Jobs
from nbp_async._flow.ledger import Ledger, failure_of
from nbp_async._flow.make_image import make_claimed_image
from nbp_async._flow.pool import PoolBase
from nbp_async._flow.resume import claim, known_outcome
from nbp_async._images.references import load_references
from nbp_async._journal.base import JournalEntry
from nbp_async._models.outcomes import Failure, Job, Outcome, Reference

log = logging.getLogger("nbp_async")

MOST_LINES = 200  # of a job: one that expires brings nothing at all
MOST_BYTES = 64 * 1024 * 1024  # of a job's lines; references are in them as text
MOST_JOBS = 100  # at the same time: Google allows no more
MOST_ROUNDS = 3  # jobs that a line may be in, of one call, while none of them cost anything


class BatchPool(PoolBase):
    """The work of one call by the batch API."""

    stop_reason = "Stopped; batch jobs continue at the vendor."

    def __init__(
        self,
        delivery: Delivery,
        options: BatchOptions,
        call: CallState,
        jobs: Jobs,
        deliver: Deliver,
    ) -> None:
        super().__init__(delivery, call, jobs, deliver)
        assert call.past is not None, "checked when the call was made"
        self._options = options
        self._past = call.past
        self._client = BatchClient(self._endpoint, options.dialect, call.sink)
        self._open: dict[str, BatchJob] = {}
        self._left: set[str] = set()  # names of open jobs that cannot be followed for now
        self._requests: dict[str, BatchRequest] = {}  # by address
        self._again: list[tuple[Job, Ledger]] = []
        self._rounds: Counter[int] = Counter()
        self._changed = asyncio.Event()
        self._followers: set[asyncio.Task[None]] = set()

    def stop(self, reason: NbpError | None = None) -> None:
        """Create no more jobs, and poll none; those that are created go on at the vendor."""
        super().stop(reason)
        self._changed.set()

    async def _make_all(self, group: asyncio.TaskGroup) -> None:
        await self._reopen(group)
        while (job := await self._draw()) is not None:
            if not self._is_wanted(job):
                await self._pass_over(job)
            elif isinstance(job, Failure):
                await self._hand_out(job)
            else:
                await self._add(group, job)
        await self._submit_all(group)
        await self._drain(group)
        await self._leave_open()

    async def _leave_open(self) -> None:
        """The call ends before its jobs do: hand out an open failure for each prompt."""
        left, self._open = self._open, {}
        for job in left.values():
            for item in job.waiting.values():
                if item.job is not None:
                    await self._hand_out(job.open(item))

    def _abandon(self) -> None:
        """What stays at the vendor is in the plan's `partial`."""
        for job in self._open.values():
            for item in job.waiting.values() if job.record.state != "planned" else ():
                if item.job is not None:
                    left = job.open(item)
                    self._call.dropped.append(left)
                    self._call.listeners.notify("on_outcome", left)

    async def _reopen(self, group: asyncio.TaskGroup) -> None:
        """Go on with the jobs of earlier calls."""
        for job in await reopened(self._client, self._options, self._call, self._record):
            if job.record.state == "planned":
                await job.free()
                continue
            self._open[job.record.name] = job
            self._begin(group, job)

    async def _add(self, group: asyncio.TaskGroup, job: Job) -> None:
        """Add a prompt to the request that is gathered, or hand out its outcome if it is known."""
        ledger = Ledger(self._endpoint, self._call, job, in_batch=True)
        try:
            references = await load_references(job.prompt)
            entry = await claim(self._past, job, references, ledger)
            if self._adopt(job, entry, ledger):
                return
            known = await known_outcome(self._endpoint, self._call, self._past, job, entry, ledger)
            if known is not None:
                await self._hand_out(known)
                return
            await self._gather(group, job, ledger, references)
        except (ConfigError, JournalError, StorageError) as exc:
            self._call.record_error(exc)
            await self._hand_out(failure_of(job, exc, ledger))

    def _adopt(self, job: Job, entry: JournalEntry, ledger: Ledger) -> bool:
        """Take over the line of an earlier call's job, if this prompt is in one."""
        handle = entry.handle
        if handle is None or handle.kind != "batch" or handle.id not in self._open:
            return False
        item = self._open[handle.id].waiting.get(handle.key)
        if item is None:
            return False
        item.adopt(job, ledger.in_journal)
        return True

    async def _gather(
        self, group: asyncio.TaskGroup, job: Job, ledger: Ledger, references: tuple[Reference, ...]
    ) -> None:
        """Add a line to the request that is gathered; submit that once it is full.

        Raises:
            ConfigError: This API cannot make it.
            JournalError: The journal cannot be written.
        """
        item = BatchItem.drawn(job, ledger)
        line = await self._line(job, references, item.key)
        address = self._options.dialect.address(job, self._endpoint.profile, references)
        if not self._fits(address, line, job.most):
            await self._submit(group, address)
        if (refused := await self._reserve(group, ledger)) is not None:
            await self._hand_out(failure_of(job, refused, ledger))
            return
        request = self._requests.setdefault(address, BatchRequest(address))
        request.add(item, line)
        if len(request.lines) >= MOST_LINES:
            await self._submit(group, address)

    async def _line(self, job: Job, references: tuple[Reference, ...], key: str) -> bytes:
        """What is sent for it. Megabytes of references are encoded beside the loop."""
        line, profile = self._options.dialect.line, self._endpoint.profile
        if sum(len(reference.data) for reference in references) < LARGE:
            return line(job, profile, references, key)
        return await anyio.to_thread.run_sync(line, job, profile, references, key)

    def _fits(self, address: str, line: bytes, most: Decimal) -> bool:
        """A job is small enough to be uploaded, and to be paid for within one period."""
        request, window = self._requests.get(address), self._endpoint.window
        if request is None:
            return True
        if request.size + len(line) > MOST_BYTES:
            return False
        return window is None or request.dollars + most <= window.spend.dollars

    async def _reserve(self, group: asyncio.TaskGroup, ledger: Ledger) -> NbpError | None:
        """Reserve the price of a line; gives why it is not sent, or None."""
        refused = await self._wait_for_dollars(group, ledger) or await ledger.reserve()
        if isinstance(refused, BudgetError) and self._jobs.count is None:
            self.stop(refused)
        return refused

    async def _wait_for_dollars(self, group: asyncio.TaskGroup, ledger: Ledger) -> NbpError | None:
        """Wait while jobs may give dollars back; those that nobody follows never do."""
        cap = self._call.cap
        while cap is not None and not ledger.fits():
            if self._requests:
                await self._submit_all(group)  # what is gathered gives nothing back before
            elif not self._followers or ledger.never_fits(cap):
                return ledger.over_cap(cap)
            else:
                try:
                    await self._call.wait(self._change)
                except StoppedError as exc:
                    return exc
        return None

    async def _submit_all(self, group: asyncio.TaskGroup) -> None:
        for address in list(self._requests):
            await self._submit(group, address)

    async def _submit(self, group: asyncio.TaskGroup, address: str) -> None:
        """Arm what is gathered, and create a job of it as soon as there is room."""
        request = self._requests.pop(address)
        await self._wait_for_room()
        name = f"nbp-{secrets.token_hex(12)}"
        record = planned(name, request, self._endpoint, self._past)
        job = BatchJob(
            self._client, self._options, self._call, record, request.by_key, self._record
        )
        self._open[name] = job
        try:
            # The order is what makes a kill harmless: first the job's name, then each of its lines
            # with that name, and only then the vendor. A line without a job can be freed; a job
            # whose creation was begun is looked for by its name.
            async with job.charged(request.dollars):
                text = msgspec.json.encode(record).decode()
                await self._past.journal.save_batch(name, text)
                await asyncio.gather(*(job.arm(item) for item in request.by_key.values()))
                exists = await self._create(job, request)
        except NbpError as exc:
            await self._give_back(job, exc)
            return
        if exists:
            self._begin(group, job)
        else:
            self._forget(job)

    async def _wait_for_room(self) -> None:
        """Until one more job is allowed; a call that waits for no results follows the oldest."""
        while self._call.why_stopped() is None:
            going = [job for name, job in self._open.items() if name not in self._left]
            if len(going) < MOST_JOBS:
                break
            oldest = next((job for job in going if job.record.state == "created"), None)
            if self._options.wait or oldest is None:
                await self._change()
            else:
                await self._follow(oldest, wait=True)

    async def _create(self, job: BatchJob, request: BatchRequest) -> bool:
        """Create a job; False if there is none, and that is certain."""
        try:
            return await job.submit(request.lines, request.address)
        except NbpError as exc:
            log.warning("Batch job %s is in doubt: %s", job.record.name, exc)
            self._call.record_error(exc)
            return True

    async def _give_back(self, job: BatchJob, why: NbpError) -> None:
        """It cannot be recorded, or must not be paid now: it is not sent."""
        self._call.record_error(why)
        self._forget(job)
        for item in job.waiting.values():
            if item.job is not None and item.ledger is not None:
                item.ledger.release()
                await self._hand_out(failure_of(item.job, why, item.ledger))

    def _begin(self, group: asyncio.TaskGroup, job: BatchJob) -> None:
        if self._options.wait or job.record.state != "created":
            self._start(group, self._follow(job, wait=self._options.wait))

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
            if not job.waiting:
                self._forget(job)
        except NbpError as exc:
            self._left.add(job.record.name)
            if not isinstance(exc, StoppedError):
                log.warning("Batch job %s stays as it is: %s", job.record.name, exc)
        except Exception as exc:  # noqa: BLE001  a bug must not end what else is paid for
            self._left.add(job.record.name)
            self._break(exc)
            self.stop()  # jobs go on at the vendor; the bug must be known now, not in a day

    def _followed(self, task: asyncio.Task[None]) -> None:
        """A callback of the task, and not its last line: `_drain` must find the follower gone."""
        self._followers.discard(task)
        self._changed.set()

    def _forget(self, job: BatchJob) -> None:
        self._open.pop(job.record.name, None)
        self._changed.set()

    async def _drain(self, group: asyncio.TaskGroup) -> None:
        """Send again what cost nothing and may succeed now, until no job is being followed."""
        while True:
            again, self._again = self._again, []
            for job, ledger in again:
                if self._options.failed_lines == "held":
                    self._start(group, self._make_held(job, ledger))
                    continue
                try:
                    references = await load_references(job.prompt)
                    await self._gather(group, job, ledger, references)
                except ConfigError as exc:
                    await self._hand_out(failure_of(job, exc, ledger))
            await self._submit_all(group)
            if not self._again and not self._followers:
                return
            if not self._again:
                await self._change()

    async def _make_held(self, job: Job, ledger: Ledger) -> None:
        """Make the image of a failed line by a held call, at the full price."""
        prices = self._endpoint.profile.prices_for(job.model)
        share = Decimal(1) if prices is None else prices.factor("batch")
        full = msgspec.structs.replace(job, price=job.price / share, most=job.most / share)
        held = self._options.held
        await self._hand_out(
            await make_claimed_image(held, self._call, full, ledger.repriced(full))
        )

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _record(self, item: BatchItem, outcome: Outcome) -> None:
        """A line has ended: send it again, or give its outcome."""
        job, in_journal = item.job, item.in_journal
        if job is None:
            return  # this call does not have the prompt: the journal knows the outcome
        if in_journal is not None and self._is_sent_again(outcome):
            self._rounds[job.index] += 1
            if self._rounds[job.index] < MOST_ROUNDS:
                tried = (*outcome.earlier, *outcome.attempts)
                ledger = Ledger(self._endpoint, self._call, job, tried, in_journal, in_batch=True)
                self._again.append((job, ledger))
                self._changed.set()
                return
        await self._hand_out(outcome)

    def _is_sent_again(self, outcome: Outcome) -> bool:
        if self._options.failed_lines == "keep" or self._call.stopped is not None:
            return False
        if not isinstance(outcome, Failure) or outcome.billing != "no":
            return False
        return may_succeed_later(outcome.error)
