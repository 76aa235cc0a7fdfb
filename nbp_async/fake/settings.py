"""How a vendor works, as one value."""

from collections.abc import Callable
from dataclasses import dataclass

from nbp_async.fake.latency import Latency
from nbp_async.fake.odds import Faults
from nbp_async.fake.pictures import Kind, Weight
from nbp_async.fake.quotas import Quotas


@dataclass(frozen=True, kw_only=True)
class Settings:
    """See `server.FakeServer`; `link` stands for its delivery by "url"."""

    latency: Latency
    speed: float
    seed: int
    faults: Faults
    quotas: Quotas
    weight: Weight
    kind: Kind
    link: bool
    links_expire: float
    bandwidth: float | None
    idempotency: bool
    batch_latency: Latency
    batch_jobs: int
    batch_enqueued: int | None
    batch_inline: bool
    batch_prefix: str
    clock: Callable[[], float]
    submit_latency: Latency
    look_latency: Latency
    look_faults: Faults
    task_retention: float
    interactions: bool

    @property
    def pace(self) -> float | None:
        """Real bytes a second of a connection."""
        return None if self.bandwidth is None else self.bandwidth * self.speed

    def __post_init__(self) -> None:
        if not self.speed > 0:
            raise ValueError(f"speed is above 0, not {self.speed:g}")
        if not self.task_retention >= 0:
            raise ValueError(f"task_retention is 0 or more, not {self.task_retention:g}")
        if self.bandwidth is not None and not self.bandwidth > 0:
            raise ValueError(f"bandwidth is above 0 bytes a second, not {self.bandwidth:g}")
        if self.kind not in ("png", "jpeg"):
            raise ValueError(f'kind is "png" or "jpeg", not {self.kind!r}')
