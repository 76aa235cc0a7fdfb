"""What the client chose, handed to the flow; and the totals that the flow keeps for it."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from time import perf_counter

from nbp_async._batch import Bill
from nbp_async._config import Limits, Retry, Secret, Timeouts
from nbp_async._dialects.base import Dialect
from nbp_async._events import AttemptEnded, GateClosed, GateOpened, Listener
from nbp_async._flow.blame import blame_slow, named
from nbp_async._http import Usage
from nbp_async._images.download import Downloader
from nbp_async._models import ZERO, Attempt, Job, Via
from nbp_async._pacing.bucket import RateLimiter
from nbp_async._pacing.budget import RetryBudget, SpendCap
from nbp_async._pacing.gate import Gate
from nbp_async._pacing.slots import Slots
from nbp_async._pacing.turns import AT_ONCE
from nbp_async._pacing.window import SpendWindow
from nbp_async._profiles import Profile
from nbp_async._sinks.threads import FileThreads
from nbp_async._transports.base import Transport

log = logging.getLogger("nbp_async")


@dataclass(frozen=True, slots=True)
class CallSpans:
    """The time-outs of one paid request, in seconds; see `_transports.base.Spans`."""

    connect: float
    upload: float
    read: float
    body: float
    silence: float


@dataclass(slots=True)
class Totals:
    """What the client's attempts cost so far, in US dollars, and how many images they brought."""

    spent: Decimal = ZERO
    maybe: Decimal = ZERO
    images: int = 0

    def add(self, attempt: Attempt) -> None:
        if attempt.billing == "yes":
            self.spent += attempt.cost
        elif attempt.billing == "maybe":
            self.maybe += attempt.cost

    def bill(self) -> Bill:
        return Bill(self.spent, self.maybe, (), self.images, ())


@dataclass(slots=True, kw_only=True)
class Wiring:
    """The parts of one open client. Belongs to one event loop."""

    profile: Profile
    key: Secret
    dialect: Dialect
    transport: Transport
    downloads: Downloader
    files: FileThreads
    limits: Limits
    timeouts: Timeouts
    retry: Retry
    slots: Slots
    bucket: RateLimiter | None
    window: SpendWindow | None
    retry_budget: RetryBudget
    ambiguous: SpendCap
    listeners: tuple[Listener, ...]
    rng: Callable[[], float]
    wall_clock: Callable[[], float]
    opened_at: float
    turns: Slots = field(default_factory=lambda: Slots(AT_ONCE))
    totals: Totals = field(default_factory=Totals)
    gates: dict[str, Gate] = field(default_factory=dict)
    _spans: dict[str, CallSpans] = field(default_factory=dict)
    _gate: Callable[[str], Gate] | None = None

    def heard_by(self, listener: Listener) -> "Wiring":
        """The same parts, for one call whose prompts `listener` hears of as well."""
        return replace(self, listeners=(*self.listeners, listener), _gate=self.gate)

    def gate(self, model: str) -> Gate:
        """The gate of one model: its quota is its own, the slots are shared."""
        if self._gate is not None:
            return self._gate(model)  # a gate is not of one call, and tells none of them
        gate = self.gates.get(model)
        if gate is None:
            on_change = self._tell_gate if self.listeners else None
            patience = self.retry.max_throttle
            gate = Gate(
                self.slots,
                self.bucket,
                rng=self.rng,
                on_change=on_change,
                patience=patience,
                window=self.window,
            )
            self.gates[model] = gate
        return gate

    def spans(self, job: Job) -> CallSpans:
        """The time-outs for an image of this size."""
        tier = job.canvas.tier
        spans = self._spans.get(tier)
        if spans is None:
            chosen = self.timeouts
            read = chosen.read or self.profile.read_timeout(tier)
            spans = CallSpans(chosen.connect, chosen.upload, read, chosen.body, chosen.silence)
            self._spans[tier] = spans
        return spans

    def task_spans(self, *, submit: bool) -> CallSpans:
        """The time-outs of a request that submits a task, or of one that asks for it."""
        chosen = self.timeouts
        read = chosen.submit if submit else chosen.look
        return CallSpans(chosen.connect, chosen.upload, read, chosen.body, chosen.silence)

    def task_span(self, tier: str) -> float:
        """Seconds until a task must be done."""
        chosen = self.timeouts
        return chosen.task or 2 * (chosen.read or self.profile.read_timeout(tier))

    def tell(self, name: str, event: object) -> None:
        """Let every listener hear it. What one of them raises is logged and goes no further."""
        for listener in self.listeners:
            heard = getattr(listener, name)
            began = perf_counter()
            try:
                heard(event)
            except Exception:
                log.exception("A listener failed in %s", named(heard))
            blame_slow(heard, perf_counter() - began)

    def tell_ended(
        self, job: Job, attempt: Attempt, via: Via, usage: Usage | None, model: str
    ) -> None:
        """An attempt ended. Where it was sent is told with it."""
        profile = self.profile
        event = AttemptEnded(job, attempt, profile.name, profile.base_url, via, usage, model)
        self.tell("on_attempt", event)

    def paused(self) -> float:
        """Seconds that a vendor makes everybody wait, or 0.0."""
        pauses = (gate.statistics().paused for gate in self.gates.values())
        return max(pauses, default=0.0)

    def open_for(self) -> float:
        """Seconds since the client was opened."""
        return asyncio.get_running_loop().time() - self.opened_at

    def close(self) -> None:
        """Stop the gates' timers."""
        for gate in self.gates.values():
            gate.close()

    def _tell_gate(self, event: GateClosed | GateOpened) -> None:
        self.tell("on_gate", event)
