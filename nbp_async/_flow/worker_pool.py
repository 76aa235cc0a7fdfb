"""Many prompts: workers that draw, one for each slot and no task for each prompt.

A worker is started when the one before it got something to do, so that three prompts start three
workers whatever the limit is. For each prompt that holds no slot for now, as it waits out a backoff
or fetches a link or for a task at the vendor, there may be one worker more.
"""

import asyncio

from nbp_async._base.errors import BudgetError, ParkedError
from nbp_async._flow.call_state import CallState
from nbp_async._flow.delivery import Deliver, RequestDelivery
from nbp_async._flow.job_source import Jobs
from nbp_async._flow.make_image import HeldElsewhere, make_image
from nbp_async._flow.pool import PoolBase
from nbp_async._flow.queued_image import make_queued_image
from nbp_async._flow.shared_run import HeldJobs
from nbp_async._models.outcomes import Failure, Job, Outcome


class WorkerPool(PoolBase):
    """The workers of one call."""

    def __init__(
        self, delivery: RequestDelivery, call: CallState, jobs: Jobs, deliver: Deliver
    ) -> None:
        super().__init__(delivery, call, jobs, deliver)
        limits = delivery.endpoint.resources.limits
        self._delivery = delivery
        self._slots = limits.most_in_flight
        self._most_waiting = limits.most_in_flight + limits.max_downloads + delivery.max_open
        self._workers = 0
        self._idle = 0  # workers that draw now, or have been started and not yet drawn
        self._ended = False  # there is nothing left to draw
        self._group: asyncio.TaskGroup | None = None
        self._held = HeldJobs(call)

    async def _make_all(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._call.on_waiting = self._start_worker
        self._start_worker()

    def _abandon(self) -> None:
        self._group = self._call.on_waiting = None

    @property
    def _places(self) -> int:
        return self._slots + min(self._call.waiting_without_slot, self._most_waiting)

    def _start_worker(self) -> None:
        """Start a worker, if there is work for one and a place."""
        if self._group is None or self._ended or self._idle or self._workers >= self._places:
            return
        if self._broken is None:
            self._workers += 1
            self._idle += 1
            self._group.create_task(self._worker())

    async def _worker(self) -> None:
        try:
            while self._workers <= self._places:
                job = self._held.next_nowait() or await self._draw()
                if job is None:
                    self._ended = True
                    return
                self._idle -= 1
                self._start_worker()
                await self._make(job)
                self._idle += 1
        finally:
            self._idle -= 1
            self._workers -= 1

    async def _make(self, job: Job | Failure) -> None:
        """From a job to its outcome, handed out. A bug here must not end its paid siblings."""
        try:
            if not self._is_wanted(job):
                await self._pass_over(job)
                return
            # Whatever is raised here is a bug of ours, or of a sink: errors are in the outcome.
            outcome: Outcome = job if isinstance(job, Failure) else await self._generate(job)
            await self._hand_out(outcome)
            self._stop_if_spent(outcome)
        except HeldElsewhere as held:
            assert isinstance(job, Job), "only a job is claimed"
            self._hold(held.item, job)
        except asyncio.CancelledError as exc:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Nobody cancelled this worker: a sink raised the error by itself. Passed on, it would
            # end the worker without a trace, for a TaskGroup ignores cancelled tasks.
            stray = RuntimeError("A sink or listener was cancelled by itself.")
            stray.__cause__ = exc
            self._break(stray)
        except Exception as exc:  # noqa: BLE001
            self._break(exc)

    def _hold(self, item: int, job: Job) -> None:
        """Another process of the run makes it: go on with the next one, and look again later."""
        if self._held.add(item, job) and self._group is not None:
            self._group.create_task(self._watch())

    async def _watch(self) -> None:
        past = self._call.past
        assert past is not None, "a journal said that they are elsewhere"
        assert past.shared is not None, "and that it is shared"
        for job in await self._held.watch(past.shared, self._draw_again):
            error = ParkedError(
                "Not waited for: another process of this run works on it.",
                hint="The same call, made again, has its image.",
            )
            await self._hand_out(Failure(index=job.index, prompt=job.prompt, error=error))

    def _draw_again(self) -> None:
        self._ended = False
        self._start_worker()

    async def _generate(self, job: Job) -> Outcome:
        past = self._call.past
        if past is None or past.queue is None:
            return await make_image(self._delivery, self._call, job)
        return await make_queued_image(self._delivery, self._call, past, job)

    def _stop_if_spent(self, outcome: Outcome) -> None:
        """Prompts without end would all be refused once the money is spent: draw no more."""
        ends = self._jobs.count is not None or self._jobs.is_queue  # other owners have money
        if ends or not isinstance(outcome, Failure):
            return
        if isinstance(outcome.error, BudgetError):
            self.stop(outcome.error)
