"""Tasks from the order to the end: worked on, billed, kept, forgotten.

A task is worked on as a held call is: the same quotas, the same time, and a row in the ledger the
moment it is rendered, whether or not anybody looks. Its id, its time and its faults are drawn from
the job and not from when it came.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from functools import partial

import msgspec

from nbp_async.fake.bank import Account, Bank
from nbp_async.fake.chance import digest
from nbp_async.fake.counters import Counters
from nbp_async.fake.front import Unsettled
from nbp_async.fake.quotas import Denial
from nbp_async.fake.refusals import RefusalError
from nbp_async.fake.settings import Settings
from nbp_async.fake.signing import Letter
from nbp_async.fake.studio import Studio
from nbp_async.fake.tasks.plan import Plan
from nbp_async.fake.tasks.service import Service
from nbp_async.fake.tasks.task import QUEUED, Task
from nbp_async.fake.tasks.view import Order, State, View, begun
from nbp_async.fake.webhooks import Post
from nbp_async.fake.works import Works


class Workshop:
    """Works on tasks, and keeps them for a while; one for each server.

    Args:
        settings: How the vendor works.
        bank: Settles the rows of those that were read.
        counters: Count the open ones.
        studio: Draws.
        works: Lets work in and writes it down.
        unsettled: Waits for what is in work.
        post: Sends webhooks.
        root: The server's own address.
    """

    def __init__(
        self, settings: Settings, *, bank: Bank, counters: Counters, studio: Studio, works: Works,
        unsettled: Unsettled, post: Post, root: str,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._bank = bank
        self._counters = counters
        self._studio = studio
        self._works = works
        self._unsettled = unsettled
        self._post = post
        self._root = root
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[str, Task] = {}
        self._over: deque[Task] = deque()
        self._made: Counter[str] = Counter()
        self._replays: dict[tuple[str, str], Task] = {}

    @property
    def now(self) -> float:
        """Seconds on the loop's clock."""
        return self._loop.time()

    async def pause(self, seconds: float) -> None:
        """Let so many simulated seconds pass."""
        if seconds > 0:
            await asyncio.sleep(seconds / self._settings.speed)

    def abandon(self) -> None:
        """Stop all work: the vendor goes down."""
        for task in self._tasks.values():
            if task.starts is not None:
                task.starts.cancel()
            self._give_up(task)

    def take_in(
        self, service: Service, account: Account, order: Order, plan: Plan, replay: str | None
    ) -> Task | Denial:
        """Begin a task, or say which quota forbids it; `replay` names one that may be known."""
        self._sweep()
        known = self._replays.get((account.key, replay)) if replay else None
        if known is not None and known.id in self._tasks:
            return known
        price = self._works.admit(account, order.ask)
        if isinstance(price, Denial):
            return price
        settings, ask = self._settings, order.ask
        job = digest(ask.prompt, ask.tier).hex()
        self._made[job] += 1
        name = digest(settings.seed, "task", service.name, job, self._made[job]).hex()
        task = Task(
            service.name_of(name), service, account, order, plan,
            price=price, made=self.now, hold=self._studio.hold(ask), created=settings.clock(),
        )  # fmt: skip
        if plan.spoil is not None and plan.spoil.what == "blocked":
            task.due = task.made + (task.due - task.made) * QUEUED
        self._tasks[task.id] = task
        if replay:
            self._replays[account.key, replay] = task
        self._unsettled.begin()
        self._counters.tasks += 1
        self._counters.open_tasks += 1
        task.timer = self._loop.call_at(task.due, self._finish, task)
        if len(service.events) > 1 and order.callback:
            task.starts = self._loop.call_at(task.begins, self._started, task)
        return task

    def find(self, name: str, service: str, account: Account) -> Task:
        """The task of this id.

        Raises:
            RefusalError: Nobody knows it: not here, not under this key, or not any more.
        """
        self._sweep()
        task = self._tasks.get(name)
        if task is None or task.account is not account or task.service.name != service:
            raise RefusalError(404, f"Task {name} was not found.", code="task_not_found")
        return task

    def seen(self, task: Task) -> bool:
        """It is not hidden, and not lost."""
        age = (self.now - task.made) * self._settings.speed
        hidden, lost = task.plan.hidden, task.plan.lost
        if hidden is not None and (age < hidden.seconds or task.looks <= hidden.looks):
            return False
        return lost is None or age < lost.after

    def stop(self, task: Task) -> bool:
        """Stop a task that is not rendered yet: it costs nothing then. False if there is none."""
        if task.state != "pending" or task.row is not None:
            return False
        self._give_up(task)
        self._end(task, "cancelled")
        return True

    def forget(self, task: Task) -> None:
        """Nobody knows it from now on; what nobody read by then is lost."""
        self._tasks.pop(task.id, None)
        if task.row is not None and task.row.delivered is None:
            self._bank.settle(task.row, delivered=False)

    def handed(self, task: Task, *, delivered: bool) -> None:
        """The result was given to somebody; not if it was another task's."""
        swapped = task.plan.swapped
        if swapped is not None and swapped.what != "id":
            delivered = False
        if task.row is not None and not task.row.delivered:
            self._bank.settle(task.row, delivered=delivered)

    def view(self, task: Task, *, swapped: bool = False) -> View:
        """The task as it is shown now; `swapped` as its fault may want it."""
        state, name = task.stands(self.now), None
        misnamed = task.plan.misnamed
        if misnamed is not None and (misnamed.looks is None or task.looks <= misnamed.looks):
            name = misnamed.name
        body, usage, texts = None, None, list[Sequence[bytes]]()
        if state == "completed" and name is None:
            ask, spoil = task.result, task.plan.spoil
            body = self._studio.answer(
                ask, task.id, spoil, links=task.links, created=int(task.created)
            )
            _, usage = self._studio.images(ask, spoil)
            if not task.links and not (spoil and spoil.what == "thought"):
                texts = self._studio.texts(ask, spoil)
        shown = task.id
        if swapped and task.plan.swapped is not None and task.plan.swapped.what != "result":
            shown = self._other(task)
        return View(
            shown, task.order, state, name, task.progress(self.now), body, task.links,
            texts, usage, task.code, task.message, task.created, task.ended, self._root,
        )  # fmt: skip

    def _other(self, task: Task) -> str:
        """The id of another task of this key; one that nobody has, if it is the only one."""
        mine = (t.id for t in self._tasks.values() if t.account is task.account and t is not task)
        return next(mine, task.service.name_of(digest("another", task.id).hex()))

    def _started(self, task: Task) -> None:
        task.starts = None
        if not task.plan.hook.reverse:
            self._tell(task, task.service.events[:1])

    def _finish(self, task: Task) -> None:
        """Its time is over: it is rendered, or not, and written down."""
        plan = task.plan
        if plan.unbilled:
            self._works.drop(task.account, task.price)
        else:
            task.row = self._works.render(
                task.id, task.account, task.order.ask, plan.spoil, task.price
            )
            if plan.fails is not None or plan.stuck is not None:
                self._bank.settle(task.row, delivered=False)
        self._off(task)
        if plan.stuck is not None:
            return
        if plan.fails is not None:
            task.code, task.message = plan.fails.code, plan.fails.message
        elif plan.spoil is not None and plan.spoil.what == "blocked":
            task.code = "content_policy_violation"
            task.message = "The request was rejected by the safety system."
        if task.code:
            self._end(task, "failed")
            return
        if plan.swapped is not None and plan.swapped.what != "id":
            task.result = msgspec.structs.replace(task.result, prompt=f"not {task.result.prompt}")
        if plan.spoil is None or plan.spoil.what != "thought":
            task.links = self._studio.links(task.result, plan.spoil)
        self._end(task, "completed")

    def _give_up(self, task: Task) -> None:
        """Stop the work, if somebody is at it."""
        if task.timer is not None:
            task.timer.cancel()
            self._works.drop(task.account, task.price)
            self._off(task)

    def _off(self, task: Task) -> None:
        """It is not worked on any more."""
        task.timer = None
        self._counters.open_tasks -= 1
        self._unsettled.end()

    def _end(self, task: Task, state: State) -> None:
        task.state = state
        task.ended_at = self.now
        task.ended = self._settings.clock()
        self._over.append(task)
        events = task.service.events
        if task.starts is not None:
            task.starts.cancel()
            task.starts = None
        self._tell(task, events[::-1] if task.plan.hook.reverse else events[-1:])

    def _tell(self, task: Task, events: tuple[str, ...]) -> None:
        """Send the webhooks of these events, one after the other."""
        order = task.order
        if not order.callback:
            return
        wanted = [e for e in events if order.events is None or e in order.events]
        letters = [self._letter(task, event) for event in wanted]
        if letters:
            taken = partial(self.handed, task, delivered=True)
            self._post.send(letters, task.service.scheme, task.plan.hook, taken)

    def _letter(self, task: Task, event: str) -> Letter:
        view = self.view(task)
        if event != task.service.events[-1]:
            view = begun(view)
        said = task.service.event(event, view)
        name = f"msg_{digest(task.id, event).hex()[:24]}"
        body = b"".join(said.body.pieces)
        return Letter(name, task.id, task.order.callback, body, said.result)

    def _sweep(self) -> None:
        """Forget the tasks whose time is over."""
        until = self.now - self._settings.task_retention / self._settings.speed
        while self._over and (self._over[0].ended_at or 0.0) < until:
            self.forget(self._over.popleft())
