"""Settings: frozen values, checked where they are made. Seconds, bytes and US dollars throughout.

A change is `dataclasses.replace(limits, rate="60/min")`. None means "no limit", always.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal, Self

from nbp_async._errors import ConfigError

MIB = 1024 * 1024

_PERIODS = {
    "s": 1.0, "sec": 1.0, "second": 1.0,
    "m": 60.0, "min": 60.0, "minute": 60.0,
    "h": 3600.0, "hour": 3600.0,
    "d": 86400.0, "day": 86400.0,
}  # fmt: skip


def dollars(value: Decimal | str | float, name: str = "amount") -> Decimal:
    """Read an amount of US dollars (`"45"`, `"$4.50"`, `0.24`); ConfigError if it is none."""
    try:
        amount = Decimal(str(value).strip().removeprefix("$"))
    except InvalidOperation:
        raise ConfigError(
            f'{name}={value!r} is no amount of dollars: write it as "4.50".'
        ) from None
    if not amount.is_finite() or amount < 0:
        raise ConfigError(f"{name}={value!r}: an amount of dollars is finite and not negative.")
    return amount


@dataclass(frozen=True, slots=True)
class Rate:
    """So many departures in a period of seconds. `Rate.parse("60/min")` reads the usual form.

    ```python
    assert Rate.parse("60/min") == Rate(count=60, period=60.0)
    ```
    """

    count: int
    period: float

    def __post_init__(self) -> None:
        if self.count < 1 or not (math.isfinite(self.period) and self.period > 0):
            raise ConfigError(f"rate {self.count}/{self.period} s: both must be above zero.")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `"60/min"`, `"2/s"`, `"1000/hour"` or `"10/6s"`."""
        match = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+(?:\.\d+)?)?\s*([a-z]+?)s?\s*", text)
        unit = _PERIODS.get(match[3]) if match else None
        if match is None or unit is None:
            raise ConfigError(f'rate={text!r}: write it as "60/min", "2/s" or "1000/hour".')
        return cls(int(match[1]), float(match[2] or 1) * unit)

    @property
    def interval(self) -> float:
        """Seconds between two departures when they are evenly spread."""
        return self.period / self.count


@dataclass(frozen=True, slots=True)
class Spend:
    """So many US dollars in any period of seconds; `Spend.parse("$50/10min")` reads it.

    ```python
    assert Spend.parse("$50/10min").period == 600.0
    ```
    """

    dollars: Decimal
    period: float

    def __post_init__(self) -> None:
        if self.dollars <= 0 or not (math.isfinite(self.period) and self.period > 0):
            raise ConfigError(f"spend {self}: both must be above zero.")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `"$50/10min"`, `"9.60/hour"` or `"200/day"`."""
        match = re.fullmatch(r"\s*([^/]+?)\s*/\s*(\d+(?:\.\d+)?)?\s*([a-z]+?)s?\s*", text)
        unit = _PERIODS.get(match[3]) if match else None
        if match is None or unit is None:
            raise ConfigError(f'spend={text!r}: write it as "$50/10min" or "200/day".')
        return cls(dollars(match[1], "spend"), float(match[2] or 1) * unit)

    def __str__(self) -> str:
        return f"${self.dollars.normalize():f}/{self.period:g}s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How hard one client may press one endpoint, and how much memory it may hold.

    ```python
    gentle = Limits(max_in_flight=200, rate="60/min", spend="$50/10min")
    client = Client.from_env(limits=gentle)
    ```

    Attributes:
        max_in_flight: Requests in flight at once, at least 1; default 50. A slot is held from
            connect until the last byte is read, so with answers that take h seconds the client
            finishes at most max_in_flight / h images a second.
        rate: Requests that may leave, as `"60/min"` or a `Rate`; None (default) for no limit. No
            window of the period sees more than its count + burst - 1.
        burst: Requests that may leave together after an idle spell, at least 1; default 1.
        spend: Dollars that may be billed in any rolling period, as `"$50/10min"` or a `Spend`;
            None (default) for no limit. Google's tiers have such limits per ten minutes. Requests
            wait for it; what may have been billed counts. A batch job counts when it is created,
            with all its lines: nobody knows when within a day they are charged.
        max_open: Tasks that are open at the vendor at once (`via="poll"`, `"webhook"`), at least
            1; default 1000. They hold no slot, for nobody holds a connection for them.
        looks: How often open tasks are looked at, all together, as `"20/s"` (default) or a `Rate`.
        max_downloads: Images fetched by link at once; default 16. They hold no slot.
        max_body: Bytes of one answer; default 64 MiB. A longer one is a BodyTooLargeError.
        max_memory: Bytes of images in memory when there is no `out`, or on their way to a store;
            default 256 MiB. Above it they go to temporary files.
        reuse_connections: Keep a connection for the next paid request, at most 2 s idle; default
            False. A reused connection may be stale, and a request lost on it may have been billed.
    """

    max_in_flight: int = 50
    rate: Rate | str | None = None
    burst: int = 1
    spend: Spend | str | None = None
    max_open: int = 1000
    looks: Rate | str = "20/s"
    max_downloads: int = 16
    max_body: int = 64 * MIB
    max_memory: int = 256 * MIB
    reuse_connections: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.rate, str):
            object.__setattr__(self, "rate", Rate.parse(self.rate))
        elif self.rate is not None and not isinstance(self.rate, Rate):
            raise ConfigError(f'rate={self.rate!r}: write it as "60/min", "2/s" or "1000/hour".')
        if isinstance(self.looks, str):
            object.__setattr__(self, "looks", Rate.parse(self.looks))
        elif not isinstance(self.looks, Rate):
            raise ConfigError(f'looks={self.looks!r}: write it as "20/s" or "600/min".')
        if isinstance(self.spend, str):
            object.__setattr__(self, "spend", Spend.parse(self.spend))
        elif self.spend is not None and not isinstance(self.spend, Spend):
            raise ConfigError(f'spend={self.spend!r}: write it as "$50/10min" or "200/day".')
        least_of = {
            "max_in_flight": 1,
            "burst": 1,
            "max_open": 1,
            "max_downloads": 1,
            "max_body": 1024,
        }
        for name, least in (*least_of.items(), ("max_memory", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ConfigError(f"{name}={value!r} must be a whole number, at least {least}.")

    @property
    def departures(self) -> Rate | None:
        """`rate` as a value, or None."""
        assert not isinstance(self.rate, str)
        return self.rate

    @property
    def look_rate(self) -> Rate:
        """`looks` as a value."""
        assert not isinstance(self.looks, str)
        return self.looks

    @property
    def spend_window(self) -> Spend | None:
        """`spend` as a value, or None."""
        assert not isinstance(self.spend, str)
        return self.spend


_SPANS = ("connect", "upload", "body", "silence", "download", "submit", "look")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long to wait for what, in seconds. The defaults are made for holds of minutes.

    ```python
    client = Client.from_env(timeouts=Timeouts(deadline=900))
    ```

    Attributes:
        connect: DNS, TCP and TLS together; default 10.
        read: From the request sent to the first byte of the answer. None (default) takes the
            profile's figure for the size asked, 300 for 1K and 2K and 600 for 4K. Less than the
            vendor's slowest images means paying for images that you do not get.
        upload: To hand over the request, on top of one second per 200 kB; default 15.
        body: Every so many seconds of the answer must bring 10 kB a second or its end; default 30.
        silence: A whole answer whose end is not marked is taken as complete after so many seconds
            without a byte; default 4.
        deadline: For one prompt, from its first slot: no wait and no new attempt goes beyond it.
            A request that is out is not cut short, for it is being paid for. Default None.
        download: To fetch one image by link, all tries together; default 1800.
        submit: For a service to take a task on; default 30.
        look: For it to say how a task stands; default 10.
        task: From submitting a task until it must be done. None (default) takes twice the time of
            `read`. After that it is cancelled where the service can, and stays in the journal.
    """

    connect: float = 10.0
    read: float | None = None
    upload: float = 15.0
    body: float = 30.0
    silence: float = 4.0
    deadline: float | None = None
    download: float = 1800.0
    submit: float = 30.0
    look: float = 10.0
    task: float | None = None

    def __post_init__(self) -> None:
        for name in (*_SPANS, "read", "deadline", "task"):
            value = getattr(self, name)
            if value is None and name not in _SPANS:
                continue
            if not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
                raise ConfigError(f"Timeouts({name}={value!r}): give seconds, above zero, finite.")


Ambiguous = Literal["hold", "resend"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """What is tried again, how often and how soon. The rule itself is in `_pacing/retry.py`.

    What was certainly not billed is tried again. What may have been billed comes back as a
    Failure with `billing="maybe"`, unless `ambiguous="resend"` says that you would rather pay
    twice, up to a budget.

    ```python
    eager = Retry(attempts=6, ambiguous="resend", ambiguous_budget_usd="5")
    client = Client.from_env(retry=eager)
    ```

    Attributes:
        attempts: Attempts per prompt that reached the server, at least 1; default 4. Waits that a
            429 or 503 asked for are not attempts.
        connect_attempts: Attempts that never left this machine; default 8.
        base: Seconds of the first backoff; it doubles each time; default 1 (0.5 to connect).
        cap: Longest backoff in seconds; default 60.
        jitter: True (default) draws each backoff evenly from 0 to its length.
        statuses: HTTP statuses that are tried again whoever pays, overriding the vendor's table;
            None (default) leaves it to the table. A 500, 502 or 504 here may pay twice.
        throttle_counts: A 429 or 503 uses up an attempt; default False.
        max_throttle: Seconds one prompt may be put off by 429 and 503 before it fails; default 900.
        ambiguous: `"hold"` (default) or `"resend"`.
        ambiguous_budget_usd: Dollars that resending may cost in all; needed for `"resend"`.
        budget: True (default) bounds retries over all prompts, so that an outage costs about a
            tenth more requests, not several times as many.
    """

    attempts: int = 4
    connect_attempts: int = 8
    base: float = 1.0
    cap: float = 60.0
    jitter: bool = True
    statuses: frozenset[int] | None = None
    throttle_counts: bool = False
    max_throttle: float = 900.0
    ambiguous: Ambiguous = "hold"
    ambiguous_budget_usd: Decimal | str | float = Decimal(0)
    budget: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "ambiguous_budget_usd", dollars(self.ambiguous_budget_usd, "ambiguous_budget_usd")
        )
        if self.attempts < 1 or self.connect_attempts < 1:
            raise ConfigError("Retry: attempts and connect_attempts are at least 1.")
        if not (0 < self.base <= self.cap and math.isfinite(self.cap)):
            raise ConfigError(f"Retry: 0 < base <= cap, not base={self.base}, cap={self.cap}.")
        if self.ambiguous not in ("hold", "resend"):
            raise ConfigError(f'Retry(ambiguous={self.ambiguous!r}): "hold" or "resend".')
        if self.ambiguous == "resend" and not self.ambiguous_dollars:
            raise ConfigError(
                'Retry(ambiguous="resend") may pay twice for an image: say how much that may cost '
                'in all with ambiguous_budget_usd="5".'
            )

    @property
    def ambiguous_dollars(self) -> Decimal:
        """`ambiguous_budget_usd` as an amount."""
        assert isinstance(self.ambiguous_budget_usd, Decimal)
        return self.ambiguous_budget_usd

    @classmethod
    def none(cls) -> Self:
        """One attempt, whatever happens."""
        return cls(attempts=1, connect_attempts=1, throttle_counts=True)

    @classmethod
    def article(cls) -> Self:
        """Three retries after 2, 4 and 8 s on 429, 500, 502, 503 and 504, as the article has it.

        A 500, 502 or 504 may have been billed: this policy may pay twice, and each such attempt
        is counted in what may have been spent.
        """
        return cls(
            attempts=4,
            base=2.0,
            cap=8.0,
            jitter=False,
            statuses=frozenset({429, 500, 502, 503, 504}),
            throttle_counts=True,
            budget=False,
        )


class Secret:
    """An API key that never shows itself: repr and str end in its last four characters.

    No dataclass and no struct: what takes values apart (`asdict`, a JSON encoder) finds nothing.
    """

    __slots__ = ("__reveal", "origin")

    def __init__(self, value: str, origin: str = "api_key=") -> None:
        self.__reveal: Callable[[], str] = lambda: value
        self.origin = origin

    def reveal(self) -> str:
        """The key itself, for the one header that carries it."""
        return self.__reveal()

    def __str__(self) -> str:
        value = self.reveal()
        return f"…{value[-4:]}" if len(value) >= 12 else "…"

    def __repr__(self) -> str:
        return f"Secret({self}, from {self.origin})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("A key is not pickled. Pass it on by name, in an environment variable.")
