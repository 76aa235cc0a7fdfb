"""Which delivery a call gets: the only place that asks whether it is held, polled or a batch."""

from collections.abc import Awaitable, Callable, Sequence

from nbp_async._batch_api.batch_delivery import BatchDelivery
from nbp_async._client.batch_vendors import batch_options
from nbp_async._client.callbacks import Callbacks
from nbp_async._client.client_accounts import ClientAccounts
from nbp_async._client.options import CallOptions, ImageOptions
from nbp_async._dialects.task_dialect import TaskImages
from nbp_async._flow.delivery import Delivery, RequestDelivery
from nbp_async._flow.endpoint import Endpoint
from nbp_async._flow.held_delivery import HeldDelivery
from nbp_async._flow.route import Route
from nbp_async._flow.routed_delivery import RoutedDelivery
from nbp_async._flow.shared_prices import SharedPrices
from nbp_async._flow.task_client import TaskClient
from nbp_async._flow.task_delivery import TaskDelivery
from nbp_async._flow.upstream import Upstream
from nbp_async._models.outcomes import Via
from nbp_async._pacing.token_bucket import TokenBucket
from nbp_async._transports.base import Transport
from nbp_async._webhooks.webhook import Webhook


class Deliveries:
    """The deliveries of one client. Belongs to one event loop."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        webhook: Webhook | None,
        new_transport: Callable[[], Transport],
        accounts: ClientAccounts,
    ) -> None:
        self._endpoint = endpoint = endpoints[0]
        self._route = choice = Route(accounts.route, endpoint.resources.retry.max_throttle)
        self._upstreams = [
            Upstream(HeldDelivery(each), choice.changed) for each in endpoints if each.name
        ]
        self._webhook = webhook
        self._accounts = accounts
        self._held = HeldDelivery(endpoint)
        self._callbacks: Callbacks | None = None
        self._tasks: TaskClient | None = None
        if endpoint.profile.tasks is not None and not self._upstreams:
            limits = endpoint.resources.limits
            self._tasks = TaskClient(
                endpoint,
                TaskImages(endpoint.profile),
                new_transport(),
                pace=TokenBucket(limits.polls),
                max_open=limits.max_open,
            )

    def for_run(self, via: Via, options: CallOptions) -> Delivery:
        """The delivery of a call that makes many images."""
        return self.for_batch(options) if via == "batch" else self.for_one(via, options)

    def for_batch(self, options: CallOptions) -> BatchDelivery:
        """The delivery of a call by the batch API."""
        choices = batch_options(options, self._endpoint.profile, self._held, self._listener())
        return BatchDelivery(self._endpoint, choices, self._listen())

    def for_one(self, via: Via, options: ImageOptions) -> RequestDelivery:
        """The delivery of a call whose images have a request each."""
        if self._upstreams:
            prices = self._accounts.prices(options)
            assert isinstance(prices, SharedPrices), "there are several accounts"
            return RoutedDelivery(self._upstreams, self._route, prices)
        if via == "held":
            return self._held
        tasks = self.tasks_for(via)
        assert tasks is not None, "checked when the call was made"
        return TaskDelivery(tasks, via, self._listen() if via == "webhook" else None)

    def tasks_for(self, via: Via) -> TaskClient | None:
        """Where a call polls its tasks and those of earlier calls; None if there are none."""
        if via not in ("webhook", "batch"):
            return self._tasks
        callbacks = self._listener()
        return self._tasks if callbacks is None else callbacks.tasks

    async def aclose(self) -> None:
        """Take no more webhooks in, and wait for what was asked to be cancelled."""
        if self._callbacks is not None:
            await self._callbacks.aclose()
        if self._tasks is not None:
            await self._tasks.aclose()

    def _listener(self) -> Callbacks | None:
        """Where vendors call back; None without a webhook."""
        if self._callbacks is None and self._webhook is not None:
            endpoint = self._endpoint
            self._callbacks = Callbacks(self._webhook, endpoint.profile, endpoint.key, self._tasks)
        return self._callbacks

    def _listen(self) -> Callable[[], Awaitable[None]] | None:
        callbacks = self._listener()
        return None if callbacks is None else callbacks.open
