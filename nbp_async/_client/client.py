"""The client: opens, chooses and wires the parts, and is the face that people use."""

import asyncio
import dataclasses
import os
import threading
import warnings
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from nbp_async._base.errors import ClosedError, ConfigError
from nbp_async._base.running_loop import running_loop
from nbp_async._calls.batch import with_bill
from nbp_async._calls.call import Call, Opened
from nbp_async._calls.plan import Plan, Stream, describe
from nbp_async._calls.preview import Preview
from nbp_async._calls.retry_failed import RetryFailed, RetryRequest
from nbp_async._calls.running import Running, drain
from nbp_async._client.call_preview import preview_call
from nbp_async._client.call_prices import with_defaults
from nbp_async._client.client_accounts import ClientAccounts
from nbp_async._client.client_options import (
    ClientOptions,
    EnvironmentOptions,
    FakeClientOptions,
    SharedOptions,
    keywords_of,
)
from nbp_async._client.endpoint_account import with_keys
from nbp_async._client.keyword_options import takes
from nbp_async._client.options import CallOptions, ImageOptions
from nbp_async._client.parts import Parts
from nbp_async._client.run import Run
from nbp_async._client.run_submission import RunParts, run_options
from nbp_async._flow.job_prices import PromptPrices
from nbp_async._flow.job_source import InvalidPrompt, JobSource, Prompts
from nbp_async._flow.make_image import make_image
from nbp_async._flow.resources import Totals
from nbp_async._models.argument_errors import CLOSED, NOT_OPEN, OnlyAsync, warn_about_settings
from nbp_async._models.bill import Bill, note_dropped
from nbp_async._models.outcomes import ZERO, Image, Prompt
from nbp_async._models.settings import Retry, Timeouts
from nbp_async._models.shards import ALL
from nbp_async._pacing.gate import GateStatistics
from nbp_async._vendors.api_keys import endpoint_from_env, key_from_env
from nbp_async._vendors.prices import ServiceTier
from nbp_async._vendors.profiles import fake_profile, find_profile

if TYPE_CHECKING:
    from nbp_async.fake import FakeServer


class Client(OnlyAsync):
    """Makes images at one endpoint, with one key, from one event loop.

    ```python
    async with Client.from_env() as gen:
        image = await gen.one("a red bicycle", size="2K")
        batch = await gen.many(prompts, size="4K", out="catalogue/")
        async for outcome in gen.stream(prompts):
            print(outcome)
    ```

    It opens at its first use; `async with`, or `aclose`, closes it. Images stay after that.

    Raises:
        ConfigError: A setting cannot work. Nothing was sent.
    """

    @takes(ClientOptions)
    def __init__(self, options: ClientOptions) -> None:
        """Nothing is opened or sent."""
        self._accounts = accounts = ClientAccounts(options)
        self.profile, self.model = accounts.profile, accounts.model
        self.limits = accounts.limits
        self.timeouts = options.timeouts or Timeouts()
        self.retry = options.retry or Retry()
        self.server: FakeServer | None = None
        self._options = options
        self._parts: Parts | None = None
        self._opening = threading.Lock()
        self._totals = Totals()
        self._started: set[Running] = set()
        self._closed = False

    @classmethod
    @takes(EnvironmentOptions)
    def from_env(cls, options: EnvironmentOptions) -> Self:
        """A client from environment variables; what is given here goes first.

        NBP_BASE_URL or NBP_ENDPOINT (a known name) says where; NBP_API_KEY, or the vendor's own
        GOOGLE_API_KEY, GEMINI_API_KEY, APIYI_API_KEY, OPENAI_API_KEY, says who; NBP_MODEL says
        what. Without an endpoint, the vendor whose key is set is asked. A vendor's own variable
        goes to that vendor's hosts alone; to another address goes NBP_API_KEY, or `api_key`.

        Raises:
            ConfigError: No key, or an unknown endpoint. Nothing was sent.
        """
        env = os.environ if options.environ is None else options.environ
        if options.accounts:
            accounts = with_keys(options.accounts, env)
            return cls(accounts, route=options.route, **keywords_of(options, SharedOptions))
        profile = find_profile(options.single or endpoint_from_env(env))
        key = options.api_key or key_from_env(env, profile)
        model = options.model or env.get("NBP_MODEL") or None
        return cls(profile, key, **{**keywords_of(options, SharedOptions), "model": model})

    @classmethod
    @takes(FakeClientOptions)
    def fake(cls, options: FakeClientOptions) -> Self:
        """A client with a fake server of its own in the same loop: no key, no cost.

        ```python
        async with Client.fake(server={"latency": 0.1, "faults": "500=0.1"}) as gen:
            batch = await gen.many(["a red bicycle"] * 10)
        ```

        Use it in `async with`: the server starts and stops with the client. It is
        `client.server`; its bank keeps the ledger of what would have been paid.
        """
        from nbp_async.fake import FakeServer

        host = FakeServer(**(options.server or {}))
        profile = fake_profile("http://127.0.0.1", options.dialect)
        client = cls(profile, host.key, **keywords_of(options, SharedOptions))
        client.server = host
        return client

    @takes(CallOptions)
    def many(self, prompts: Prompts, options: CallOptions) -> Plan:
        """Plan one image per prompt (and per copy, for `n`); await the plan to make them.

        A failed prompt does not stop the others: its outcome says what happened and whether it was
        billed. Three failures in a row with one cause that all prompts share (a refused key, no
        balance, a wrong model, paid answers that cannot be read) stop the call: what is left is not
        sent, and `Batch.retry_failed` makes it later.

        With a folder as `out` it is a run: its journal is in the folder, and the same call made
        again, after an end, a stop or a kill, goes on where it was. Images that exist are not
        bought again (`Bill.saved`); what may have been billed is named, and not sent again unasked.

        Args:
            prompts: str, dict or Prompt, from any iterable or async iterable, drawn as slots come
                free. A list or tuple is checked as a whole before anything is sent; so is a Series
                or a DataFrame of pandas or polars, whose columns are options of the prompts.

        Returns: A Plan, which awaited gives the Batch, in the order of the prompts.

        Raises:
            ConfigError: An argument cannot work. Nothing was sent.
            ClosedError: The client is closed, or belongs to another event loop. Nothing was sent.
            JournalError: The run's journal cannot be used, or another process uses it
                (RunBusyError). Nothing was changed, nothing sent.
            StorageError: `out` cannot be written to. Nothing was sent.
            Exception: Whatever your prompts or your sink raise. What was made and paid for
                by then is in `partial` of the exception, and of the plan.
            asyncio.CancelledError: You cancelled. What was in flight may be billed: it is named
                in the plan's `partial`, and in the journal; images that were stored stay.
        """
        return self._plan(prompts, options)

    @takes(CallOptions)
    def start(self, prompts: Prompts, options: CallOptions) -> Running:
        """Begin what `many` would make, and go on with other things: await it for the Batch.

        In a notebook its bar renews itself while other cells run. It may be asked for its
        `progress` and what there is so far (`partial`), stopped, and cancelled.

        Raises:
            ConfigError: An argument cannot work, or no event loop runs. Nothing was sent. What
                else `many` raises is raised where it is awaited.
            ClosedError: The client is closed. Nothing was sent.
        """
        return Running(self._plan(prompts, options), self._started)

    @takes(CallOptions)
    def stream(self, prompts: Prompts, options: CallOptions) -> Stream:
        """The same as `many`, one outcome at a time, in the order of completion.

        Memory follows what is in flight: it may run indefinitely.

        Raises:
            Exception: What `many` raises, where the stream is made or read. What was not consumed
                by then is in the stream's `dropped`, once it is closed.
        """
        jobs = self._jobs(prompts, options)
        return Stream(self._call(jobs, options), self.limits.most_in_flight)

    @takes(ImageOptions)
    async def one(self, prompt: str | Prompt | Mapping[str, Any], options: ImageOptions) -> Image:
        """Make one image.

        With `out="bike.png"` it is that file. It replaces none: a file that exists is refused, and
        an image of another type gets its own suffix, so that `Image.path` says where it is.

        Raises:
            NbpError: It could not be made; the error's class says how far it got, and a note on
                it what was billed.
            ConfigError: An argument cannot work. Nothing was sent.
            asyncio.CancelledError: You cancelled. If the request was out it may be billed.
        """
        jobs = self._jobs([prompt], options)
        call, delivery = self._open().call(options)
        await delivery.open()
        try:
            job = await jobs.draw()
        except InvalidPrompt as bad:
            raise bad.error from None
        (await call.sink.open()).discard()
        assert job is not None
        if job.prompt.n != 1:
            raise ConfigError("one() makes one image: use many() for n.")
        try:
            outcome = await make_image(delivery, call, job)
        except asyncio.CancelledError as exc:
            note_dropped(exc, call.dropped)
            raise
        call.listeners.notify("on_outcome", outcome)
        if isinstance(outcome, Image):
            return outcome
        raise with_bill(outcome) from None

    @takes(ImageOptions)
    def open_run(self, journal: str | Path, options: ImageOptions) -> Run:
        """A run as a queue: submit images to it, and let any number of processes make them.

        ```python
        async with gen.open_run("shop/") as run:
            tickets = await run.submit(prompts, size="4K", key="order 17")
            async for outcome in run.work():
                print(outcome)
        ```

        Args:
            journal: The run's folder, which is then also `out`; a file, which one process at a time
                works on; or "postgresql://host/db?run=NAME" (extra [postgres]), for any number of
                processes on any number of machines.

        Returns: A Run, to be used in `async with`.

        Raises:
            ConfigError: An argument cannot work. Nothing was sent.
            JournalError: Where it is entered: the run's journal cannot be used, or another process
                uses it (RunBusyError). Nothing was changed, nothing sent.
        """
        if self._closed:
            raise ClosedError(CLOSED)
        call = run_options(journal, options)
        self._accounts.via(call)

        def prices(model: str, tier: str) -> PromptPrices:
            known = cast("ServiceTier", tier)
            return self._accounts.prices(dataclasses.replace(call, model=model, tier=known))

        parts = RunParts(open=self._open, jobs=self._jobs, prices=prices, limits=self.limits)
        return Run(parts, call)

    @property
    def in_flight(self) -> int:
        """Requests that hold a slot now."""
        return self._parts.resources.slots.in_use if self._parts is not None else 0

    def statistics(self) -> dict[str, GateStatistics]:
        """How each model's gate stands now: in flight, waiting, paused for how many seconds. Of
        several accounts each has its own: `"google: gemini-3-pro-image"`."""
        endpoints = self._parts.endpoints if self._parts is not None else ()
        return {
            f"{endpoint.name}: {model}" if endpoint.name else model: gate.statistics()
            for endpoint in endpoints
            for model, gate in endpoint.gates.items()
        }

    def bill(self) -> Bill:
        """What this client has spent so far, and what may have been billed."""
        return self._totals.bill()

    async def aclose(self) -> None:
        """Close connections and threads; images stay. Calls must have ended, except those that
        `start` began: these send nothing more, and what they have sent is waited for. While the
        client's event loop runs, another one gets a ClosedError."""
        if self._parts is not None and self._parts.loop.is_running():
            self._parts.check_loop()
        self._closed = True
        try:
            await drain(self._started)
        finally:
            parts, self._parts = self._parts, None
            if parts is not None:
                await parts.aclose()
            if self.server is not None:
                await self.server.aclose()

    async def __aenter__(self) -> Self:
        running_loop()
        if self.server is not None:
            await self.server.start()
            speaks = self.profile.dialect
            base = self.server.gemini_url if speaks == "gemini" else self.server.openai_url
            self._accounts.move_to(fake_profile(base, speaks, self.server.usual))
            self.profile = self._accounts.profile
        self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{self.limits.most_in_flight} in flight"
        pace = f", {rate.count} per {rate.period:g} s" if (rate := self.limits.departures) else ""
        facts = filter(None, (self._accounts.name, self._accounts.shown_key, state + pace))
        return f"Client({', '.join(facts)})"

    def __del__(self) -> None:
        if getattr(self, "_parts", None) is not None:
            warnings.warn(
                f"{self!r} was never closed: use `async with`, or await aclose().",
                ResourceWarning,
                stacklevel=1,
                source=self,
            )

    def _plan(self, prompts: Prompts, options: CallOptions) -> Plan:
        jobs = self._jobs(prompts, options)
        words = describe(jobs.count, self.limits.most_in_flight, self._accounts.name)
        retrier = self._retrier(jobs, options)
        return Plan(self._call(jobs, options), words, self._preview(jobs, options), retrier.another)

    def _jobs(self, prompts: Prompts, options: ImageOptions) -> JobSource:
        """The jobs of a call; nothing is opened or drawn."""
        if self._closed:
            raise ClosedError(CLOSED)
        options = with_defaults(options, self._options)
        shard = options.shard if isinstance(options, CallOptions) else None
        assert not isinstance(shard, str), "it was read where the options were made"
        prices = self._accounts.prices(options)
        return JobSource(
            prompts, prices=prices, defaults=options.prompt_defaults, shard=shard or ALL
        )

    def _call(self, jobs: JobSource, options: CallOptions, charged: Decimal = ZERO) -> Call:
        """`charged` dollars are spent of `max_cost` before it begins."""
        held = self._accounts.via(options) == "held"

        def open_parts() -> Opened:
            state, delivery = self._open().run_call(options)
            if state.cap is not None:
                state.cap.spent += charged
            return state, delivery

        width = self.limits.most_in_flight if held else self.limits.max_open
        return Call(open_parts, jobs, width=width, progress=options.progress)

    def _preview(self, jobs: JobSource, options: CallOptions) -> Callable[[], Preview | None]:
        keeps, owner = self._accounts.keeps_links(options), self._accounts.owner
        return lambda: preview_call(jobs, options, self.limits, owner, keeps_links=keeps)

    def _retrier(self, jobs: JobSource, options: CallOptions) -> RetryFailed:
        durable = options.has_journal
        jobs.drawn = []

        def make(original: RetryRequest) -> tuple[Call, Callable[[], Preview | None]]:
            more = options.for_failures(
                resend_ambiguous=original.resend_ambiguous, max_cost=original.max_cost
            )
            some = jobs.for_retry(original.indexes)
            charged = ZERO if durable else original.charged  # a journal knows it
            return self._call(some, more, charged), self._preview(some, more)

        return RetryFailed(make, durable=durable)

    def _open(self) -> Parts:
        with self._opening:  # the loops of several threads may come at once: one gets it
            if self._closed:  # asked in here, for its owner may close it while another one waits
                raise ClosedError(CLOSED)
            if self.server is not None and not self.server.started:
                raise ClosedError(NOT_OPEN)
            if self._parts is None:
                for account in self._accounts.all:
                    warn_about_settings(account.profile, self.timeouts)
                self._parts = Parts(self._options, self._accounts, self._totals)
            parts = self._parts
        parts.check_loop()
        return parts
