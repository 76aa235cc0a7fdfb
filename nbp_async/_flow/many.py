"""Many prompts: workers that draw, one for each slot and no task for each prompt.

A worker is started when the one before it got something to do, so that three prompts start three
workers whatever the limit is.
"""

import asyncio
from collections.abc import Awaitable, Callable

from nbp_async._errors import BudgetError, NbpError, StoppedError
from nbp_async._flow.generate import generate
from nbp_async._flow.source import BadPrompt, Jobs
from nbp_async._flow.wiring import Run, Wiring
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
        self._places = wiring.limits.max_in_flight
        self._broken: Exception | None = None
        self._group: asyncio.TaskGroup | None = None

    async def work(self) -> None:
        """Work until all prompts have an outcome, or the run is stopped.

        Raises:
            ConfigError: A prompt of a list cannot be sent. Nothing was sent.
            StorageError: There is no place for images. Nothing was sent.
            Exception: What the iterable of prompts raised, after all that was paid has ended.
        """
        await self._jobs.check()
        (await self._run.sink.open()).discard()  # where nothing can be stored nothing is bought
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._hire()
        self._group = None
        if self._broken is not None:
            raise self._broken

    def stop(self, reason: NbpError | None = None) -> None:
        """Draw no more prompts; what is out is waited for."""
        self._jobs.stop()
        if self._run.stopped is None:
            self._run.stopped = reason or StoppedError("Stopped before it was sent.")

    def _hire(self) -> None:
        assert self._group is not None
        if self._places and self._broken is None:
            self._places -= 1
            self._group.create_task(self._worker())

    async def _worker(self) -> None:
        alone = True
        while (job := await self._draw()) is not None:
            if alone:
                alone = False
                self._hire()
            outcome = job if isinstance(job, Failure) else await self._generate(job)
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

    def _heed(self, outcome: Outcome) -> None:
        """Prompts without end would all be refused once the money is spent: draw no more."""
        if self._jobs.count is not None or not isinstance(outcome, Failure):
            return
        if isinstance(outcome.error, BudgetError):
            self.stop(outcome.error)

    async def _generate(self, job: Job) -> Outcome | None:
        """Make one image. A bug here must not take its paid siblings with it."""
        try:
            return await generate(self._wiring, self._run, job)
        except Exception as exc:  # noqa: BLE001
            self._break(exc)
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
