"""What every pool of workers does: open, resume, draw, hand out, stop, close.

check the prompts ─► open ─► begin: journal, links and tasks of earlier calls
                               │
                               ├──► one task for each of these, beside the prompts
                               └──► `_make_all`: the pool's own work
                                        │
raise what broke it ◄── close the journal ◄── all tasks have ended
"""

import asyncio
from abc import ABC, abstractmethod

from nbp_async._base.errors import NbpError, ParkedError, StoppedError
from nbp_async._flow.call_state import CallState
from nbp_async._flow.delivery import Deliver, Delivery
from nbp_async._flow.job_source import InvalidPrompt, Jobs
from nbp_async._flow.links_and_tasks import all_attempts, failure_of_entry, recover
from nbp_async._flow.queued_image import heeding_cancellations
from nbp_async._flow.resume import begin, claim_only, end
from nbp_async._flow.resume_state import ResumeState
from nbp_async._flow.shared_run import sweeping
from nbp_async._journal.base import JournalEntry
from nbp_async._models.outcomes import Failure, Job, Outcome


class PoolBase(ABC):
    """The lifecycle of `delivery.Pool`; `deliver` gets every outcome, as it comes."""

    stop_reason = "Stopped before it was sent."

    def __init__(self, delivery: Delivery, call: CallState, jobs: Jobs, deliver: Deliver) -> None:
        self._opener = delivery.open
        self._endpoint = delivery.endpoint
        self._endpoints = delivery.endpoints
        self._call = call
        self._jobs = jobs
        self._deliver = deliver
        self._broken: Exception | None = None

    async def work(self) -> None:
        """See `delivery.Pool`."""
        call = self._call
        try:
            # Within the `try`, for what fails here must close the caller's generator as well.
            await self._jobs.check()
            await self._opener()
            (await call.sink.open()).discard()  # where nothing can be stored nothing is bought
            linked = [] if call.past is None else await begin(self._endpoints, call, call.past)
            try:
                async with (
                    heeding_cancellations(call, call.past),
                    sweeping(self._endpoint, call, call.past, self._recover),
                    asyncio.TaskGroup() as group,
                ):
                    if call.past is not None:
                        for entry in linked:
                            rescue = self._recover(call.past, entry)
                            call.past.rescues[entry.item] = group.create_task(rescue)
                    await self._make_all(group)
            finally:
                self._abandon()
        finally:
            await self._jobs.aclose()
            if call.past is not None:
                await end(call, call.past)
        if self._broken is not None:
            raise self._broken

    async def _recover(self, past: ResumeState, entry: JournalEntry) -> Outcome:
        """Bring what an earlier call paid for. A bug here must not end its paid siblings."""
        try:
            return await recover(self._endpoint, self._call, past, entry)
        except Exception as exc:  # noqa: BLE001
            self._break(exc)
            error = ParkedError(f"It is paid for, and could not be fetched: {exc}")
            return failure_of_entry(entry, error, all_attempts(entry))
        finally:
            past.release(entry.item)

    @abstractmethod
    async def _make_all(self, group: asyncio.TaskGroup) -> None:
        """Draw all prompts, and start in `group` what makes them."""

    @abstractmethod
    def _abandon(self) -> None:
        """The call ends, well or badly: name what is left, without waiting for anything."""

    def stop(self, reason: NbpError | None = None) -> None:
        """Draw no more prompts; what is out is waited for."""
        self._jobs.stop()
        self._call.stop(reason or StoppedError(self.stop_reason))

    def _is_wanted(self, job: Job | Failure) -> bool:
        return self._jobs.wanted is None or job.index in self._jobs.wanted

    async def _draw(self) -> Job | Failure | None:
        """The next job, an invalid prompt as its failure, or None when no more are to be made."""
        endless = self._jobs.count is None
        if self._broken is not None or (self._call.stopped is not None and endless):
            return None
        try:
            return await self._jobs.draw()
        except InvalidPrompt as bad:
            return Failure(index=bad.index, prompt=bad.prompt, error=bad.error)
        except Exception as exc:  # noqa: BLE001  the user's own iterator: no worker may die of it
            self._break(exc)
            return None

    async def _pass_over(self, job: Job | Failure) -> None:
        """A job whose outcome stands. Of equal ones each must still find its own item."""
        call = self._call
        if call.past is None or isinstance(job, Failure):
            await asyncio.sleep(0)
            return
        try:
            await claim_only(call.past, job)
        except NbpError as exc:
            call.record_error(exc)

    async def _hand_out(self, outcome: Outcome) -> None:
        """Tell the listeners, then the caller, who may take its time."""
        self._call.listeners.notify("on_outcome", outcome)
        delivered = self._deliver(outcome)
        if delivered is not None:
            try:
                await delivered
            except asyncio.CancelledError:
                self._call.dropped.append(outcome)
                raise
        if not outcome.attempts:
            await asyncio.sleep(0)  # refused without waiting for anything: let others run

    def _break(self, exc: Exception) -> None:
        """Begin nothing more; `work` raises this once all that was paid for has ended."""
        if self._broken is None:
            self._broken = exc
        self._jobs.stop()
