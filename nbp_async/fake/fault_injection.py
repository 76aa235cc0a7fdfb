"""Which request meets which fault: by script, by what the request says, or by probability.

A prompt with "[fault:429:5,reset]" in it meets these faults, one each time that it is sent; a
request with the header `x-fake-fault: 429:5` meets that one.
"""

import re
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import accumulate

from nbp_async.fake import faults as f
from nbp_async.fake import task_faults as t
from nbp_async.fake.api_errors import ApiError
from nbp_async.fake.faults import ErrorReply, Fault, NoAnswer, precedes_reading

HEADER = "x-fake-fault"
"""A paid call with this header meets the fault that it names."""
_IN_PROMPT = re.compile(r"\[fault:([^\]]*)\]")
_BY_NAME: dict[str, Callable[[], Fault]] = {
    "ok": f.ok,
    "disconnect": f.disconnect,
    "reset": f.reset,
    "hang": f.hang,
    "cut": f.cut_body,
    "unterminated": f.no_terminator,
    "truncated": f.bad_json,
    "base64": f.bad_base64,
    "image": f.bad_image,
    "html": f.html_page,
    "size": f.wrong_size,
    "thought": f.thought_only,
    "noimage": f.no_image,
    "blocked": f.blocked,
    "foreign": f.foreign,
    "gzip": f.gzipped,
    "extra": f.extra_images,
    "downgraded": f.downgraded,
    "unfinished": f.unfinished,
    "failed": t.failed,
    "lost": t.lost,
    "stuck": t.stuck,
    "swapped": t.swapped,
    "unknown": t.unknown_state,
}
_BY_NAME_AND_AMOUNT: dict[str, Callable[[float], Fault]] = {
    "slow": f.slow_body,
    "cut": f.cut_body,
    "extra": lambda count: f.extra_images(int(count)),
    "hidden": t.hidden,
    "late": t.late,
}


class FaultRates:
    """Faults by probability, drawn for each paid call from the seed and the job.

    Args:
        rates: The share of calls that meets each fault, from 0 to 1; together at most 1. Downloads
            belong to no job: their faults are scripted.

    Attributes:
        known: The faults.
    """

    def __init__(self, rates: Mapping[Fault, float]) -> None:
        if any(not 0 <= p <= 1 for p in rates.values()) or sum(rates.values()) > 1 + 1e-9:
            raise ValueError("fault rates must be from 0 to 1, and together at most 1")
        if any(
            fault.download or (isinstance(fault, ErrorReply) and fault.early) for fault in rates
        ):
            raise ValueError("faults of downloads and early faults cannot be random: use script()")
        self.known = tuple(rates)
        self._up_to = tuple(zip(rates, accumulate(rates.values()), strict=True))

    def draw(self, quantile: float) -> Fault | None:
        """The fault of a call at this quantile in [0, 1), or None."""
        return next((fault for fault, bound in self._up_to if quantile < bound), None)

    def __bool__(self) -> bool:
        return bool(self._up_to)


FaultRatesOption = FaultRates | Mapping[Fault, float] | str | None
"""What `fault_rates_of` reads."""


def fault_rates_of(value: FaultRatesOption) -> FaultRates:
    """Fault rates from a mapping, or from a text that `parse_fault_rates` reads."""
    if isinstance(value, FaultRates):
        return value
    if isinstance(value, str):
        return parse_fault_rates(value)
    return FaultRates(value or {})


def poll_fault_rates_of(value: FaultRatesOption) -> FaultRates:
    """The same for polls of tasks.

    Raises:
        ValueError: One of them cannot happen to a poll.
    """
    faults = fault_rates_of(value)
    t.look(*faults.known)
    return faults


def parse_fault_rates(text: str) -> FaultRates:
    """Read "503=0.02,429:5=0.1,reset=0.01": status or name, perhaps an amount, and its share.

    The amount of a status is its Retry-After in seconds; of "slow", bytes a second; of "cut", the
    share that arrives; of "extra", a number of images; of "hidden" and "late", simulated seconds.

    Raises:
        ValueError: It is not such a text.
    """
    rates: dict[Fault, float] = {}
    for item in filter(None, (item.strip() for item in text.split(","))):
        name, _, share = item.partition("=")
        try:
            rates[fault_named(name)] = float(share)
        except ValueError as exc:
            known = ", ".join(sorted(_BY_NAME.keys() | _BY_NAME_AND_AMOUNT.keys()))
            raise ValueError(
                f"fault {item!r}: write a status or one of {known}, as 503=0.02 or 429:5=0.1"
            ) from exc
    return FaultRates(rates)


def fault_named(text: str) -> Fault:
    """The fault called "503", "429:5", "reset", "slow:1000" and so on.

    Raises:
        ValueError: No fault has this name.
    """
    name, colon, amount = text.strip().partition(":")
    if name.isascii() and name.isdigit() and len(name) == 3:
        wait = float(amount) if colon else None
        return (
            f.rate_limited(1.0 if wait is None else wait)
            if name == "429"
            else f.status(int(name), wait)
        )
    if colon and name in _BY_NAME_AND_AMOUNT:
        return _BY_NAME_AND_AMOUNT[name](float(amount))
    if not colon and name in _BY_NAME:
        return _BY_NAME[name]()
    raise ValueError(f"there is no fault {text!r}")


def fault_text(fault: Fault) -> str:
    """The name of a fault, or for one without a name what it is."""
    plain = replace(fault, download=False)
    if isinstance(plain, ErrorReply):
        return str(plain.code) + ("" if plain.retry_after is None else f":{plain.retry_after}")
    return next((name for name, make in _BY_NAME.items() if make() == plain), repr(plain))


class FaultScript:
    """Faults that a test ordered: for the next requests, or for those of one prompt."""

    def __init__(self) -> None:
        self._next: deque[Fault] = deque()
        self._downloads: deque[Fault] = deque()
        self._matching: list[tuple[str, deque[Fault]]] = []
        self._sent: Counter[str] = Counter()

    def add(self, faults: tuple[Fault, ...], match: str | None) -> None:
        """Order one fault a request: for the next requests, or for prompts that contain `match`."""
        if match is None:
            for fault in faults:
                (self._downloads if fault.download else self._next).append(fault)
            return
        if any(f.download or (isinstance(f, ErrorReply) and f.early) for f in faults):
            raise ValueError("a download or an early fault has no prompt: leave match out")
        self._matching = [entry for entry in self._matching if entry[1]]
        self._matching.append((match, deque(faults)))

    def take_early(self) -> NoAnswer | None:
        """The next request's fault, if it comes before the body is read."""
        if not self._next:
            return None
        first = self._next[0]
        if not precedes_reading(first):
            return None
        self._next.popleft()
        return first

    def take(self, prompt: str, header: str = "") -> Fault | None:
        """The fault of this paid call, whose header may name one; or None.

        Raises:
            ApiError: The header or the prompt names a fault that does not exist.
        """
        named = _named(header) if header else self.take_matching(prompt)
        return named or (self._next.popleft() if self._next else None)

    def take_matching(self, prompt: str) -> Fault | None:
        """The fault that was ordered for this prompt, or that it names itself; or None."""
        for match, faults in self._matching:
            if faults and match in prompt:
                return faults.popleft()
        own = _IN_PROMPT.search(prompt)
        if own is None:
            return None
        names, sent = own[1].split(","), self._sent[prompt]
        self._sent[prompt] += 1
        return _named(names[sent]) if sent < len(names) else None

    def ordered(self) -> Iterator[tuple[Fault, str | None]]:
        """What has not happened yet, and for which prompts."""
        yield from ((fault, None) for fault in (*self._next, *self._downloads))
        yield from ((fault, match) for match, faults in self._matching for fault in faults)

    def clear(self) -> None:
        """Forget what was ordered."""
        self._next.clear()
        self._downloads.clear()
        self._matching.clear()

    def take_download(self) -> Fault | None:
        """The fault of this download, or None."""
        return self._downloads.popleft() if self._downloads else None

    def __len__(self) -> int:
        """How many ordered faults have not happened yet."""
        return sum(1 for _ in self.ordered())


def _named(name: str) -> Fault:
    try:
        return fault_named(name)
    except ValueError as exc:
        raise ApiError(400, str(exc)) from None
