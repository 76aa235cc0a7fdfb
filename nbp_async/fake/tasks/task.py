"""A task: work that was taken in, and is asked for by its id until it is forgotten."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal

from nbp_async.fake.bank import Account, Row
from nbp_async.fake.tasks.plan import Plan
from nbp_async.fake.tasks.service import Service
from nbp_async.fake.tasks.view import Order, State

QUEUED = 0.1
"""The share of its time that a task waits before anybody works on it."""


class Task:
    """What the desk knows of a task; times are of the loop's clock."""

    __slots__ = (
        "account", "code", "created", "due", "ended", "ended_at", "id", "links", "looks", "made",
        "message", "order", "plan", "price", "result", "row", "service", "starts", "state", "timer",
    )  # fmt: skip

    def __init__(
        self, name: str, service: Service, account: Account, order: Order, plan: Plan, *,
        price: Decimal, made: float, hold: float, created: float,
    ) -> None:  # fmt: skip
        self.id = name
        self.service = service
        self.account = account
        self.order = order
        self.plan = plan
        self.price = price
        self.made = made
        self.due = made + hold
        self.created = created
        self.state: State = "pending"
        self.ended: float | None = None
        self.ended_at: float | None = None
        self.result = order.ask
        self.links: Sequence[str] = ()
        self.code = ""
        self.message = ""
        self.looks = 0
        self.row: Row | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.starts: asyncio.TimerHandle | None = None

    @property
    def begins(self) -> float:
        """When somebody begins to work on it."""
        return self.made + (self.due - self.made) * QUEUED

    def stands(self, now: float) -> State:
        """Its state at this time."""
        if self.state != "pending" or now < self.begins:
            return self.state
        return "processing"

    def progress(self, now: float) -> int:
        """Percent of its time that is over; 100 only when it is done."""
        if self.state == "completed":
            return 100
        whole = self.due - self.made
        return min(99, int(100 * (now - self.made) / whole)) if whole > 0 else 0
