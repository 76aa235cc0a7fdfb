"""The client: opens, chooses and wires the parts, and is the face that people use."""

import asyncio
import os
import random
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

from nbp_async._batch import Bill, with_bill
from nbp_async._batching import priced_for
from nbp_async._config import Limits, Retry, Secret, Timeouts
from nbp_async._errors import ClosedError, ConfigError, NbpError
from nbp_async._events import Listener
from nbp_async._flow.again import Asked, Retrier
from nbp_async._flow.errand import Errand
from nbp_async._flow.generate import generate
from nbp_async._flow.plan import Plan, Stream, describe
from nbp_async._flow.preview import Preview
from nbp_async._flow.run import Run
from nbp_async._flow.source import BadPrompt, Jobs, Prompts
from nbp_async._flow.start import Running, see_off
from nbp_async._flow.wiring import Totals, Wiring
from nbp_async._images.download import link_policy
from nbp_async._keys import checked_key, endpoint_from, is_loopback, key_from
from nbp_async._models import ZERO, Image, Prompt
from nbp_async._options import Ask, ClientOptions, RunAsk
from nbp_async._pacing.gate import GateStatistics
from nbp_async._parts import (
    Chosen,
    Parts,
    ask_again,
    cap_of,
    check_run,
    has_journal,
    preview_of,
    via_of,
)
from nbp_async._profiles import DialectName, Profile, fake_profile, find_profile
from nbp_async._refusals import NOT_OPEN, Guided, refuse_unknown, warn_of
from nbp_async._transports.base import Transport
from nbp_async._webhooks.settings import Webhook

if TYPE_CHECKING:
    from nbp_async.fake import FakeServer

_CLOSED = (
    "This client is closed. Make its calls inside `async with`, or make a new client. "
    "Nothing was sent."
)


class Client(Guided):
    """Makes images at one endpoint, with one key, from one event loop.

    ```python
    async with Client.from_env() as gen:
        image = await gen.one("a red bicycle", size="2K")
        batch = await gen.many(prompts, size="4K", out="catalogue/")
        async for outcome in gen.stream(prompts):
            print(outcome)
    ```

    It opens at its first use; `async with`, or `aclose`, closes it. Images stay after that.

    Args:
        endpoint: A known name (see `PROFILES`), a base URL, or a Profile; default "google".
        api_key: The key. It is sent to the endpoint's host alone, and never shown.
        model: The model to ask; None takes the profile's.
        limits: How hard to press the endpoint; see `Limits`.
        timeouts: How long to wait; see `Timeouts`.
        retry: What to try again; see `Retry`. By default nothing that may have been billed.
        transport: "aiohttp" (default), "httpx" (extra [httpx]), or an object of your own.
        listeners: Hear of attempts and outcomes; see `Listener`.
        link_hosts: Hosts that image links may lead to; None for any public one.
        allow_private: Links may lead to private addresses and plain http; None (default) only
            where the endpoint itself is at a loopback address.
        ca: File of certificate authorities to trust instead of the system's.
        account: Name of the account that pays, for the journals of runs; None (default) lets the
            key stand for it. Name it if its keys change.
        webhook: Where tasks of `via="webhook"`, and batch jobs, call back; see `Webhook`.
        rng: Draws the jitter, from 0 up to 1; for tests.

    Raises:
        ConfigError: A setting cannot work. Nothing was sent.
    """

    def __init__(
        self,
        endpoint: str | Profile | None = None,
        api_key: str | Secret | None = None,
        *,
        model: str | None = None,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        retry: Retry | None = None,
        transport: Literal["aiohttp", "httpx"] | Transport = "aiohttp",
        listeners: Sequence[Listener] = (),
        link_hosts: Collection[str] | None = None,
        allow_private: bool | None = None,
        ca: str | Path | None = None,
        account: str | None = None,
        webhook: Webhook | None = None,
        rng: Callable[[], float] | None = None,
    ) -> None:
        self.profile = find_profile(endpoint or "google")
        self.model = model or self.profile.model
        self.limits = limits or Limits()
        self.timeouts = timeouts or Timeouts()
        self.retry = retry or Retry()
        self.server: FakeServer | None = None
        self._key = checked_key(api_key, self.profile)
        self._transport = transport
        self._listeners = tuple(listeners)
        private = is_loopback(self.profile.host) if allow_private is None else allow_private
        self._links = link_policy(link_hosts, private=private)
        self._ca = None if ca is None else str(ca)
        self._account = account
        self._webhook = webhook
        self._rng = rng or random.random
        self._parts: Parts | None = None
        self._totals = Totals()
        self._started: set[Running] = set()
        self._closed = False

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        endpoint: str | Profile | None = None,
        api_key: str | Secret | None = None,
        **options: Unpack[ClientOptions],
    ) -> Self:
        """A client from environment variables; what is given here goes first.

        NBP_BASE_URL or NBP_ENDPOINT (a known name) says where; NBP_API_KEY, or the vendor's own
        GOOGLE_API_KEY, GEMINI_API_KEY, APIYI_API_KEY, OPENAI_API_KEY, says who; NBP_MODEL says
        what. Without an endpoint, the vendor whose key is set is asked.

        Raises:
            ConfigError: No key, or an endpoint that is none. Nothing was sent.
        """
        env = os.environ if environ is None else environ
        profile = find_profile(endpoint or endpoint_from(env))
        key = api_key or key_from(env, profile)
        options["model"] = options.get("model") or env.get("NBP_MODEL") or None
        return cls(profile, key, **options)

    @classmethod
    def fake(
        cls,
        *,
        dialect: DialectName = "openai_images",
        server: Mapping[str, Any] | None = None,
        **options: Unpack[ClientOptions],
    ) -> Self:
        """A client with a fake server of its own in the same loop: no key, no cost.

        ```python
        async with Client.fake(server={"latency": 0.1, "faults": "500=0.1"}) as gen:
            batch = await gen.many(["a red bicycle"] * 10)
        ```

        Use it in `async with`: the server starts and stops with the client. It is
        `client.server`; its bank keeps the ledger of what would have been paid.

        Args:
            dialect: Which API the two speak.
            server: Options of `fake.FakeServer`: latency (30-170 s by default), speed, seed,
                faults, quotas and so on.
            options: Those of `Client`.
        """
        from nbp_async.fake import FakeServer

        host = FakeServer(**(server or {}))
        client = cls(fake_profile("http://127.0.0.1", dialect), host.key, **options)
        client.server = host
        return client

    def many(self, prompts: Prompts, **ask: Unpack[RunAsk]) -> Plan:
        """Plan one image per prompt (and per copy, for `n`); await the plan to make them.

        A failed prompt does not stop the others: its outcome says what happened and who pays.
        Three refusals of the key in a row stop the run: what is left is not sent.

        With a folder as `out` it is a run: its journal is in the folder, and the same call made
        again, after an end, a stop or a kill, goes on where it was. What is there is not bought
        again (`Bill.saved`); what may have been billed is named, and not sent again unasked.

        Args:
            prompts: str, dict or Prompt, from any iterable or async iterable, drawn as slots come
                free. A list or tuple is checked as a whole before anything is sent; so is a Series
                or a DataFrame of pandas or polars, whose columns are options of the prompts.
            ask: `size`, `aspect_ratio`, `model`, `via`, `out`, `max_cost`, and for runs `journal`,
                `resend_ambiguous`, `retry_failed`, `verify`: see `Ask` and `RunAsk`.

        Returns:
            A Plan, which awaited gives the Batch, in the order of the prompts.

        Raises:
            ConfigError: An argument cannot work. Nothing was sent.
            ClosedError: The client is closed, or of another loop. Nothing was sent.
            JournalError: The run's journal cannot be used, or another process uses it
                (RunBusyError). Nothing was changed, nothing sent.
            StorageError: `out` cannot be written to. Nothing was sent.
            asyncio.CancelledError: You cancelled. What was in flight may be billed: it is named
                in the plan's `partial`, and in the journal; images that were stored stay.
        """
        jobs = self._jobs("many", prompts, ask, RunAsk)
        words = describe(jobs.count, self.limits.max_in_flight, self.profile.name)
        again = self._retrier(jobs, ask).another
        return Plan(self._errand(jobs, ask), words, self._look(jobs, ask), again)

    def start(self, prompts: Prompts, **ask: Unpack[RunAsk]) -> Running:
        """Begin what `many` would make, and go on with other things: await it for the Batch.

        In a notebook its bar renews itself while other cells run. It may be asked for its
        `progress` and what there is so far (`partial`), stopped, and cancelled.

        Raises:
            ConfigError: An argument cannot work, or no event loop runs. Nothing was sent. What
                else `many` raises is raised where it is awaited.
            ClosedError: The client is closed. Nothing was sent.
        """
        return Running(self.many(prompts, **ask), self._started)

    def stream(self, prompts: Prompts, **ask: Unpack[RunAsk]) -> Stream:
        """The same as `many`, one outcome at a time, in the order of completion.

        Memory follows what is in flight: it may go on for ever.
        """
        jobs = self._jobs("stream", prompts, ask, RunAsk)
        return Stream(self._errand(jobs, ask), self.limits.max_in_flight)

    async def one(self, prompt: str | Prompt | Mapping[str, Any], **ask: Unpack[Ask]) -> Image:
        """Make one image.

        Raises:
            NbpError: It could not be made; the error's class says how far it got, and a note on
                it what was billed.
            ConfigError: An argument cannot work. Nothing was sent.
            asyncio.CancelledError: You cancelled. If the request was out it may be billed.
        """
        jobs = self._jobs("one", [prompt], ask, Ask)
        parts = self._open()
        run = parts.run(ask)
        if run.ready is not None:
            await run.ready()
        try:
            job = await jobs.draw()
            (await run.sink.open()).discard()
        except BadPrompt as bad:
            problem: NbpError = bad.error
        else:
            assert job is not None
            if job.prompt.n != 1:
                raise ConfigError("one() makes one image: use many() for n. Nothing was sent.")
            outcome = await generate(parts.wiring, run, job)
            if isinstance(outcome, Image):
                return outcome
            problem = with_bill(outcome)
        raise problem

    @property
    def in_flight(self) -> int:
        """Requests that hold a slot now."""
        return self._parts.wiring.slots.in_use if self._parts is not None else 0

    def statistics(self) -> dict[str, GateStatistics]:
        """How each model's gate stands now: in flight, waiting, paused for how many seconds."""
        if self._parts is None:
            return {}
        gates = self._parts.wiring.gates.items()
        return {model: gate.statistics() for model, gate in gates}

    def bill(self) -> Bill:
        """What this client has spent so far, and may have spent besides."""
        return self._totals.bill()

    async def aclose(self) -> None:
        """Close connections and threads; images stay. Calls must have ended, but for those that
        `start` began: these send nothing more, and what they have sent is waited for.
        """
        self._closed = True
        try:
            await see_off(self._started)
        finally:
            parts, self._parts = self._parts, None
            if parts is not None:
                await parts.aclose()
            if self.server is not None:
                await self.server.aclose()

    async def __aenter__(self) -> Self:
        if self.server is not None:
            await self.server.start()
            speaks = self.profile.dialect
            base = self.server.gemini_url if speaks == "gemini" else self.server.openai_url
            self.profile = fake_profile(base, speaks, self.server.usual)
        self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{self.limits.max_in_flight} in flight"
        rate = self.limits.departures
        pace = f", {rate.count} per {rate.period:g} s" if rate else ""
        key = f"key {self._key} from {self._key.origin}"
        return f"Client({self.profile.name}, {key}, {state}{pace})"

    def __del__(self) -> None:
        if getattr(self, "_parts", None) is not None:
            warnings.warn(
                f"{self!r} was never closed: use `async with`, or await aclose().",
                ResourceWarning,
                stacklevel=1,
                source=self,
            )

    def _jobs(self, call: str, prompts: Prompts, ask: Ask, known: type[Ask]) -> Jobs:
        """Check the arguments of `call`; nothing is opened or drawn."""
        names = known.__annotations__.keys() | Ask.__annotations__.keys()
        refuse_unknown(call, ask.keys(), names, ClientOptions.__annotations__)
        if self._closed:
            raise ClosedError(_CLOSED)
        cap_of(ask)
        defaults = {"size": ask.get("size"), "aspect_ratio": ask.get("aspect_ratio")}
        model = ask.get("model") or self.model
        return Jobs(prompts, model=model, profile=priced_for(self.profile, ask), defaults=defaults)

    def _errand(self, jobs: Jobs, ask: RunAsk, charged: Decimal = ZERO) -> Errand:
        """`charged` dollars are spent of `max_cost` before it begins."""
        check_run(ask)
        held = via_of(ask, self._chosen()) == "held"

        def wire() -> tuple[Wiring, Run]:
            parts = self._open()
            run = parts.durable_run(ask)
            if run.cap is not None:
                run.cap.spent += charged
            return parts.wiring, run

        width = self.limits.max_in_flight if held else self.limits.max_open
        return Errand(wire, jobs, width=width, progress=ask.get("progress", True))

    def _look(self, jobs: Jobs, ask: RunAsk) -> Callable[[], Preview | None]:
        return lambda: preview_of(self._chosen(), jobs, ask)

    def _retrier(self, jobs: Jobs, ask: RunAsk) -> Retrier:
        durable = has_journal(ask)
        jobs.drawn = []

        def make(asked: Asked) -> tuple[Errand, Callable[[], Preview | None]]:
            more = ask_again(ask, resend_ambiguous=asked.resend_ambiguous, max_cost=asked.max_cost)
            some = jobs.again(asked.places)
            charged = ZERO if durable else asked.charged  # a journal knows it
            return self._errand(some, more, charged), self._look(some, more)

        return Retrier(make, durable=durable)

    def _open(self) -> Parts:
        if self._closed:
            raise ClosedError(_CLOSED)
        if self.server is not None and not self.server.started:
            raise ClosedError(NOT_OPEN)
        if self._parts is None:
            warn_of(self.profile, self.timeouts)
            self._parts = Parts(self._chosen())
        elif self._parts.loop is not asyncio.get_running_loop():
            raise ClosedError(
                "This client belongs to another event loop. Make one for each asyncio.run, or "
                "keep one loop. Nothing was sent."
            )
        return self._parts

    def _chosen(self) -> Chosen:
        return Chosen(
            profile=self.profile,
            key=self._key,
            limits=self.limits,
            timeouts=self.timeouts,
            retry=self.retry,
            transport=self._transport,
            listeners=self._listeners,
            links=self._links,
            ca=self._ca,
            account=self._account,
            webhook=self._webhook,
            rng=self._rng,
            totals=self._totals,
        )
