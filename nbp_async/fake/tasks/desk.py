"""The desk where tasks are handed in, looked at and taken back, in any service's words."""

from collections.abc import Mapping

from aiohttp import web
from msgspec.json import encode

from nbp_async.fake.answers import torn
from nbp_async.fake.bank import Bank
from nbp_async.fake.chance import chance
from nbp_async.fake.counters import Counters
from nbp_async.fake.faults import Break, Raw, Refuse, Travel
from nbp_async.fake.front import Front, Visit
from nbp_async.fake.odds import Script
from nbp_async.fake.quotas import Denial
from nbp_async.fake.reading import able_to_sign, payer
from nbp_async.fake.refusals import RefusalError, denied, status_of
from nbp_async.fake.settings import Settings
from nbp_async.fake.signing import Keys
from nbp_async.fake.studio import Studio
from nbp_async.fake.tasks.plan import plan_of
from nbp_async.fake.tasks.service import Service, Stop
from nbp_async.fake.tasks.task import Task
from nbp_async.fake.tasks.workshop import Workshop


class Desk:
    """Serves the visits of all task services.

    Args:
        settings: How the vendor works.
        services: What is spoken here.
        bank: Whose keys are taken.
        script: Faults that were ordered.
        counters: Count looks.
        studio: Draws the faults that come by chance.
        workshop: Where the tasks are.
        front: Answers.
        keys: What webhooks are signed with; those who check ask for them.
    """

    def __init__(
        self, settings: Settings, services: tuple[Service, ...], *, bank: Bank, script: Script,
        counters: Counters, studio: Studio, workshop: Workshop, front: Front, keys: Keys,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._services = services
        self._bank = bank
        self._script = script
        self._counters = counters
        self._studio = studio
        self._workshop = workshop
        self._front = front
        self._keys = keys

    def find(self, method: str, path: str, query: Mapping[str, str]) -> tuple[Service, Stop] | None:
        """Whose address this is, and what it is for; None if it is no task service's."""
        if path.startswith("/images/"):
            return None  # the image store is asked often, and no service begins so
        for service in self._services:
            stop = service.stop(method, path, query)
            if stop is not None:
                return service, stop
        return None

    async def serve(self, visit: Visit, service: Service, stop: Stop) -> web.StreamResponse:
        """Answer a visit that `find` knew.

        Raises:
            RefusalError: The vendor would not take it.
            ConnectionError: The client left in the middle of it.
        """
        if stop.verb == "submit":
            return await self._submit(visit, service, stop)
        if stop.verb == "keys":
            await able_to_sign(self._keys, service.scheme)
            return await self._front.say(visit, 200, encode(await self._keys.jwks(service.scheme)))
        visit.account = payer(visit.request, service.voice, self._bank)
        if stop.verb == "secret":
            return await self._front.say(visit, 200, encode({"key": self._keys.secrets[0]}))
        if stop.verb in ("look", "result"):
            self._counters.looked(self._workshop.now)
        task = self._workshop.find(stop.task, service.name, visit.account)
        if stop.verb in ("look", "result"):
            return await self._look(visit, service, stop, task)
        if not self._workshop.seen(task):
            raise _unknown(stop.task)
        took = self._workshop.stop(task)
        if stop.verb == "delete":
            self._workshop.forget(task)
        said = service.cancelled(self._workshop.view(task), took=took)
        return (await self._front.send(visit, said.status, said.body)).response

    async def _submit(self, visit: Visit, service: Service, stop: Stop) -> web.StreamResponse:
        early = self._script.take_early()
        if early is not None:
            return await self._front.instead(visit, early)
        request = visit.request
        visit.account = account = payer(request, service.voice, self._bank)
        order = await service.read(stop, request)
        if order.callback:
            await able_to_sign(self._keys, service.scheme)
        self._counters.record(request.path, request.headers, order.kept, self._workshop.now)
        plan = plan_of(self._script.take(order.ask.prompt) or self._studio.fault(order.ask))
        if not plan.made:
            assert plan.submit is not None
            return await self._front.instead(visit, plan.submit)
        replay = request.headers.get("Idempotency-Key") if self._settings.idempotency else None
        task = self._workshop.take_in(service, account, order, plan, replay)
        if isinstance(task, Denial):
            body, headers = denied(service.voice, task, order.ask.model)
            return await self._front.say(visit, status_of(service.voice, 429), body, headers)
        self._front.settle(visit)
        luck = chance(self._settings.seed, "submit", task.id)
        wait = self._settings.submit_latency.seconds(luck, order.ask.tier) + plan.late
        await self._workshop.pause(wait)
        if isinstance(plan.submit, Refuse | Break | Raw):
            return await self._front.instead(visit, plan.submit)
        said = service.submitted(self._workshop.view(task))
        return (await self._front.send(visit, said.status, said.body, plan.submit)).response

    async def _look(
        self, visit: Visit, service: Service, stop: Stop, task: Task
    ) -> web.StreamResponse:
        task.looks += 1
        settings, plan = self._settings, task.plan
        luck = (settings.seed, task.id, task.looks)
        tier = task.order.ask.tier
        await self._workshop.pause(settings.look_latency.seconds(chance("look", *luck), tier))
        if not self._workshop.seen(task):
            raise _unknown(stop.task)
        fault = plan.looks.popleft() if plan.looks else None
        if fault is None and settings.look_faults:
            fault = settings.look_faults.draw(chance("look fault", *luck))
        if isinstance(fault, Refuse | Break | Raw):
            return await self._front.instead(visit, fault)
        said = service.shown(stop, self._workshop.view(task, swapped=True))
        if said.result and isinstance(fault, Travel) and fault.silent:
            self._workshop.handed(task, delivered=True)
        body = torn(said.body, plan.spoil) if said.result else said.body
        sent = await self._front.send(visit, said.status, body, fault)
        if said.result:
            self._workshop.handed(task, delivered=sent.delivered)
        return sent.response


def _unknown(task: str) -> RefusalError:
    return RefusalError(404, f"Task {task} was not found.", code="task_not_found")
