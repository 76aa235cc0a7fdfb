"""What can go wrong with a task, as values; they do nothing to a held call.

The faults of `faults` happen to a submit. Some leave no task: `rate_limited()`, `overloaded()`,
`reset(before=True)`. With others the task is made, and runs although the client never learns its
id: `disconnect()`, `reset()`, `hang()`, `cut_body()`, `status(504, billed=True)`. A fault of an
answer's content (`bad_image()`, `no_image()` …) happens to the task's result. These are for tasks:

Fault
├── LateSubmit     the submit's answer is late
├── PollFaults     faults of the next polls
├── HiddenTask     the task is unknown for a while
├── StuckTask      it never ends
├── LostTask       it is unknown from then on
├── UnknownState   its state has an unknown name
├── SwappedTask    another task's id or result is shown
├── FailedTask     it fails
├── WebhookFault   what happens to its webhook
└── FaultGroup     several of these
"""

from dataclasses import dataclass
from typing import Literal

from nbp_async.fake.faults import BadPayload, ErrorReply, Fault

Forgery = Literal["", "key", "body", "id", "old", "garbage", "unsigned"]
"""What is wrong with a forged webhook; "" if none is sent."""


@dataclass(frozen=True, slots=True)
class LateSubmit(Fault):
    """See `late`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class PollFaults(Fault):
    """See `look`."""

    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class HiddenTask(Fault):
    """See `hidden`."""

    seconds: float
    looks: int


@dataclass(frozen=True, slots=True)
class StuckTask(Fault):
    """See `stuck`."""

    billed: bool


@dataclass(frozen=True, slots=True)
class LostTask(Fault):
    """See `lost`."""

    after: float
    billed: bool


@dataclass(frozen=True, slots=True)
class UnknownState(Fault):
    """See `unknown_state`."""

    name: str
    looks: int | None


@dataclass(frozen=True, slots=True)
class SwappedTask(Fault):
    """See `swapped`."""

    what: Literal["id", "result", "both"]


@dataclass(frozen=True, slots=True)
class FailedTask(Fault):
    """See `failed`."""

    code: str
    message: str
    billed: bool


@dataclass(frozen=True, slots=True)
class WebhookFault(Fault):
    """See `hook`."""

    times: int = 1
    late: float = 0.0
    forged: Forgery = ""
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class FaultGroup(Fault):
    """See `several`."""

    faults: tuple[Fault, ...]


def late(seconds: float) -> Fault:
    """The task is made at once; the submit's answer comes so many simulated seconds later."""
    return LateSubmit(_positive(seconds))


def look(*faults: Fault) -> Fault:
    """Faults of the task's polls, one each: a status, a disconnect, raw bytes, a slow or cut body.

    `ok()` lets one go well. Faults that are left when the task has been read never happen.
    """
    if any(isinstance(fault, BadPayload | FaultGroup) or _of_task(fault) for fault in faults):
        raise ValueError(
            "a poll takes faults of the connection only: order bad results for the submit"
        )
    if any(isinstance(fault, ErrorReply) and (fault.billed or fault.early) for fault in faults):
        raise ValueError("a poll is never billed, and has no body: billed and early do not fit")
    return PollFaults(faults)


def hidden(seconds: float = 0.0, looks: int = 0) -> Fault:
    """Polls get 404 for so many simulated seconds, or polls, after the task was made."""
    return HiddenTask(_positive(seconds), looks)


def stuck(*, billed: bool = False) -> Fault:
    """The task never ends; `billed`: although it was rendered."""
    return StuckTask(billed)


def lost(after: float = 0.0, *, billed: bool = True) -> Fault:
    """After so many simulated seconds the task is unknown; `billed`: its work is done."""
    return LostTask(_positive(after), billed)


def unknown_state(name: str = "archived", looks: int | None = None) -> Fault:
    """The task's state has an undocumented name: for so many polls, or always."""
    return UnknownState(name, looks)


def swapped(what: Literal["id", "result", "both"] = "both") -> Fault:
    """Polls are answered with another task's id, another task's result, or both."""
    return SwappedTask(what)


def failed(
    code: str = "generation_failed",
    message: str = "The image could not be generated.",
    *,
    billed: bool = False,
) -> Fault:
    """The task fails when its time is over; `billed`: after it was rendered."""
    return FailedTask(code, message, billed)


def hook(
    *, times: int = 1, late: float = 0.0, forged: Forgery = "", reverse: bool = False
) -> Fault:
    """What happens to the task's webhook.

    Args:
        times: How often each event is sent, always with the same id; 0 for never.
        late: Simulated seconds that it is late.
        forged: A forged one is sent first. "key": signed with another key. "body" or "id":
            changed after it was signed. "old": signed ten minutes ago. "garbage" or "unsigned":
            an unreadable signature, or none.
        reverse: The last event is sent first, if the service sends more than one.
    """
    if times < 0:
        raise ValueError(f"times must be 0 or more, not {times}")
    return WebhookFault(times, _positive(late), forged, reverse)


def several(*faults: Fault) -> Fault:
    """All of these happen to one task: `several(disconnect(), hidden(looks=2))`."""
    if any(isinstance(fault, FaultGroup) for fault in faults):
        raise ValueError("several() does not take another several()")
    return FaultGroup(faults)


def _positive(seconds: float) -> float:
    if seconds < 0:
        raise ValueError(f"seconds must be 0 or more, not {seconds:g}")
    return seconds


def _of_task(fault: Fault) -> bool:
    kinds = (
        LateSubmit
        | PollFaults
        | HiddenTask
        | StuckTask
        | LostTask
        | UnknownState
        | SwappedTask
        | FailedTask
        | WebhookFault
    )
    return isinstance(fault, kinds)
