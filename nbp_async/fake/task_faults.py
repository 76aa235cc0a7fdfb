"""What can go wrong with a task, as values; they mean nothing to a call that is held.

A submit meets the faults of `faults`. What comes "before" leaves no task: `rate_limited()`,
`overloaded()`, `reset(before=True)`. After it the task is made, and works on although nobody heard
its id: `disconnect()`, `reset()`, `hang()`, `cut_body()`, `status(504, billed=True)`. What spoils
an answer (`bad_image()`, `no_image()` …) spoils the task's result. The rest is told here:

Fault
├── Late       the submit's answer
├── Looks      the next looks at the task
├── Hidden     the task, for a while
├── Stuck      it never ends
├── Lost       it is unknown for ever
├── Misnamed   its state
├── Swapped    whose task or result is shown
├── Fails      how it ends
├── Hook       its webhook
└── Several    more than one of all these
"""

from dataclasses import dataclass
from typing import Literal

from nbp_async.fake.faults import Fault, Refuse, Spoil

Forgery = Literal["", "key", "body", "id", "old", "garbage", "unsigned"]
"""What is wrong with a forged webhook; "" for none is sent."""


@dataclass(frozen=True, slots=True)
class Late(Fault):
    """See `late`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Looks(Fault):
    """See `look`."""

    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Hidden(Fault):
    """See `hidden`."""

    seconds: float
    looks: int


@dataclass(frozen=True, slots=True)
class Stuck(Fault):
    """See `stuck`."""

    billed: bool


@dataclass(frozen=True, slots=True)
class Lost(Fault):
    """See `lost`."""

    after: float
    billed: bool


@dataclass(frozen=True, slots=True)
class Misnamed(Fault):
    """See `unknown_state`."""

    name: str
    looks: int | None


@dataclass(frozen=True, slots=True)
class Swapped(Fault):
    """See `swapped`."""

    what: Literal["id", "result", "both"]


@dataclass(frozen=True, slots=True)
class Fails(Fault):
    """See `failed`."""

    code: str
    message: str
    billed: bool


@dataclass(frozen=True, slots=True)
class Hook(Fault):
    """See `hook`."""

    times: int = 1
    late: float = 0.0
    forged: Forgery = ""
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class Several(Fault):
    """See `several`."""

    faults: tuple[Fault, ...]


def late(seconds: float) -> Fault:
    """The task is made at once, and the submit's answer comes so many simulated seconds later."""
    return Late(_positive(seconds))


def look(*faults: Fault) -> Fault:
    """The task's looks get these, one each: a status, a break, raw bytes, a slow or cut body.

    `ok()` lets one go well; what is left over when the task has been read is never played.
    """
    if any(isinstance(fault, Spoil | Several) or _of_task(fault) for fault in faults):
        raise ValueError("a look meets faults of the connection: results are spoiled at the submit")
    if any(isinstance(fault, Refuse) and (fault.billed or fault.early) for fault in faults):
        raise ValueError("a look is never billed, and has no body to be early for")
    return Looks(faults)


def hidden(seconds: float = 0.0, looks: int = 0) -> Fault:
    """The task is answered with 404 for so many simulated seconds, or looks, after it was made."""
    return Hidden(_positive(seconds), looks)


def stuck(*, billed: bool = False) -> Fault:
    """The task says that it is running, for ever; `billed`: though it was rendered."""
    return Stuck(billed)


def lost(after: float = 0.0, *, billed: bool = True) -> Fault:
    """From so many simulated seconds on nobody knows the task; `billed`: its work is done."""
    return Lost(_positive(after), billed)


def unknown_state(name: str = "archived", looks: int | None = None) -> Fault:
    """The task's state has a name that nobody announced: for so many looks, or for ever."""
    return Misnamed(name, looks)


def swapped(what: Literal["id", "result", "both"] = "both") -> Fault:
    """Looks are answered with another task's id, another task's result, or both."""
    return Swapped(what)


def failed(
    code: str = "generation_failed",
    message: str = "The image could not be generated.",
    *,
    billed: bool = False,
) -> Fault:
    """The task fails when its time is over; `billed`: after it was rendered."""
    return Fails(code, message, billed)


def hook(
    *, times: int = 1, late: float = 0.0, forged: Forgery = "", reverse: bool = False
) -> Fault:
    """What becomes of the task's webhook.

    Args:
        times: How often each event is sent under its one id; 0 for never.
        late: Simulated seconds that it comes too late.
        forged: First comes one that nobody with our keys has sent. "key": signed with another
            key. "body" or "id": changed after it was signed. "old": signed ten minutes ago.
            "garbage" or "unsigned": a signature that is none, or none at all.
        reverse: The last event is sent first, where a service sends more than one.
    """
    if times < 0:
        raise ValueError(f"a webhook is sent 0 times or more, not {times}")
    return Hook(times, _positive(late), forged, reverse)


def several(*faults: Fault) -> Fault:
    """All of these happen to one task: `several(disconnect(), hidden(looks=2))`."""
    if any(isinstance(fault, Several) for fault in faults):
        raise ValueError("several faults hold no others of their kind")
    return Several(faults)


def _positive(seconds: float) -> float:
    if seconds < 0:
        raise ValueError(f"seconds are 0 or more, not {seconds:g}")
    return seconds


def _of_task(fault: Fault) -> bool:
    kinds = Late | Looks | Hidden | Stuck | Lost | Misnamed | Swapped | Fails | Hook
    return isinstance(fault, kinds)
