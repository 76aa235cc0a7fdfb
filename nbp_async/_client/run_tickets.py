"""Tickets of a run's queue, and how they stand."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

import msgspec

from nbp_async._base.errors import ConfigError, NbpError
from nbp_async._flow.ledger import worst_billing
from nbp_async._flow.links_and_tasks import all_attempts
from nbp_async._journal.base import State
from nbp_async._journal.run_queue import QueueEntry, QueueTerms, Submitted
from nbp_async._journal.write_errors import over_limit
from nbp_async._models.outcomes import ZERO, Failure, Outcome, Prompt


class Ticket(msgspec.Struct, frozen=True, gc=False):
    """One image that was submitted to a run.

    Attributes:
        number: What the run calls it, in every process and for ever.
        index: Its place in the submission, from 0.
        is_new: It was queued by this submission, and not by an earlier one with the same key.
        held: US dollars that this submission has set aside for it.
    """

    number: int
    index: int
    is_new: bool = True
    held: Decimal = ZERO


class TicketStatus(msgspec.Struct, frozen=True, gc=False):
    """How a ticket stands.

    Attributes:
        number: The ticket's.
        owner: Whose purse pays for it.
        state: "queued"; "planned", drawn and not sent yet; "armed", a request may be out;
            "submitted", the vendor works on it; "answered", paid, and a link; "stored" or "failed".
        prompt: What was asked; references are names.
        reserved: US dollars that are set aside for what is queued or out.
        spent: US dollars that its attempts certainly cost.
        maybe: US dollars that they may have cost in addition.
        attempts: How many requests there were.
        is_cancelled: Its submitter does not want it any more.
        outcome: Its image or failure; None until there is one.
        model: The model that was asked.
        note: What its submitter left with it.
    """

    number: int
    owner: str
    state: State
    prompt: Prompt
    reserved: Decimal = ZERO
    spent: Decimal = ZERO
    maybe: Decimal = ZERO
    attempts: int = 0
    is_cancelled: bool = False
    outcome: Outcome | None = None
    model: str = ""
    note: str = ""


def tickets_of(
    said: Sequence[Submitted], terms: QueueTerms, prices: Sequence[Decimal], key: str | None
) -> list[Ticket]:
    """The tickets of a submission.

    Raises:
        BudgetError: The money was too little for all, and a part was not wanted.
        ConfigError: The key stands for another submission.
    """
    tickets = []
    for place, (one, price) in enumerate(zip(said, prices, strict=True)):
        if one.said == "queued":
            tickets.append(Ticket(one.item, place, held=price))
        elif one.said == "known":
            tickets.append(Ticket(one.item, place, is_new=False))
        elif one.said == "other":
            raise ConfigError(
                "stands for another submission: use a new key, or the prompts it had.",
                option="key",
                value=key,
            )
        elif not terms.part:
            cap, cost = terms.cap if one.said == "cap" else None, sum(prices, ZERO)
            whose = "its owner" if cap is None else "the run"
            raise over_limit(cost, one.left, whose=whose, cap=cap)
    return tickets


def items_of(tickets: Iterable[Ticket | int]) -> list[int]:
    """The numbers of tickets.

    Raises:
        ConfigError: One is neither a ticket nor its number.
    """
    items = []
    for ticket in tickets:
        item = ticket.number if isinstance(ticket, Ticket) else ticket
        if not isinstance(item, int) or isinstance(item, bool):
            raise ConfigError(f"A ticket is a Ticket or its number, not {type(ticket).__name__}.")
        items.append(item)
    return items


def outcome_of(drawn: QueueEntry) -> Outcome | None:
    """What an item has become; None while it has no outcome."""
    entry = drawn.entry
    if entry.image is not None:
        return msgspec.structs.replace(
            entry.image, index=entry.item, attempts=all_attempts(entry), earlier=()
        )
    if entry.state != "failed":
        return None
    attempts = all_attempts(entry)
    return Failure(
        index=entry.item,
        prompt=entry.prompt,
        attempts=attempts,
        error=NbpError(entry.error),
        billing=worst_billing(attempts),
    )


def status_of(drawn: QueueEntry) -> TicketStatus:
    """How an item stands. What is out is set aside, and no "maybe" before somebody judges it."""
    entry = drawn.entry
    costs = {"yes": ZERO, "maybe": ZERO, "no": ZERO}
    for attempt in entry.attempts:
        costs[attempt.billing] += attempt.cost
    return TicketStatus(
        number=entry.item,
        owner=drawn.owner,
        state=entry.state,
        prompt=entry.prompt,
        reserved=sum((pending.most for pending in entry.pending), drawn.reserved),
        spent=costs["yes"],
        maybe=costs["maybe"],
        attempts=len(entry.attempts) + len(entry.pending),
        is_cancelled=drawn.is_cancelled,
        outcome=outcome_of(drawn),
        model=entry.model,
        note=drawn.request.note,
    )
