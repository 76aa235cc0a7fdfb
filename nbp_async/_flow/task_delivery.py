"""Tasks: a request is answered with a task, and the image comes when the task is polled.

With webhooks the service says when a task is done, and it is polled at once.
"""

import asyncio
from collections.abc import Awaitable, Callable

from nbp_async._dialects.task_dialect import TaskSubmits
from nbp_async._flow.attempt import LiveAttempt
from nbp_async._flow.attempt_loop import AttemptLoop
from nbp_async._flow.call_state import CallState
from nbp_async._flow.delivery import Deliver
from nbp_async._flow.endpoint import Endpoint, RequestTimeouts
from nbp_async._flow.job_source import Jobs
from nbp_async._flow.ledger import Ledger
from nbp_async._flow.task_client import PendingTask, TaskClient
from nbp_async._flow.worker_pool import WorkerPool
from nbp_async._models.outcomes import Job, Via


class TaskDelivery:
    """See `delivery.RequestDelivery`. A task that waits at the vendor holds no slot.

    Args:
        tasks: Submits and polls.
        via: "poll" or "webhook".
        listen: Begins to listen for webhooks; None where tasks are only polled.
    """

    second_stop = "The stop button, pressed once more, drops them."

    def __init__(
        self, tasks: TaskClient, via: Via, listen: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self.via: Via = via
        self.dialect = TaskSubmits(tasks.dialect)
        self._tasks = tasks
        self._listen = listen

    @property
    def endpoint(self) -> Endpoint:
        return self._tasks.endpoint

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return (self.endpoint,)

    @property
    def max_open(self) -> int:
        return self._tasks.open.limit

    async def open(self) -> None:
        if self._listen is not None:
            await self._listen()

    def pool(self, call: CallState, jobs: Jobs, deliver: Deliver) -> WorkerPool:
        return WorkerPool(self, call, jobs, deliver)

    def attempts(self, call: CallState, job: Job, ledger: Ledger) -> AttemptLoop:
        return AttemptLoop(self, call, job, ledger)

    def stop_message(self, call: CallState) -> str:
        later = " The same call goes on later." if call.past is not None else ""
        return (
            f"Stopping: nothing more is sent; waiting for {self._tasks.open.in_use} tasks that are "
            f"open and paid for. Once more drops them.{later}"
        )

    def timeouts(self, job: Job) -> RequestTimeouts:  # noqa: ARG002  a submit takes as long for all
        return self.endpoint.timeouts(self.endpoint.resources.timeouts.submit)

    async def take_place(self, call: CallState) -> None:
        await call.wait(self._tasks.open.acquire)

    def give_place_back(self) -> None:
        self._tasks.open.release()

    async def receive(
        self, call: CallState, job: Job, attempt: LiveAttempt, ledger: Ledger
    ) -> None:
        """Poll until the task is done; it holds no slot meanwhile."""
        if attempt.handle is None:
            return  # the service had it at once
        if attempt.ticket is not None:
            attempt.gate.succeeded(attempt.ticket)
        task = PendingTask(
            handle=attempt.handle,
            model=job.model,
            tier=job.canvas.tier,
            eta=attempt.eta,
            origin=ledger.origin(attempt.handle),
        )
        try:
            await ledger.record_handle(attempt.handle, attempt.request_id)
            with call.without_slot():
                result = await self._tasks.result(task, call.sink)
        except asyncio.CancelledError:
            if ledger.in_journal is None:  # no later call can ask for it
                self._tasks.cancel_soon(task, call.sink)
            raise
        finally:
            attempt.done_at = asyncio.get_running_loop().time()
        attempt.adopt(result)
