"""Settings: frozen values, checked where they are made. Seconds, bytes and US dollars throughout.

A change is `dataclasses.replace(limits, rate="60/min")`. None means "no limit", always.
"""

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Annotated, Literal, Self

from nbp_async._base.errors import ConfigError
from nbp_async._base.fields import Bytes, Count, Form, Range, Seconds, check_fields, known_names

MIB = 1024 * 1024

_PERIODS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_UNITS = {"sec": "s", "second": "s", "min": "m", "minute": "m", "hour": "h", "day": "d"}
_PER_PERIOD = r"\s*/\s*(\d{1,9}(?:\.\d{1,9})?)?\s*([a-z]+)\s*"  # "/min", "/10min", "/6s"


def dollars(value: Decimal | str | float, name: str = "amount") -> Decimal:
    """Read an amount of US dollars (`"45"`, `"$4.50"`, `0.24`).

    Raises:
        ConfigError: It is not one.
    """
    try:
        amount = Decimal(str(value).strip().removeprefix("$"))
    except (InvalidOperation, ValueError):
        raise ConfigError(
            'not an amount of dollars: give a number, or text such as "4.50".',
            option=name,
            value=value,
        ) from None
    if not amount.is_finite() or amount < 0:
        raise ConfigError(
            "an amount of dollars is finite and not negative.", option=name, value=value
        )
    return amount


def _period(count: str | None, unit: str) -> float:
    """Seconds of `10`, `"min"`; 0 for a unit that does not exist."""
    return float(count or 1) * _PERIODS.get(_UNITS.get(unit.removesuffix("s"), unit), 0.0)


@dataclass(frozen=True, slots=True)
class Rate:
    """So many departures in a period of seconds. `Rate.parse("60/min")` reads the usual form.

    ```python
    assert Rate.parse("60/min") == Rate(count=60, period=60.0)
    ```
    """

    count: Count
    period: Seconds

    def __post_init__(self) -> None:
        check_fields(self)

    @classmethod
    def parse(cls, text: str, name: str = "rate") -> Self:
        """Read `"60/min"`, `"2/s"`, `"1000/hour"` or `"10/6s"`; `name` is for the message.

        Raises:
            ConfigError: It is not a rate.
        """
        match = re.fullmatch(rf"\s*([1-9]\d{{0,8}}){_PER_PERIOD}", text)
        period = _period(match[2], match[3]) if match else 0.0
        if match is None or not period:
            raise ConfigError(f"give {_RATE}.", option=name, value=text)
        return cls(int(match[1]), period)

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

    dollars: Annotated[Decimal, Range(above=0, unit="dollars")]
    period: Seconds

    def __post_init__(self) -> None:
        check_fields(self)

    @classmethod
    def parse(cls, text: str, name: str = "spend") -> Self:
        """Read `"$50/10min"`, `"9.60/hour"` or `"200/day"`; `name` is for the message.

        Raises:
            ConfigError: It is not dollars in a period.
        """
        match = re.fullmatch(rf"\s*([^/]+?){_PER_PERIOD}", text)
        period = _period(match[2], match[3]) if match else 0.0
        if match is None or not period:
            raise ConfigError(f"give {_SPEND}.", option=name, value=text)
        return cls(dollars(match[1], name), period)

    def __str__(self) -> str:
        return f"${self.dollars.normalize():f}/{self.period:g}s"


_RATE = '"60/min", "2/s" or "1000/hour"'
_SPEND = '"$50/10min" or "200/day"'


def _read_rate(value: Rate | str, name: str) -> Rate:
    return Rate.parse(value, name) if isinstance(value, str) else value


def _read_spend(value: Spend | str, name: str) -> Spend:
    return Spend.parse(value, name) if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class AutoLimit:
    """`max_in_flight="auto"`: as many requests in flight as the vendor turns out to accept.

    It begins with `start` and grows by half for every three seconds in which nothing is refused,
    until the vendor answers 429 or 503. Refusals are free. From then on it stays a little below
    what the vendor held, and asks for more from time to time: at most about six refusals come on a
    hundred images. When one in twenty requests is lost on the way, which may cost money, it halves.

    ```python
    limits = Limits(max_in_flight=AutoLimit(ceiling=400))  # the same as "auto:400"
    ```

    Attributes:
        ceiling: The most that are ever in flight, at least 1; default 1000.
        floor: The least that it falls to, at least 1; default 1.
        start: What it begins with, at least 1; default 8.
    """

    ceiling: Count = 1000
    floor: Count = 1
    start: Count = 8

    def __post_init__(self) -> None:
        check_fields(self)
        if self.floor > self.ceiling:
            raise ConfigError(
                f"give a floor up to the ceiling of {self.ceiling}.",
                option="floor",
                value=self.floor,
            )

    def __str__(self) -> str:
        return f"auto, at most {self.ceiling}"


_IN_FLIGHT = 'a number of at least 1, "auto", or "auto:400" for at most 400'
_IN_FLIGHT_TEXT = r"[1-9]\d{0,8}|auto(:[1-9]\d{0,8})?"


def _read_in_flight(value: AutoLimit | int | str, name: str) -> AutoLimit | int:  # noqa: ARG001
    if not isinstance(value, str):
        return value
    word, _, ceiling = value.partition(":")
    if word != "auto":
        return int(word)
    return AutoLimit(int(ceiling)) if ceiling else AutoLimit()


InFlightForm = Form(_IN_FLIGHT, _IN_FLIGHT_TEXT, read=_read_in_flight)
RateForm = Form(_RATE, read=_read_rate)
SpendForm = Form(_SPEND, read=_read_spend)
Dollars = Annotated[Decimal | str | float, Form('dollars, such as "4.50"', read=dollars)]


@known_names(
    max_in_flight="slots concurrency max_concurrency workers", rate="rpm rps qps", spend="budget"
)
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
            finishes at most max_in_flight / h images a second. `"auto"` finds the limit of each
            model by itself, `"auto:400"` up to 400; see `AutoLimit`.
        rate: Requests that may leave, as `"60/min"` or a `Rate`; None (default) for no limit. No
            window of the period sees more than its count + burst - 1.
        burst: Requests that may leave together after an idle spell, at least 1; default 1.
        spend: Dollars that may be billed in any rolling period, as `"$50/10min"` or a `Spend`;
            None (default) for no limit. Google's tiers have such limits per ten minutes. Requests
            wait for it; what may have been billed counts, and an answer may cost more than its
            price as with `max_cost`: see there. A batch job counts when it is created,
            with all its lines: nobody knows when within a day they are charged.
        max_open: Tasks that are open at the vendor at once (`via="poll"`, `"webhook"`), at least
            1; default 1000. They hold no slot because they hold no connection.
        poll_rate: How often open tasks are polled, all together, as `"20/s"` (default) or a `Rate`.
        max_downloads: Images fetched by link at once; default 16. They hold no slot.
        max_body: Bytes of one answer; default 64 MiB. A longer one is a BodyTooLargeError.
        max_memory: Bytes of images in memory when there is no `out`, or on their way to a store;
            default 256 MiB. Above it they go to temporary files.
        reuse_connections: Keep a connection for the next paid request, at most 2 s idle; default
            False. A reused connection may be stale, and a request lost on it may have been billed.
    """

    max_in_flight: Annotated[int | str | AutoLimit, Range(least=1), InFlightForm] = 50
    rate: Annotated[Rate | str | None, RateForm] = None
    burst: Count = 1
    spend: Annotated[Spend | str | None, SpendForm] = None
    max_open: Count = 1000
    poll_rate: Annotated[Rate | str, RateForm] = "20/s"
    max_downloads: Count = 16
    max_body: Annotated[int, Range(least=1024, unit="bytes")] = 64 * MIB
    max_memory: Bytes = 256 * MIB
    reuse_connections: bool = False

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def learned(self) -> AutoLimit | None:
        """How the limit of requests in flight is found, or None where it is a number."""
        return self.max_in_flight if isinstance(self.max_in_flight, AutoLimit) else None

    @property
    def most_in_flight(self) -> int:
        """Requests that are ever in flight at once: the number, or the ceiling of "auto"."""
        limit = self.max_in_flight
        assert not isinstance(limit, str)
        return limit.ceiling if isinstance(limit, AutoLimit) else limit

    @property
    def departures(self) -> Rate | None:
        """`rate` as a value, or None."""
        assert not isinstance(self.rate, str)
        return self.rate

    @property
    def polls(self) -> Rate:
        """`poll_rate` as a value."""
        assert not isinstance(self.poll_rate, str)
        return self.poll_rate

    @property
    def spend_window(self) -> Spend | None:
        """`spend` as a value, or None."""
        assert not isinstance(self.spend, str)
        return self.spend


@known_names(deadline="total", read="timeout response", upload="write", connect="pool")
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
        poll: For it to say how a task stands; default 10.
        task: From submitting a task until it must be done. None (default) takes twice the time of
            `read`. After that it is cancelled where the service can, and stays in the journal.
    """

    connect: Seconds = 10.0
    read: Seconds | None = None
    upload: Seconds = 15.0
    body: Seconds = 30.0
    silence: Seconds = 4.0
    deadline: Seconds | None = None
    download: Seconds = 1800.0
    submit: Seconds = 30.0
    poll: Seconds = 10.0
    task: Seconds | None = None

    def __post_init__(self) -> None:
        check_fields(self)


Ambiguous = Literal["hold", "resend"]


@known_names(attempts="tries retries max_retries", base="backoff delay", cap="max_delay")
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
        statuses: HTTP statuses that are tried again, billed or not, overriding the vendor's table;
            None (default) leaves it to the table. A 500, 502 or 504 here may pay twice.
        throttle_counts: A 429 or 503 uses up an attempt; default False.
        max_throttle: Seconds one prompt may be put off by 429 and 503 before it fails; default 900.
        ambiguous: `"hold"` (default) or `"resend"`.
        ambiguous_budget_usd: Dollars that resending may cost in all; needed for `"resend"`.
        budget: True (default) bounds retries over all prompts, so that an outage costs about a
            tenth more requests, not several times as many.
    """

    attempts: Count = 4
    connect_attempts: Count = 8
    base: Seconds = 1.0
    cap: Seconds = 60.0
    jitter: bool = True
    statuses: Annotated[
        frozenset[Annotated[int, Range(least=100, most=999)]] | None,
        Form("a frozenset of HTTP statuses, such as frozenset({429, 500}), or None"),
    ] = None
    throttle_counts: bool = False
    max_throttle: Annotated[float, Range(least=0, unit="seconds")] = 900.0
    ambiguous: Ambiguous = "hold"
    ambiguous_budget_usd: Dollars = Decimal(0)
    budget: bool = True

    def __post_init__(self) -> None:
        check_fields(self)
        if self.base > self.cap:
            raise ConfigError(
                f"the first backoff cannot be longer than the longest, cap={self.cap}.",
                option="base",
                value=self.base,
            )
        if self.ambiguous == "resend" and not self.ambiguous_dollars:
            raise ConfigError(
                "this may pay twice for an image: say how much that may cost in all.",
                option="ambiguous",
                value=self.ambiguous,
                remedy={"ambiguous_budget_usd": "5"},
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
