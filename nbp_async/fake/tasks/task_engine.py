"""Runs tasks, bills them, keeps them for a while, and sends their webhooks.

A task is held to the same quotas and takes the same time as a held call, and it has an entry in
the ledger the moment it is rendered, whether or not anybody polls. Its id, its time and its faults
are drawn from the job and not from when it came.
"""

import asyncio
import math
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import msgspec

from nbp_async.fake.api_errors import ApiError
from nbp_async.fake.bank import BankAccount
from nbp_async.fake.image_spec import ImageSpec
from nbp_async.fake.quotas import Denial
from nbp_async.fake.seeded_random import digest
from nbp_async.fake.signing import OutgoingWebhook
from nbp_async.fake.tasks.fake_task import FakeTask
from nbp_async.fake.tasks.service_table import TaskState
from nbp_async.fake.tasks.submission import Submission
from nbp_async.fake.tasks.task_fault_plan import TaskFaultPlan
from nbp_async.fake.tasks.task_service import TaskService
from nbp_async.fake.tasks.task_view import BLOCKED, TaskView
from nbp_async.fake.vendor_parts import VendorParts

_SOON = 0.1  # of the usual time: when a task is looked at again that takes longer


class TaskEngine:
    """The tasks of all services; one for each server."""

    def __init__(self, parts: VendorParts) -> None:
        self._parts = parts
        self._settings = parts.settings
        self._renderer = parts.renderer
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[str, FakeTask] = {}
        self._over: deque[FakeTask] = deque()
        self._made: Counter[str] = Counter()
        self._replays: dict[tuple[str, str], FakeTask] = {}

    @property
    def now(self) -> float:
        """Seconds on the loop's clock."""
        return self._loop.time()

    async def pause(self, seconds: float) -> None:
        """Let so many simulated seconds pass."""
        if seconds > 0:
            await asyncio.sleep(seconds / self._settings.speed)

    def shut_down(self) -> None:
        """Stop all work: the vendor goes down."""
        for task in self._tasks.values():
            if task.start_timer is not None:
                task.start_timer.cancel()
            self._stop_work(task)

    def submit(
        self,
        service: TaskService,
        account: BankAccount,
        submission: Submission,
        plan: TaskFaultPlan,
        replay: str | None,
    ) -> FakeTask | Denial:
        """Begin a task, or say which quota forbids it; `replay` is its idempotency key."""
        self._forget_old()
        known = self._replays.get((account.key, replay)) if replay else None
        if known is not None and known.id in self._tasks:
            return known
        spec = submission.spec
        spec = msgspec.structs.replace(spec, kind=self._renderer.kind_of(spec))
        submission = msgspec.structs.replace(submission, spec=spec)
        price = self._parts.accounting.admit(account, spec)
        if isinstance(price, Denial):
            return price
        task = FakeTask(
            self._new_id(service, submission.spec),
            service,
            account,
            submission,
            plan,
            price=price,
            made=self.now,
            hold=self._renderer.draw_hold(submission.spec),
            created=self._settings.clock(),
        )
        if plan.blocked:
            task.due = task.begins  # the vendor refuses it before the work
        if replay:
            self._replays[account.key, replay] = task
        self._begin_work(task)
        return task

    def find(self, name: str, service: str, account: BankAccount) -> FakeTask:
        """The task of this id.

        Raises:
            ApiError: It is not known: not here, not under this key, or not any more.
        """
        self._forget_old()
        task = self._tasks.get(name)
        if task is None or task.account is not account or task.service.name != service:
            raise ApiError(404, f"Task {name} was not found.", code="task_not_found")
        return task

    def of(self, service: str, account: BankAccount) -> list[FakeTask]:
        """The tasks of this key that are known, newest first."""
        self._forget_old()
        known = (t for t in self._tasks.values() if t.account is account)
        return [t for t in known if t.service.name == service and self.is_visible(t)][::-1]

    async def wait_for_end(self, task: FakeTask, within: float) -> None:
        """Return when the task has ended, or after so many simulated seconds."""
        limit = None if math.isinf(within) else within / self._settings.speed
        with suppress(TimeoutError):
            await asyncio.wait_for(task.over.wait(), limit)

    async def wait_for_change(self, task: FakeTask) -> None:
        """Return when a task that has not ended is worked on, or has ended."""
        begins = task.begins - self.now
        if begins > 0:
            await self.wait_for_end(task, begins * self._settings.speed)
        else:
            await task.over.wait()

    def is_visible(self, task: FakeTask) -> bool:
        """No fault hides it, and it is not lost."""
        age = (self.now - task.made) * self._settings.speed
        hidden, lost = task.plan.hidden, task.plan.lost
        if hidden is not None and (age < hidden.seconds or task.polls <= hidden.looks):
            return False
        return lost is None or age < lost.after

    def cancel(self, task: FakeTask) -> bool:
        """Stop a task that is not rendered yet: it costs nothing then. False if it is too late."""
        if task.state != "pending" or task.entry is not None:
            return False
        self._stop_work(task)
        self._end(task, "cancelled")
        return True

    def forget(self, task: FakeTask) -> None:
        """From now on it is unknown; a result that nobody has read is lost."""
        self._tasks.pop(task.id, None)
        if task.entry is not None and task.entry.delivered is None:
            self._parts.bank.settle(task.entry, delivered=False)

    def mark_delivered(self, task: FakeTask, *, delivered: bool) -> None:
        """Note in the ledger whether the result reached the client; another task's does not."""
        if task.entry is not None and not task.entry.delivered:
            delivered = delivered and not task.plan.swaps_result
            self._parts.bank.settle(task.entry, delivered=delivered)

    def view(self, task: FakeTask, *, swapped: bool = False) -> TaskView:
        """The task as it is now; `swapped`: with another's id, if a fault wants it."""
        unknown, name = task.plan.unknown_state, None
        if unknown is not None and (unknown.looks is None or task.polls <= unknown.looks):
            name = unknown.name
        fault = task.plan.swapped
        shows_other = swapped and fault is not None and fault.what != "result"
        view = TaskView(
            id=self._other_id(task) if shows_other else task.id,
            submission=task.submission,
            state=task.state_at(self.now),
            name=name,
            progress=task.progress(self.now),
            code=task.code,
            message=task.message,
            made=task.created,
            ended=task.ended,
            started=task.created + task.begins - task.made,
            root=self._parts.root,
            left=0.0 if task.ended_at is not None else self._seconds_left(task),
        )
        return self._with_result(view, task) if view.state == "completed" and not name else view

    def _seconds_left(self, task: FakeTask) -> float:
        """What a vendor would guess: it knows what is usual, and not what will be."""
        usual = self._settings.usual(task.submission.spec.size)
        return max(usual - (self.now - task.made), usual * _SOON)

    def _with_result(self, view: TaskView, task: FakeTask) -> TaskView:
        spec, damage, renderer = task.result, task.plan.damage, self._renderer
        in_answer = not task.links and not (damage and damage.what == "thought")
        return msgspec.structs.replace(
            view,
            answer=renderer.payload(
                spec, task.id, damage, links=task.links, created=int(task.created)
            ),
            tokens=renderer.count(spec, damage)[1],
            links=task.links,
            texts=renderer.texts(spec, damage) if in_answer else (),
        )

    def _new_id(self, service: TaskService, spec: ImageSpec) -> str:
        job = digest(spec.prompt, spec.size).hex()
        self._made[job] += 1
        name = digest(self._settings.seed, "task", service.name, job, self._made[job]).hex()
        return service.id_of(name)

    def _other_id(self, task: FakeTask) -> str:
        """The id of another task of this key; an unknown id, if there is no other."""
        mine = (t.id for t in self._tasks.values() if t.account is task.account and t is not task)
        return next(mine, task.service.id_of(digest("another", task.id).hex()))

    def _begin_work(self, task: FakeTask) -> None:
        self._tasks[task.id] = task
        self._parts.responder.pending_charges.begin()
        self._parts.counters.tasks += 1
        self._parts.counters.open_tasks += 1
        task.timer = self._loop.call_at(task.due, self._finish, task)
        if len(task.service.events) > 1 and task.submission.callback:
            task.start_timer = self._loop.call_at(task.begins, self._send_start, task)

    def _end_work(self, task: FakeTask) -> None:
        """The work has ended, or was stopped."""
        task.timer = None
        self._parts.counters.open_tasks -= 1
        self._parts.responder.pending_charges.end()

    def _stop_work(self, task: FakeTask) -> None:
        """Stop the work, if it goes on; it costs nothing."""
        if task.timer is not None:
            task.timer.cancel()
            self._parts.accounting.release(task.account, task.price)
            self._end_work(task)

    def _finish(self, task: FakeTask) -> None:
        """Its time is over: it is rendered, or not, and billed."""
        plan, bank = task.plan, self._parts.bank
        if plan.unbilled:
            self._parts.accounting.release(task.account, task.price)
        else:
            task.entry = self._parts.accounting.charge(
                task.id, task.account, task.submission.spec, plan.damage, task.price
            )
            if plan.fails is not None or plan.stuck is not None:
                bank.settle(task.entry, delivered=False)
        self._end_work(task)
        if plan.stuck is not None:
            return
        if plan.fails is not None:
            task.code, task.message = plan.fails.code, plan.fails.message
        elif plan.blocked:
            task.code = BLOCKED
            task.message = "The request was rejected by the safety system."
        if task.code:
            self._end(task, "failed")
            return
        if plan.swaps_result:
            task.result = msgspec.structs.replace(task.result, prompt=f"not {task.result.prompt}")
        if plan.damage is None or plan.damage.what != "thought":
            task.links = self._renderer.links(task.result, plan.damage)
        self._end(task, "completed")

    def _end(self, task: FakeTask, state: TaskState) -> None:
        task.state = state
        task.ended_at = self.now
        task.ended = self._settings.clock()
        task.over.set()
        self._over.append(task)
        if task.start_timer is not None:
            task.start_timer.cancel()
            task.start_timer = None
        events = task.service.events
        self._send(task, events[::-1] if task.plan.webhook.reverse else events[-1:])

    def _send_start(self, task: FakeTask) -> None:
        task.start_timer = None
        if not task.plan.webhook.reverse:
            self._send(task, task.service.events[:1])

    def _send(self, task: FakeTask, events: Sequence[str]) -> None:
        """Send the webhooks of these events, one after the other."""
        submission = task.submission
        if not submission.callback:
            return
        chosen = submission.events  # an event by itself, or with the state: "response.completed"
        wanted = [e for e in events if chosen is None or {e, f"{e}.{task.state}"} & {*chosen}]
        webhooks = [self._webhook(task, event) for event in wanted]
        if webhooks:
            taken = partial(self.mark_delivered, task, delivered=True)
            self._parts.webhooks.send(webhooks, task.service.signs, task.plan.webhook, taken)

    def _webhook(self, task: FakeTask, event: str) -> OutgoingWebhook:
        view = self.view(task)
        if event != task.service.events[-1]:
            view = view.begun()
        reply = task.service.reply("event", view)
        id_ = f"msg_{digest(task.id, event).hex()[:24]}"
        body = b"".join(reply.payload.pieces)
        return OutgoingWebhook(id_, task.id, task.submission.callback, body, reply.delivers)

    def _forget_old(self) -> None:
        """Forget the tasks that ended long ago."""
        until = self.now - self._settings.task_retention / self._settings.speed
        while self._over and (self._over[0].ended_at or 0.0) < until:
            self.forget(self._over.popleft())
