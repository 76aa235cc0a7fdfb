"""Many prompts: workers that draw, one for each slot and no task for each prompt.

A worker is started when the one before it got something to do, so that three prompts start three
workers whatever the limit is. For each prompt that holds no slot for now, as it waits out a backoff
or fetches a link or for a task at the vendor, there may be one worker more.
"""

import asyncio
from collections.abc import Awaitable, Callable

from nbp_async._errors import BudgetError, NbpError, StoppedError
from nbp_async._flow.generate import generate
from nbp_async._flow.rescue import rescue
from nbp_async._flow.resume import begin, end, pass_over
from nbp_async._flow.run import Run
from nbp_async._flow.source import BadPrompt, Jobs
from nbp_async._flow.wiring import Wiring
from nbp_async._models import Failure, Job, Outcome


class Crew:
    """The workers of one call. `deliver` gets every outcome, in the order of completion."""

    def __init__(
        self,
        wiring: Wiring,
        run: Run,
        jobs: Jobs,
        deliver: Callable[[Outcome], Awaitable[None] | None],
    ) -> None:
        self._wiring = wiring
        self._run = run
        self._jobs = jobs
        self._deliver = deliver
        self._slots = wiring.limits.max_in_flight
        self._most_aside = wiring.limits.max_in_flight + wiring.limits.max_downloads
        if run.by_tasks:
            self._most_aside += wiring.limits.max_open
        self._workers = 0
        self._idle = 0  # workers that draw now, or have been started and not yet drawn
        self._ended = False  # there is nothing left to draw
        self._broken: Exception | None = None
        self._group: asyncio.TaskGroup | None = None

    async def work(self) -> None:
        """Work until all prompts have an outcome, or the run is stopped.

        Raises:
            ConfigError: A prompt of a list cannot be sent, or webhooks cannot be listened for.
                Nothing was sent.
            JournalError: The run's journal cannot be used. Nothing was sent.
            StorageError: There is no place for images. Nothing was sent.
            Exception: What the iterable of prompts raised, after all that was paid has ended.
        """
        run = self._run
        await self._jobs.check()
        if run.ready is not None:
            await run.ready()
        (await run.sink.open()).discard()  # where nothing can be stored nothing is bought
        try:
            linked = [] if run.past is None else await begin(self._wiring, run, run.past)
            run.on_aside = self._hire
            async with asyncio.TaskGroup() as group:
                self._group = group
                if run.past is not None:
                    for entry in linked:
                        bring = rescue(self._wiring, run, run.past, entry)
                        run.past.rescues[entry.item] = group.create_task(bring)
                self._hire()
        finally:
            self._group = run.on_aside = None
            await self._jobs.aclose()
            if run.past is not None:
                await end(run, run.past)
        if self._broken is not None:
            raise self._broken

    def stop(self, reason: NbpError | None = None) -> None:
        """Draw no more prompts; what is out is waited for."""
        self._jobs.stop()
        self._run.stop(reason or StoppedError("Stopped before it was sent."))

    @property
    def _places(self) -> int:
        return self._slots + min(self._run.aside, self._most_aside)

    def _hire(self) -> None:
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
                job = await self._draw()
                if job is None:
                    self._ended = True
                    return
                self._idle -= 1
                self._hire()
                await self._make(job)
                self._idle += 1
        finally:
            self._idle -= 1
            self._workers -= 1

    async def _make(self, job: Job | Failure) -> None:
        if self._jobs.only is not None and job.index not in self._jobs.only:
            await self._pass_over(job)
            return
        outcome: Outcome | None
        if isinstance(job, Failure):
            self._wiring.tell("on_outcome", outcome := job)
        else:
            outcome = await self._generate(job)
        if outcome is None:
            return
        delivered = self._deliver(outcome)
        if delivered is not None:
            try:
                await delivered
            except asyncio.CancelledError:
                self._run.dropped.append(outcome)
                raise
        self._heed(outcome)
        if not outcome.attempts:
            await asyncio.sleep(0)  # refused without waiting for anything: let others run

    async def _pass_over(self, job: Job | Failure) -> None:
        """A job whose outcome stands. Of equal ones each must still find its own item."""
        run = self._run
        if run.past is None or isinstance(job, Failure):
            await asyncio.sleep(0)
            return
        try:
            await pass_over(run.past, job)
        except NbpError as exc:
            run.heard(exc)

    def _heed(self, outcome: Outcome) -> None:
        """Prompts without end would all be refused once the money is spent: draw no more."""
        if self._jobs.count is not None or not isinstance(outcome, Failure):
            return
        if isinstance(outcome.error, BudgetError):
            self.stop(outcome.error)

    async def _generate(self, job: Job) -> Outcome | None:
        """Make one image. A bug here must not take its paid siblings with it."""
        problem: Exception
        try:
            return await generate(self._wiring, self._run, job)
        except asyncio.CancelledError as exc:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            problem = RuntimeError("A sink or listener was cancelled by itself.")
            problem.__cause__ = exc
        except Exception as exc:  # noqa: BLE001
            problem = exc
        self._break(problem)
        return None

    async def _draw(self) -> Job | Failure | None:
        if self._broken is not None or (self._run.stopped is not None and self._jobs.count is None):
            return None
        try:
            return await self._jobs.draw()
        except BadPrompt as bad:
            return Failure(index=bad.index, prompt=bad.prompt, error=bad.error)
        except Exception as exc:  # noqa: BLE001  the user's own iterator: no worker may die of it
            self._break(exc)
            return None

    def _break(self, exc: Exception) -> None:
        if self._broken is None:
            self._broken = exc
        self._jobs.stop()
