"""The options of a client and of a call, typed: a misspelt one is an error in the editor."""

from collections.abc import Callable, Collection, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Literal, TypedDict

from nbp_async._config import Limits, Retry, Timeouts
from nbp_async._events import Listener
from nbp_async._journal.base import Journal
from nbp_async._sinks.base import Sink
from nbp_async._transports.base import Transport


class Ask(TypedDict, total=False):
    """Options of one call, for all prompts that do not set them themselves."""

    size: str | None
    aspect_ratio: str | None
    model: str | None
    out: str | Path | Sink | None
    max_cost: Decimal | str | float | None


class RunAsk(Ask, total=False):
    """Options of a call that makes many images, and can be done again where it ended."""

    journal: str | Path | bool | Journal | None
    resend_ambiguous: bool
    retry_failed: bool
    verify: bool


class ClientOptions(TypedDict, total=False):
    """The arguments of `Client` besides endpoint and key."""

    model: str | None
    limits: Limits | None
    timeouts: Timeouts | None
    retry: Retry | None
    transport: Literal["aiohttp", "httpx"] | Transport
    listeners: Sequence[Listener]
    link_hosts: Collection[str] | None
    allow_private: bool | None
    ca: str | Path | None
    account: str | None
    rng: Callable[[], float] | None
