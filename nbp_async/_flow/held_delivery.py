"""Held calls: the connection stays open until the image is there."""

from nbp_async._flow.attempt import LiveAttempt
from nbp_async._flow.attempt_loop import AttemptLoop
from nbp_async._flow.call_state import CallState
from nbp_async._flow.delivery import Deliver
from nbp_async._flow.endpoint import Endpoint, RequestTimeouts
from nbp_async._flow.job_source import Jobs
from nbp_async._flow.ledger import Ledger
from nbp_async._flow.worker_pool import WorkerPool
from nbp_async._models.outcomes import Job, Via


class HeldDelivery:
    """See `delivery.RequestDelivery`. The slot is the only bound: nothing is open beside it."""

    via: Via = "held"
    max_open = 0
    second_stop = "The stop button, pressed once more, drops them."

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.dialect = endpoint.dialect
        self._timeouts: dict[tuple[str, str], RequestTimeouts] = {}

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return (self.endpoint,)

    async def open(self) -> None:
        """Nothing has to be ready."""

    def pool(self, call: CallState, jobs: Jobs, deliver: Deliver) -> WorkerPool:
        return WorkerPool(self, call, jobs, deliver)

    def attempts(self, call: CallState, job: Job, ledger: Ledger) -> AttemptLoop:
        return AttemptLoop(self, call, job, ledger)

    def stop_message(self, call: CallState) -> str:
        later = " The same call goes on later." if call.past is not None else ""
        waiting = self.endpoint.resources.slots.in_use
        return (
            f"Stopping: nothing more is sent; waiting for {waiting} requests that are out and paid "
            f"for. Once more drops them.{later}"
        )

    def timeouts(self, job: Job) -> RequestTimeouts:
        key = job.canvas.tier, job.tier
        timeouts = self._timeouts.get(key)
        if timeouts is None:
            timeouts = self.endpoint.timeouts(self.endpoint.read_timeout(*key))
            self._timeouts[key] = timeouts
        return timeouts

    async def take_place(self, call: CallState) -> None:
        """The slot is the place."""

    def give_place_back(self) -> None:
        """The slot is the place."""

    async def receive(
        self, call: CallState, job: Job, attempt: LiveAttempt, ledger: Ledger
    ) -> None:
        """The response has the image."""
