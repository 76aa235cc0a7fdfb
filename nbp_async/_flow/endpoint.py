"""One address that makes images, with one key and the account that pays."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec

from nbp_async._base.http import HttpRequest
from nbp_async._base.secret import Secret
from nbp_async._dialects.base import Dialect
from nbp_async._flow.resources import Resources
from nbp_async._images.signed_links import link_end
from nbp_async._models.events import LimitChanged
from nbp_async._models.settings import Limits
from nbp_async._pacing.gate import Gate, GateEvent
from nbp_async._pacing.learned_limit import KeptLimit, LearnedLimit
from nbp_async._pacing.price_margins import PriceMargins
from nbp_async._pacing.slots import NestedSlots, Slots
from nbp_async._pacing.spend_window import SpendWindow
from nbp_async._pacing.token_bucket import RateLimiter
from nbp_async._transports.base import Transport
from nbp_async._vendors.price_options import STANDARD
from nbp_async._vendors.profiles import Profile


@dataclass(frozen=True, slots=True)
class RequestTimeouts:
    """The time-outs of one request, in seconds; see `_transports.base.Spans`."""

    connect: float
    upload: float
    read: float
    body: float
    silence: float


@dataclass(slots=True, kw_only=True)
class Endpoint:
    """An address, a key, and what belongs to both: prices, billing rules, rates and gates.

    Attributes:
        resources: What it shares with the client's other endpoints.
        limits: How hard it may be pressed.
        slots: Requests in flight here.
        profile: Address, prices and billing rules.
        key: Sent to this address alone.
        account: Who pays: part of each job's identity in a journal.
        name: What the account is called, where the client has several; else "".
        dialect: How one held request is spelled.
        transport: Its connections.
        bucket: How often a request may leave, or None.
        window: How many dollars a period may see, or None.
        margins: What its answers cost beyond their price, for caps and window.
        gates: One for each model: a model's quota is its own.
        known_limits: What earlier runs had found, by model, and when, in seconds since 1970.
        on_learned: Called with the model whose learned limit has changed.
    """

    resources: Resources
    limits: Limits
    slots: Slots | NestedSlots
    profile: Profile
    key: Secret
    account: str
    dialect: Dialect
    transport: Transport
    bucket: RateLimiter | None
    window: SpendWindow | None
    margins: PriceMargins
    name: str = ""
    gates: dict[str, Gate] = field(default_factory=dict)
    known_limits: dict[str, tuple[KeptLimit, float]] = field(default_factory=dict)
    on_learned: list[Callable[[str], None]] = field(default_factory=list)

    def gate(self, model: str) -> Gate:
        """The gate of one model: its quota is its own, the slots are shared."""
        gate = self.gates.get(model)
        if gate is None:
            shared, learned = self.resources, self._learned_limit()
            heard = shared.listeners or learned is not None
            gate = self.gates[model] = Gate(
                self.slots,
                self.bucket,
                rng=shared.rng,
                on_change=partial(self._notify, model) if heard else None,
                patience=shared.retry.max_throttle,
                window=self.window,
                learned=learned,
            )
            self._recall(model, gate)
        return gate

    def remember(self, model: str, kept: KeptLimit, written: float) -> None:
        """An earlier run had found this limit: the model's gate goes back to it."""
        self.known_limits[model] = kept, written
        if model in self.gates:
            self._recall(model, self.gates[model])

    def sign(self, request: HttpRequest) -> int:
        """Let the request carry the key that is in use now; gives its turn.

        It was encoded with the one that was in use then.
        """
        turn = self.key.turn
        if turn:
            header = self.profile.key_header(self.key.reveal())
            request.headers.update({n: v for n, v in header.items() if n in request.headers})
        return turn

    def timeouts(self, read: float) -> RequestTimeouts:
        """The time-outs of a request whose response may take `read` seconds to begin."""
        chosen = self.resources.timeouts
        return RequestTimeouts(chosen.connect, chosen.upload, read, chosen.body, chosen.silence)

    def read_timeout(self, size: str, tier: str = STANDARD) -> float:
        """Seconds that a held request for an image of this size may take to be answered."""
        return self.resources.timeouts.read or self.profile.read_timeout(size, tier)

    def link_expiry(self, links: Sequence[str]) -> float | None:
        """When the first of these links, which came now, ends, in seconds since 1970, or None.

        A signed link says so itself; for others the profile's lifetime counts.
        """
        end, lifetime = link_end(links[0]) if links else None, self.profile.link_lifetime
        if end is not None or lifetime is None:
            return end
        return self.resources.wall_clock() + lifetime

    def paused(self) -> float:
        """Seconds that the vendor makes everybody wait, or 0.0."""
        return max((gate.paused_for() for gate in self.gates.values()), default=0.0)

    def close(self) -> None:
        """Stop the gates' timers."""
        for gate in self.gates.values():
            gate.close()

    def _learned_limit(self) -> LearnedLimit | None:
        auto = self.limits.learned
        if auto is None:
            return None
        return LearnedLimit(start=auto.start, floor=auto.floor, ceiling=auto.ceiling)

    def _recall(self, model: str, gate: Gate) -> None:
        if model in self.known_limits:
            kept, written = self.known_limits[model]
            gate.recall(kept, self.resources.wall_clock() - written)

    def _notify(self, model: str, event: GateEvent) -> None:
        if self.name:
            event = msgspec.structs.replace(event, account=self.name)
        if isinstance(event, LimitChanged):
            event = msgspec.structs.replace(event, model=model)
            self.resources.listeners.notify("on_limit", event)
            for learned in self.on_learned:
                learned(model)
        else:
            self.resources.listeners.notify("on_gate", event)
