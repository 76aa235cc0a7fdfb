"""A task: work that was accepted, and is known by its id until it is forgotten."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal

from nbp_async.fake.bank import BankAccount, LedgerEntry
from nbp_async.fake.tasks.service_table import TaskState
from nbp_async.fake.tasks.submission import Submission
from nbp_async.fake.tasks.task_fault_plan import TaskFaultPlan
from nbp_async.fake.tasks.task_service import TaskService

QUEUED = 0.1
"""The share of its time that a task waits before the work begins."""


class FakeTask:
    """What the engine knows of a task; times are of the loop's clock unless they say otherwise.

    Attributes:
        created: When the task was made, in seconds since 1970; `ended` likewise.
        due: When it is rendered.
        result: The images that are shown as its result; a fault may swap them.
        polls: How often it was polled.
        over: It has ended, well or not.
        timer: Ends the work; None when the work is over.
        start_timer: Sends the webhook of its start.
    """

    def __init__(
        self,
        id_: str,
        service: TaskService,
        account: BankAccount,
        submission: Submission,
        plan: TaskFaultPlan,
        *,
        price: Decimal,
        made: float,
        hold: float,
        created: float,
    ) -> None:
        self.id = id_
        self.service = service
        self.account = account
        self.submission = submission
        self.plan = plan
        self.price = price
        self.made = made
        self.due = made + hold
        self.created = created
        self.state: TaskState = "pending"
        self.ended: float | None = None
        self.ended_at: float | None = None
        self.result = submission.spec
        self.links: Sequence[str] = ()
        self.code = ""
        self.message = ""
        self.polls = 0
        self.entry: LedgerEntry | None = None
        self.over = asyncio.Event()
        self.timer: asyncio.TimerHandle | None = None
        self.start_timer: asyncio.TimerHandle | None = None

    @property
    def begins(self) -> float:
        """When the work begins."""
        return self.made + (self.due - self.made) * QUEUED

    def state_at(self, now: float) -> TaskState:
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
