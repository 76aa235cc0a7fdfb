"""The options of a fake server, as they are written and as they are used."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

from nbp_async.fake.bank import ApiKeys, FlatPrices
from nbp_async.fake.fault_injection import (
    FaultRates,
    FaultRatesOption,
    fault_rates_of,
    poll_fault_rates_of,
)
from nbp_async.fake.latency import DEFAULT, Fixed, Latency, LatencyOption, Uniform, latency_of
from nbp_async.fake.pictures import Kind, Weight
from nbp_async.fake.quotas import Quotas

Delivery = Literal["b64_json", "url"]

_DAY = 86400.0


class FakeOptions(TypedDict, total=False):
    """What a user may write; `FakeServer` says what each one means."""

    latency: LatencyOption
    speed: float
    seed: int
    faults: FaultRatesOption
    quotas: Quotas | None
    keys: ApiKeys | None
    prices: FlatPrices | None
    weight: Weight
    kind: Kind | None
    delivery: Delivery
    links_expire: float
    bandwidth: float | None
    idempotency: bool
    clock: Callable[[], float]
    submit_latency: LatencyOption
    look_latency: LatencyOption
    look_faults: FaultRatesOption
    task_retention: float
    webhook_secret: str | Sequence[str] | None
    interactions: bool
    batch_latency: LatencyOption
    batch_jobs: int
    batch_enqueued: int | None
    batch_inline: bool
    batch_prefix: str


@dataclass(frozen=True, kw_only=True)
class FakeSettings:
    """The same options, read and checked."""

    latency: Latency = DEFAULT
    speed: float = 1.0
    seed: int = 0
    faults: FaultRates = field(default_factory=lambda: FaultRates({}))
    quotas: Quotas = field(default_factory=Quotas)
    keys: ApiKeys | None = None
    prices: FlatPrices | None = None
    weight: Weight = None
    kind: Kind | None = None
    delivery: Delivery = "b64_json"
    links_expire: float = 7 * _DAY
    bandwidth: float | None = None
    idempotency: bool = False
    clock: Callable[[], float] = time.time
    submit_latency: Latency = field(default_factory=lambda: Fixed(0))
    look_latency: Latency = field(default_factory=lambda: Fixed(0))
    look_faults: FaultRates = field(default_factory=lambda: FaultRates({}))
    task_retention: float = _DAY
    webhook_secret: str | Sequence[str] | None = None
    interactions: bool = False
    batch_latency: Latency = field(default_factory=lambda: Uniform(600, 7200))
    batch_jobs: int = 100
    batch_enqueued: int | None = None
    batch_inline: bool = False
    batch_prefix: str = "BATCH_STATE_"

    @classmethod
    def of(cls, options: FakeOptions) -> "FakeSettings":
        """Read the options.

        Raises:
            TypeError: An option has a name that is not known.
            ValueError: The value of an option cannot be used.
        """
        refuse_unknown("FakeServer", options, FakeOptions)
        read = {name: _READERS.get(name, _unchanged)(value) for name, value in options.items()}
        return cls(**read)

    def __post_init__(self) -> None:
        if not self.speed > 0:
            raise ValueError(f"speed must be above 0, not {self.speed:g}")
        if not self.task_retention >= 0:
            raise ValueError(f"task_retention must be 0 or more, not {self.task_retention:g}")
        if self.bandwidth is not None and not self.bandwidth > 0:
            raise ValueError(f"bandwidth must be above 0 bytes a second, not {self.bandwidth:g}")
        if self.kind not in (None, "png", "jpeg"):
            raise ValueError(f'kind must be "png" or "jpeg", not {self.kind!r}')
        if self.delivery not in ("b64_json", "url"):
            raise ValueError(f'delivery must be "b64_json" or "url", not {self.delivery!r}')

    @property
    def link(self) -> bool:
        """Images are delivered as links where a request does not say how."""
        return self.delivery == "url"

    def usual(self, size: str) -> float:
        """Real seconds that an image of this size typically takes."""
        return self.latency.seconds(0.5, size) / self.speed

    @property
    def pace(self) -> float | None:
        """Real bytes a second of a connection."""
        return None if self.bandwidth is None else self.bandwidth * self.speed


def refuse_unknown(what: str, options: Mapping[str, object], known: type) -> None:
    """Raise TypeError for options that the TypedDict `known` does not have."""
    unknown = options.keys() - known.__annotations__.keys()
    if unknown:
        raise TypeError(f"{what} has no option {', '.join(sorted(unknown))}")


def _unchanged(value: Any) -> Any:
    return value


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "latency": latency_of,
    "submit_latency": latency_of,
    "look_latency": latency_of,
    "batch_latency": latency_of,
    "faults": fault_rates_of,
    "look_faults": poll_fault_rates_of,
    "quotas": lambda value: value or Quotas(),
}
