"""A ticket as users see it: a task. Values in, JSON out."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from nbp_async import Failure, Image, TicketStatus

_STATES = {"queued": "pending", "stored": "completed", "answered": "completed"}
_ENDED = ("completed", "failed", "cancelled")

LinkOf = Callable[[int, int, Image], tuple[str, int]]
"""The link of an image of a task, and when it ends, in seconds since 1970."""


class TaskNote(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the gateway leaves with a ticket.

    Attributes:
        created: When it was submitted, in seconds since 1970.
        webhook: Where its end is told, or "".
        wants: "b64_json" where the response is to hold the images.
    """

    created: int
    webhook: str = ""
    wants: str = ""


def note_of(status: TicketStatus) -> TaskNote:
    """What the gateway left with a ticket; a ticket of somebody else has none."""
    try:
        return msgspec.json.decode(status.note, type=TaskNote)
    except msgspec.DecodeError:
        return TaskNote(created=0)


def task_id(number: int) -> str:
    return f"task_{number}"


def number_of(text: str) -> int | None:
    """The number in a task's id; None if it is none."""
    digits = text.removeprefix("task_")
    return (
        int(digits)
        if text.startswith("task_") and digits.isdecimal() and len(digits) < 19
        else None
    )


def state_of(status: TicketStatus) -> str:
    """ "pending", "running", "completed", "failed" or "cancelled"."""
    if status.state == "failed":
        return "cancelled" if status.is_cancelled else "failed"
    if status.state == "answered" and status.outcome is None:
        return "running"
    return _STATES.get(status.state, "running")


def has_ended(status: TicketStatus) -> bool:
    return state_of(status) in _ENDED


def task_of(
    status: TicketStatus, base: str, link: LinkOf, *, position: int | None = None
) -> dict[str, Any]:
    """The task."""
    state, outcome, note = state_of(status), status.outcome, note_of(status)
    billing = "maybe" if status.maybe else "yes" if status.spent else "no"
    here = f"{base}/v1/tasks/{task_id(status.number)}"
    return {
        "task_id": task_id(status.number),
        "id": task_id(status.number),
        "object": "task",
        "status": state,
        "created": note.created,
        "prompt": status.prompt.text,
        "model": status.model,
        "size": status.prompt.size,
        "aspect_ratio": status.prompt.aspect_ratio,
        "queue_position": position,
        "attempts": status.attempts,
        "billing": billing,
        "reserved_usd": usd(status.reserved),
        "spent_usd": usd(status.spent),
        "maybe_usd": usd(status.maybe),
        "result": result_of(status, link) if isinstance(outcome, Image) else None,
        "error": error_of(outcome) if isinstance(outcome, Failure) else None,
        "can_retry": state in ("failed", "cancelled") and billing == "no",
        "status_url": f"{here}/status",
        "response_url": f"{here}/response",
        "cancel_url": f"{here}/cancel",
        "events_url": f"{here}/events",
    }


def result_of(status: TicketStatus, link: LinkOf) -> dict[str, Any]:
    """The images of a task that is completed, as links."""
    assert isinstance(status.outcome, Image), "it is completed"
    images = (status.outcome, *status.outcome.extras)
    links = [link(status.number, place, image) for place, image in enumerate(images)]
    return {
        "created": note_of(status).created,
        "data": [{"url": url, "expires": expires} for url, expires in links],
    }


def error_of(failure: Failure) -> dict[str, Any]:
    """Why a task has no image, and what that cost."""
    name, _, message = str(failure.error).partition(": ")
    known = name.isidentifier() and message
    return {
        "message": message if known else str(failure.error),
        "type": name if known else type(failure.error).__name__,
        "billing": failure.billing,
    }


def openai_answer(statuses: Sequence[TicketStatus], link: LinkOf) -> dict[str, Any]:
    """The images of several tickets as one answer in OpenAI's form."""
    data = [entry for status in statuses for entry in result_of(status, link)["data"]]
    return {"created": note_of(statuses[0]).created, "data": [{"url": one["url"]} for one in data]}


def webhook_body(task: Mapping[str, Any]) -> dict[str, Any]:
    """What a webhook tells of a task that has ended."""
    names = ("task_id", "status", "result", "error", "billing", "spent_usd", "maybe_usd")
    return {name: task[name] for name in names}


def usd(amount: Decimal) -> float:
    """Dollars as people's programs read them; sums are made of the exact ones."""
    return round(float(amount), 6)
