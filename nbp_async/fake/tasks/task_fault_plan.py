"""The faults of one task, sorted by when they matter."""

from collections import deque
from dataclasses import dataclass, field

from nbp_async.fake import task_faults as t
from nbp_async.fake.faults import BadPayload, BadTransfer, Fault, NoAnswer, precedes_work


@dataclass(slots=True)
class TaskFaultPlan:
    """A task's faults.

    Attributes:
        submit: What happens to its submit on the connection.
        damage: What is wrong with its result.
        late: Simulated seconds that the submit's answer is late.
        polls: What happens to its polls, one each.
        hidden: How long it is not known.
        stuck: It never ends.
        lost: It is forgotten.
        unknown_state: Its state has another name.
        swapped: Another task's id or result is shown.
        fails: It ends badly.
        webhook: What happens to its webhook.
    """

    submit: Fault | None = None
    damage: BadPayload | None = None
    late: float = 0.0
    polls: deque[Fault] = field(default_factory=deque)
    hidden: t.HiddenTask | None = None
    stuck: t.StuckTask | None = None
    lost: t.LostTask | None = None
    unknown_state: t.UnknownState | None = None
    swapped: t.SwappedTask | None = None
    fails: t.FailedTask | None = None
    webhook: t.WebhookFault = field(default_factory=t.WebhookFault)

    @property
    def makes_task(self) -> bool:
        """The submit gets as far as a task."""
        return not precedes_work(self.submit)

    @property
    def blocked(self) -> bool:
        """The prompt is refused."""
        return self.damage is not None and self.damage.what == "blocked"

    @property
    def swaps_result(self) -> bool:
        """The result that is shown is another task's."""
        return self.swapped is not None and self.swapped.what != "id"

    @property
    def unbilled(self) -> bool:
        """Nothing will be rendered."""
        ends = (self.fails, self.stuck, self.lost)
        return self.blocked or any(end is not None and not end.billed for end in ends)


def plan_of(fault: Fault | None) -> TaskFaultPlan:
    """Sort a fault, or several; of two of a kind the later one counts, and polls add up."""
    plan = TaskFaultPlan()
    for part in fault.faults if isinstance(fault, t.FaultGroup) else (fault,):
        _put(plan, part)
    return plan


def _put(plan: TaskFaultPlan, fault: Fault | None) -> None:
    if isinstance(fault, NoAnswer | BadTransfer):
        plan.submit = fault
        return
    match fault:
        case BadPayload():
            plan.damage = fault
        case t.LateSubmit():
            plan.late = fault.seconds
        case t.PollFaults():
            plan.polls.extend(fault.faults)
        case t.HiddenTask():
            plan.hidden = fault
        case t.StuckTask():
            plan.stuck = fault
        case t.LostTask():
            plan.lost = fault
        case t.UnknownState():
            plan.unknown_state = fault
        case t.SwappedTask():
            plan.swapped = fault
        case t.FailedTask():
            plan.fails = fault
        case t.WebhookFault():
            plan.webhook = fault
