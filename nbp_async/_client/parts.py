"""What a client is made of: the only place that chooses implementations, and wires them."""

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path

from nbp_async._base.errors import ClosedError, ConfigError
from nbp_async._base.running_loop import running_loop
from nbp_async._batch_api.batch_delivery import BatchDelivery
from nbp_async._client.client_accounts import ClientAccounts
from nbp_async._client.client_options import SharedOptions
from nbp_async._client.deliveries import Deliveries
from nbp_async._client.downloads import downloader
from nbp_async._client.endpoint_account import EndpointAccount
from nbp_async._client.options import CallOptions, ImageOptions
from nbp_async._client.run_journal import opener
from nbp_async._client.transport_choice import choose_transport
from nbp_async._dialects.base import Dialect
from nbp_async._dialects.gemini import GeminiNative
from nbp_async._dialects.openai_chat import OpenAIChat
from nbp_async._dialects.openai_images import OpenAIImages
from nbp_async._flow.call_state import CallState
from nbp_async._flow.delivery import Delivery, RequestDelivery
from nbp_async._flow.endpoint import Endpoint
from nbp_async._flow.listeners import Listeners
from nbp_async._flow.resources import Resources, Totals
from nbp_async._flow.resume_state import ResumeState
from nbp_async._flow.task_client import TaskClient
from nbp_async._images.download import link_policy
from nbp_async._journal.base import Journal
from nbp_async._models.outcomes import Via
from nbp_async._models.settings import Retry, Timeouts
from nbp_async._pacing.budgets import RetryBudget, SpendCap
from nbp_async._pacing.price_margins import PriceMargins
from nbp_async._pacing.slots import NestedSlots, Slots
from nbp_async._pacing.spend_window import SpendWindow
from nbp_async._pacing.token_bucket import TokenBucket
from nbp_async._sinks.base import Sink
from nbp_async._sinks.directory import DirectorySink
from nbp_async._sinks.disk_space import DiskSpace
from nbp_async._sinks.file_threads import FileThreads
from nbp_async._sinks.image_file import ImageFileSink, image_file_of
from nbp_async._sinks.memory import MemorySink
from nbp_async._sinks.object_sink import ObjectSink, as_store_address
from nbp_async._stores.open_buckets import Buckets
from nbp_async._transports.base import Transport
from nbp_async._transports.extra_headers import HeaderTransport
from nbp_async._vendors.profiles import DialectName

DIALECTS: dict[DialectName, Callable[[], Dialect]] = {
    "openai_images": OpenAIImages,
    "gemini": GeminiNative,
    "openai_chat": OpenAIChat,
}


class Parts:
    """The open parts of one client. Belongs to one event loop.

    Args:
        options: Those of the client.
        accounts: Where images are made, and which account pays.
        totals: What the client has spent.
    """

    def __init__(self, options: SharedOptions, accounts: ClientAccounts, totals: Totals) -> None:
        self._options = options
        self._network = options.network
        self._memory: MemorySink | None = None
        self._buckets = Buckets()
        self.loop = running_loop()
        self._accounts = accounts
        self.resources = open_resources(options, accounts, totals)
        self.endpoints = [self._open_endpoint(account) for account in accounts.all]
        self.endpoint = self.endpoints[0]
        self._deliveries = Deliveries(
            self.endpoints,
            options.webhook,
            lambda: self._transport(accounts.all[0], reuse=True),
            accounts,
        )

    def check_loop(self) -> None:
        """Refuse every event loop but the one that opened the client: limits hold in one loop.

        Raises:
            ClosedError: Another event loop is running here. Nothing was sent.
        """
        if self.loop is not asyncio.get_running_loop():
            raise ClosedError(
                "This client belongs to another event loop. Make one for each asyncio.run, or use "
                "one loop for all."
            )

    def call(self, options: ImageOptions) -> tuple[CallState, RequestDelivery]:
        """What belongs to one `one` alone, and its delivery."""
        delivery = self._deliveries.for_one(self._via(options), options)
        file, files = image_file_of(options.out), self.resources.files
        if file is None:
            return self._state(options, None), delivery
        if self._keeps_links(options):
            raise ConfigError(
                f"only the link would be kept, and {file} never be written: leave out away.",
                option="links",
                value="keep",
            )
        sink = ImageFileSink(file, files, shared=options.shared)
        listeners = self.resources.listeners
        return CallState(sink, self._cap(options), past=None, listeners=listeners), delivery

    def run_call(self, options: CallOptions) -> tuple[CallState, Delivery]:
        """The same of one `many` or `stream`: with a journal, where one is wanted."""
        via = self._via(options)
        past = self._past(options, self._deliveries.tasks_for(via))
        return self._state(options, past), self._deliveries.for_run(via, options)

    def batch_call(self, options: CallOptions) -> tuple[CallState, BatchDelivery]:
        """The same, for a call that is known to use the batch API."""
        past = self._past(options, self._deliveries.tasks_for(self._via(options)))
        return self._state(options, past), self._deliveries.for_batch(options)

    async def open_journal(self, options: CallOptions) -> Journal:
        """Open the journal of a run that these options name.

        Raises:
            JournalError: It cannot be used, or another process uses it. Nothing was changed.
        """
        account, resources = self.endpoint.account, self.resources
        return await opener(options, account, resources.files, resources.wall_clock)()

    async def aclose(self) -> None:
        """Close connections and threads; images stay."""
        for endpoint in self.endpoints:
            endpoint.close()
        await self._deliveries.aclose()
        for endpoint in self.endpoints:
            await endpoint.transport.aclose()
        await self.resources.downloads.aclose()
        if self._memory is not None:
            await self._memory.aclose()
        self.resources.files.close()

    def _open_endpoint(self, account: EndpointAccount) -> Endpoint:
        """What belongs to one endpoint and account, apart from what the client shares."""
        resources, limits = self.resources, account.limits
        rate, spend, slots = limits.departures, limits.spend_window, resources.slots
        margins = PriceMargins() if account.name else resources.margins
        return Endpoint(
            resources=resources,
            limits=limits,
            slots=NestedSlots(limits.most_in_flight, slots) if account.name else slots,
            profile=account.profile,
            key=account.key,
            account=account.owner,
            dialect=DIALECTS[account.profile.dialect](),
            transport=self._transport(account, reuse=limits.reuse_connections),
            bucket=None if rate is None else TokenBucket(rate, limits.burst),
            window=None if spend is None else SpendWindow(spend, margins),
            margins=margins,
            name=account.name,
        )

    def _transport(self, account: EndpointAccount, *, reuse: bool) -> Transport:
        """What carries requests to this endpoint."""
        wanted, headers, profile = self._options.transport, account.headers, account.profile
        carrier = choose_transport(wanted, profile.name, self._network, reuse=reuse)
        return HeaderTransport(carrier, headers, profile.origin) if headers else carrier

    def _via(self, options: ImageOptions) -> Via:
        return self._accounts.via(options)

    def _state(self, options: ImageOptions, past: ResumeState | None) -> CallState:
        cap, space, listeners = self._cap(options), self._space(options), self.resources.listeners
        return CallState(
            self._sink(options),
            cap,
            past=past,
            room=space,
            listeners=listeners,
            keeps_links=self._keeps_links(options),
        )

    def _keeps_links(self, options: ImageOptions) -> bool:
        return (options.links or self._options.links) == "keep"

    def _cap(self, options: ImageOptions) -> SpendCap | None:
        most = options.spend_limit
        return None if most is None else SpendCap(most, self.resources.margins)

    def _sink(self, options: ImageOptions) -> Sink:
        out, files = options.out, self.resources.files
        if out is not None and not isinstance(out, str | Path):
            return out
        if self._memory is None:
            self._memory = MemorySink(self.resources.limits.max_memory, files)
        if out is None:
            return self._memory
        beside = options.beside if isinstance(options, CallOptions) else None
        return sink_at(
            out, self._memory, self._buckets, files, shared=options.shared, beside=beside
        )

    def _space(self, options: ImageOptions) -> DiskSpace | None:
        folder = options.folder
        if folder is None:
            return None
        links = self._accounts.keeps_links(options)
        return DiskSpace(folder, self.resources.files, for_images=not links)

    def _past(self, options: CallOptions, tasks: TaskClient | None) -> ResumeState | None:
        if not options.has_journal:
            return None
        out, account = options.out, self.endpoint.account
        return ResumeState(
            open=opener(options, account, self.resources.files, self.resources.wall_clock),
            account=account,
            again=options.resume_policy,
            folder=options.folder,
            store=options.store,
            has_own_sink=out is not None and not isinstance(out, str | Path),
            beside=options.beside,
            buckets=out.buckets if isinstance(out, ObjectSink) else self._buckets,
            tasks=tasks,
        )


def open_resources(options: SharedOptions, accounts: ClientAccounts, totals: Totals) -> Resources:
    """What all calls of a client share, whatever endpoint they ask."""
    limits, timeouts = accounts.limits, options.timeouts or Timeouts()
    profiles = [account.profile for account in accounts.all]
    retry, rng = options.retry or Retry(), options.rng or random.random
    private, http = options.allow_private, options.allow_http
    links = link_policy(
        options.link_hosts,
        private=any(one.is_local for one in profiles) if private is None else private,
        http=any(one.is_plain_http for one in profiles) if http is None else http,
    )
    return Resources(
        downloads=downloader(links, limits, timeouts, options.network, rng),
        files=FileThreads(),
        limits=limits,
        timeouts=timeouts,
        retry=retry,
        slots=Slots(limits.most_in_flight),
        retry_budget=RetryBudget(limits.most_in_flight),
        margins=PriceMargins(),
        ambiguous=SpendCap(retry.ambiguous_dollars),
        listeners=Listeners(*options.listeners),
        rng=rng,
        wall_clock=time.time,
        totals=totals,
        opened_at=asyncio.get_running_loop().time(),
    )


def sink_at(
    out: str | Path,
    memory: MemorySink,
    buckets: Buckets,
    files: FileThreads,
    *,
    shared: bool,
    beside: Path | None = None,
) -> Sink:
    """The folder, or the place in a store. What is on its way to a store is in `memory`."""
    store = as_store_address(out)
    if store is None:
        return DirectorySink(out, files, shared=shared)
    return ObjectSink(store, buckets, memory, files, beside=beside)
