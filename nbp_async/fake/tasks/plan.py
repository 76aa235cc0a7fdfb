"""What was ordered for one task, sorted by when it matters."""

from collections import deque
from dataclasses import dataclass, field

from nbp_async.fake import task_faults as t
from nbp_async.fake.faults import Break, Fault, Raw, Refuse, Spoil, Travel


@dataclass(slots=True)
class Plan:
    """A task's faults.

    Attributes:
        submit: What its submit meets on the connection.
        spoil: What is wrong with its result.
        late: Simulated seconds that the submit's answer is late.
        looks: What its looks meet, one each.
        hidden: How long nobody knows it.
        stuck: It never ends.
        lost: It is forgotten.
        misnamed: Its state has another name.
        swapped: Another task's id or result is shown.
        fails: It ends badly.
        hook: What becomes of its webhook.
    """

    submit: Fault | None = None
    spoil: Spoil | None = None
    late: float = 0.0
    looks: deque[Fault] = field(default_factory=deque)
    hidden: t.Hidden | None = None
    stuck: t.Stuck | None = None
    lost: t.Lost | None = None
    misnamed: t.Misnamed | None = None
    swapped: t.Swapped | None = None
    fails: t.Fails | None = None
    hook: t.Hook = field(default_factory=t.Hook)

    @property
    def made(self) -> bool:
        """The submit gets as far as a task."""
        fault = self.submit
        if isinstance(fault, Refuse):
            return fault.billed
        return not (isinstance(fault, Break | Raw) and fault.before)

    @property
    def answered(self) -> bool:
        """The submit is answered, well or on a bad way."""
        return not isinstance(self.submit, Refuse | Break | Raw)

    @property
    def unbilled(self) -> bool:
        """Nothing will be rendered."""
        if self.spoil is not None and self.spoil.what == "blocked":
            return True
        ends = (self.fails, self.stuck, self.lost)
        return any(end is not None and not end.billed for end in ends)


def plan_of(fault: Fault | None) -> Plan:
    """Sort a fault, or several; of two of a kind the later one holds, and looks add up."""
    plan = Plan()
    for part in fault.faults if isinstance(fault, t.Several) else (fault,):
        _put(plan, part)
    return plan


def _put(plan: Plan, fault: Fault | None) -> None:
    match fault:
        case Refuse() | Break() | Raw() | Travel():
            plan.submit = fault
        case Spoil():
            plan.spoil = fault
        case t.Late():
            plan.late = fault.seconds
        case t.Looks():
            plan.looks.extend(fault.faults)
        case t.Hidden():
            plan.hidden = fault
        case t.Stuck():
            plan.stuck = fault
        case t.Lost():
            plan.lost = fault
        case t.Misnamed():
            plan.misnamed = fault
        case t.Swapped():
            plan.swapped = fault
        case t.Fails():
            plan.fails = fault
        case t.Hook():
            plan.hook = fault
