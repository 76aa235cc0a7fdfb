"""The batch API: half the price, up to a day, and no connection held meanwhile."""

from collections.abc import Awaitable, Callable

from nbp_async._batch_api.batch_client import BatchClient
from nbp_async._batch_api.batch_job import BatchOptions
from nbp_async._batch_api.batch_pool import BatchPool
from nbp_async._flow.call_state import CallState
from nbp_async._flow.delivery import Deliver
from nbp_async._flow.endpoint import Endpoint
from nbp_async._flow.job_source import Jobs


class BatchDelivery:
    """See `delivery.Delivery`.

    Args:
        endpoint: Who is asked.
        options: How the call uses the batch API.
        listen: Begins to listen for webhooks; None where jobs are only polled.
    """

    second_stop = ""

    def __init__(
        self,
        endpoint: Endpoint,
        options: BatchOptions,
        listen: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.endpoints = (endpoint,)
        self.options = options
        self._listen = listen

    def client(self, call: CallState) -> BatchClient:
        """What asks the API for one call."""
        return BatchClient(self.endpoint, self.options.dialect, call.sink)

    async def open(self) -> None:
        if self._listen is not None:
            await self._listen()

    def pool(self, call: CallState, jobs: Jobs, deliver: Deliver) -> BatchPool:
        return BatchPool(self, self.options, call, jobs, deliver)

    def stop_message(self, call: CallState) -> str:  # noqa: ARG002  it is the same for all
        return (
            "Stopping: no more batch jobs are created; existing jobs continue at the vendor. "
            "The same call fetches their images later."
        )
