"""Which request gets which fault: by script, or by probability."""

from collections import deque
from collections.abc import Callable, Mapping
from itertools import accumulate

from nbp_async.fake import faults as f
from nbp_async.fake import task_faults as t
from nbp_async.fake.faults import Fault, Refuse

_NAMED: dict[str, Callable[[], Fault]] = {
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
    "extra": f.extra_images,
    "failed": t.failed,
    "lost": t.lost,
    "stuck": t.stuck,
    "swapped": t.swapped,
    "unknown": t.unknown_state,
}
_AMOUNT: dict[str, Callable[[float], Fault]] = {
    "slow": f.slow_body,
    "cut": f.cut_body,
    "extra": lambda count: f.extra_images(int(count)),
    "hidden": t.hidden,
    "late": t.late,
}


class Faults:
    """Faults by probability, drawn for each paid call from the seed and the job.

    Args:
        odds: The share of calls, from 0 to 1, that gets each fault; together at most 1. The image
            store knows no jobs: its faults are scripted.

    Attributes:
        known: The faults.
    """

    def __init__(self, odds: Mapping[Fault, float]) -> None:
        if any(not 0 <= p <= 1 for p in odds.values()) or sum(odds.values()) > 1 + 1e-9:
            raise ValueError("the odds of faults are shares from 0 to 1, together at most 1")
        if any(fault.download or (isinstance(fault, Refuse) and fault.early) for fault in odds):
            raise ValueError("faults of downloads and early ones are scripted: use script()")
        self.known = tuple(odds)
        self._up_to = tuple(zip(odds, accumulate(odds.values()), strict=True))

    def draw(self, luck: float) -> Fault | None:
        """The fault of a call with this luck in [0, 1), or None."""
        return next((fault for fault, bound in self._up_to if luck < bound), None)

    def __bool__(self) -> bool:
        return bool(self._up_to)


Odds = Faults | Mapping[Fault, float] | str | None
"""What `faults_of` reads."""


def faults_of(value: Odds) -> Faults:
    """The faults that `value` says: odds, or a text that `parse` reads."""
    if isinstance(value, Faults):
        return value
    if isinstance(value, str):
        return parse(value)
    return Faults(value or {})


def looks_of(value: Odds) -> Faults:
    """The same for looks at tasks.

    Raises:
        ValueError: One of them is nothing that a look can meet.
    """
    faults = faults_of(value)
    t.look(*faults.known)
    return faults


def parse(text: str) -> Faults:
    """Read "503=0.02,429:5=0.1,reset=0.01": status or name, perhaps an amount, and its share.

    The amount of a status is its Retry-After in seconds, of "slow" bytes a second, of "cut" the
    share that arrives, of "extra" a number of images, of "hidden" and "late" simulated seconds.

    Raises:
        ValueError: It is nothing of the kind.
    """
    odds: dict[Fault, float] = {}
    for item in filter(None, (item.strip() for item in text.split(","))):
        name, _, share = item.partition("=")
        try:
            odds[named(name)] = float(share)
        except ValueError as exc:
            known = ", ".join(sorted(_NAMED.keys() | _AMOUNT.keys()))
            raise ValueError(
                f"fault {item!r}: a status or one of {known}, as 503=0.02 or 429:5=0.1"
            ) from exc
    return Faults(odds)


def named(text: str) -> Fault:
    """The fault called "503", "429:5", "reset", "slow:1000" and so on.

    Raises:
        ValueError: None is called so.
    """
    name, colon, amount = text.strip().partition(":")
    if name.isascii() and name.isdigit() and len(name) == 3:
        wait = float(amount) if colon else None
        return (
            f.rate_limited(1.0 if wait is None else wait)
            if name == "429"
            else f.status(int(name), wait)
        )
    if colon and name in _AMOUNT:
        return _AMOUNT[name](float(amount))
    if not colon and name in _NAMED:
        return _NAMED[name]()
    raise ValueError(f"no fault is called {text!r}")


class Script:
    """Faults that were ordered: for the next requests, or for those of one prompt."""

    def __init__(self) -> None:
        self._next: deque[Fault] = deque()
        self._downloads: deque[Fault] = deque()
        self._matching: list[tuple[str, deque[Fault]]] = []

    def add(self, faults: tuple[Fault, ...], match: str | None) -> None:
        """Order `faults`, one a request, for the next ones or for prompts that contain `match`."""
        if match is None:
            for fault in faults:
                (self._downloads if fault.download else self._next).append(fault)
            return
        if any(f.download or (isinstance(f, Refuse) and f.early) for f in faults):
            raise ValueError("the prompt is not known yet: a download or early fault has no match")
        self._matching = [entry for entry in self._matching if entry[1]]
        self._matching.append((match, deque(faults)))

    def take_early(self) -> Fault | None:
        """What was ordered for the next request, if it comes before the body is read."""
        if not self._next:
            return None
        first = self._next[0]
        if isinstance(first, Refuse) and first.early:
            return self._next.popleft()
        if isinstance(first, f.Break) and first.unread:
            return self._next.popleft()
        return None

    def take(self, prompt: str) -> Fault | None:
        """What was ordered for this paid call, or None."""
        return self.take_matching(prompt) or (self._next.popleft() if self._next else None)

    def take_matching(self, prompt: str) -> Fault | None:
        """What was ordered for this prompt by name, or None."""
        for match, faults in self._matching:
            if faults and match in prompt:
                return faults.popleft()
        return None

    def take_download(self) -> Fault | None:
        """What was ordered for this download, or None."""
        return self._downloads.popleft() if self._downloads else None

    def __len__(self) -> int:
        """How many ordered faults have met no request yet."""
        return len(self._next) + len(self._downloads) + sum(len(q) for _, q in self._matching)
