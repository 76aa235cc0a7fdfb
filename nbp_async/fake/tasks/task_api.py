"""The HTTP side of tasks: submit, poll, cancel, in any service's words."""

from collections.abc import AsyncIterator, Mapping

from aiohttp import web
from msgspec import Raw
from msgspec.json import encode
from msgspec.structs import replace

from nbp_async.fake.api_errors import ApiError, ApiStyle, http_status, quota_error, retry_headers
from nbp_async.fake.bank import BankAccount
from nbp_async.fake.fault_injection import HEADER
from nbp_async.fake.faults import BadTransfer, Fault, NoAnswer, precedes_work
from nbp_async.fake.json_fields import whole_number
from nbp_async.fake.openai_webhooks import OpenAIWebhooks
from nbp_async.fake.payloads import corrupt_payload
from nbp_async.fake.quotas import Denial
from nbp_async.fake.request_reader import authenticate, require_signing
from nbp_async.fake.responder import RequestContext
from nbp_async.fake.seeded_random import seeded_uniform
from nbp_async.fake.tasks.fake_task import FakeTask
from nbp_async.fake.tasks.service_table import TaskRoute
from nbp_async.fake.tasks.submission import Submission
from nbp_async.fake.tasks.task_engine import TaskEngine
from nbp_async.fake.tasks.task_fault_plan import plan_of
from nbp_async.fake.tasks.task_service import Answer, TaskReply, TaskService
from nbp_async.fake.tasks.task_view import TaskView
from nbp_async.fake.vendor_parts import VendorParts

_PAGE = 100  # tasks of a list


class TaskApi:
    """Answers the requests to all task services.

    Attributes:
        webhooks: Where the events go of services that have no address in a submit.
    """

    def __init__(self, parts: VendorParts, services: tuple[TaskService, ...]) -> None:
        self._parts = parts
        self._settings = parts.settings
        self._responder = parts.responder
        self._services = services
        self._engine = TaskEngine(parts)
        self.webhooks = OpenAIWebhooks(parts)

    def shut_down(self) -> None:
        """Stop all work: the vendor goes down."""
        self._engine.shut_down()

    def find(
        self, method: str, path: str, query: Mapping[str, str]
    ) -> tuple[TaskService, TaskRoute] | None:
        """The service that has this address, and what is wanted; None if no service has it."""
        if path.startswith("/images/"):
            return None  # the image store is busy, and no service has such an address
        for service in self._services:
            route = service.find_route(method, path, query)
            if route is not None:
                return service, route
        return None

    def style_of(self, path: str) -> ApiStyle | None:
        """How the service writes errors that has addresses like this; None if no service has."""
        first = path.removeprefix("/").partition("/")[0]
        return next((one.style for one in self._services if one.name == first), None)

    async def serve(
        self, ctx: RequestContext, service: TaskService, route: TaskRoute
    ) -> web.StreamResponse:
        """Answer a request that `find` knew.

        Raises:
            ApiError: The vendor would not take it.
            ConnectionError: The client left in the middle of it.
        """
        parts, engine = self._parts, self._engine
        if route.submits:
            return await self._submit(ctx, service, route)
        if route.verb == "keys":
            await require_signing(parts.keys, service.signs)
            keys = await parts.keys.jwks(service.signs)
            return await self._responder.reply(ctx, 200, encode(keys))
        ctx.account = authenticate(ctx.request, service.style, parts.bank)
        if route.verb == "secret":
            return await self._responder.reply(ctx, 200, encode({"key": parts.keys.secrets[0]}))
        if route.verb == "list":
            return await self._list(ctx, service)
        polls = route.verb in ("poll", "result", "events")
        if polls:
            parts.counters.record_poll(engine.now)
        task = engine.find(route.task, service.name, ctx.account)
        if polls:
            return await self._poll(ctx, service, route, task)
        if not engine.is_visible(task):
            raise _unknown(route.task)
        stopped = engine.cancel(task)
        if route.verb == "delete":
            engine.forget(task)
        view = engine.view(task)
        reply = service.reply("cancelled", view, stopped=stopped)
        return await self._answer(ctx, task, view, reply, None)

    async def _submit(
        self, ctx: RequestContext, service: TaskService, route: TaskRoute
    ) -> web.StreamResponse:
        parts, request, responder = self._parts, ctx.request, self._responder
        early = parts.script.take_early()
        if early is not None:
            return await responder.send_fault(ctx, early)
        ctx.account = account = authenticate(request, service.style, parts.bank)
        submission = await service.read(route, request)
        if route.verb == "submit" and service.subscribes and not submission.held:
            submission = self._subscribed(service, account, submission)
        spec = submission.spec
        if submission.callback:
            await require_signing(parts.keys, service.signs)
        parts.counters.record(request.path, request.headers, submission.kept, self._engine.now)
        named = parts.script.take(spec.prompt, request.headers.get(HEADER, ""))
        plan = plan_of(named or parts.renderer.draw_fault(spec))
        if precedes_work(plan.submit):
            return await responder.send_fault(ctx, plan.submit)
        replay = request.headers.get("Idempotency-Key") if self._settings.idempotency else None
        task = self._engine.submit(service, account, submission, plan, replay)
        if isinstance(task, Denial):
            body, headers = quota_error(service.style, task, spec.model)
            return await responder.reply(ctx, http_status(service.style, 429), body, headers)
        hold = service.hold_of(submission, request.headers)
        if not hold or plan.stuck is not None:
            responder.settle(ctx)
        quantile = seeded_uniform(self._settings.seed, "submit", task.id)
        wait = self._settings.submit_latency.seconds(quantile, spec.size) + plan.late
        await self._engine.pause(wait)
        if hold:
            await self._engine.wait_for_end(task, hold)
        if isinstance(plan.submit, NoAnswer):
            if submission.held:  # nobody will ask for it again
                self._engine.mark_delivered(task, delivered=False)
            return await responder.send_fault(ctx, plan.submit)
        view = self._engine.view(task)
        reply = service.reply("result" if route.verb == "run" else "submitted", view)
        return await self._answer(ctx, task, view, reply, plan.submit)

    def _subscribed(
        self, service: TaskService, account: BankAccount, submission: Submission
    ) -> Submission:
        """The submit with the webhook that its account has asked for, once for all."""
        endpoint = self.webhooks.endpoint_for(account.key, service.events[-1])
        if endpoint is None:
            return submission
        return replace(submission, callback=endpoint.url, events=endpoint.event_types)

    async def _answer(
        self,
        ctx: RequestContext,
        task: FakeTask,
        view: TaskView,
        reply: TaskReply,
        fault: Fault | None,
    ) -> web.StreamResponse:
        """Send what is said of a task, and note in the ledger if its images are in it."""
        if not reply.delivers:
            headers = self._when_to_look(view)
            sent = await self._responder.send(ctx, reply.status, reply.payload, fault, headers)
            return sent.response
        if isinstance(fault, BadTransfer) and fault.silent:
            # The body never ends, and neither does this call: the ledger is final before.
            self._engine.mark_delivered(task, delivered=True)
            self._responder.settle(ctx)
        body = corrupt_payload(reply.payload, task.plan.damage)
        sent = await self._responder.send(ctx, reply.status, body, fault)
        self._engine.mark_delivered(task, delivered=sent.delivered)
        return sent.response

    def _when_to_look(self, view: TaskView) -> dict[str, str]:
        """Clients know what is usual at the vendor, and not how much faster we are."""
        return retry_headers(view.left or None) if self._settings.speed != 1 else {}

    async def _poll(
        self, ctx: RequestContext, service: TaskService, route: TaskRoute, task: FakeTask
    ) -> web.StreamResponse:
        task.polls += 1
        settings, plan, engine = self._settings, task.plan, self._engine
        draw = (settings.seed, task.id, task.polls)
        tier = task.submission.spec.size
        await engine.pause(settings.look_latency.seconds(seeded_uniform("look", *draw), tier))
        if not engine.is_visible(task):
            raise _unknown(route.task)
        fault = plan.polls.popleft() if plan.polls else None
        if fault is None and settings.look_faults:
            fault = settings.look_faults.draw(seeded_uniform("look fault", *draw))
        if isinstance(fault, NoAnswer):
            return await self._responder.send_fault(ctx, fault)
        logs = ctx.request.query.get("logs", "").lower() in ("1", "true")
        if route.verb == "events":
            return await self._responder.send_events(ctx, self._states(service, task, logs=logs))
        answer: Answer = "result" if route.verb == "result" else "polled"
        view = engine.view(task, swapped=True)
        return await self._answer(ctx, task, view, service.reply(answer, view, logs=logs), fault)

    async def _states(
        self, service: TaskService, task: FakeTask, *, logs: bool
    ) -> AsyncIterator[bytes]:
        """What is said of a task now, and each time that its state changes until its end."""
        while True:
            reply = service.reply("polled", self._engine.view(task, swapped=True), logs=logs)
            yield b"".join(reply.payload.pieces)
            if task.over.is_set():
                return
            await self._engine.wait_for_change(task)

    async def _list(self, ctx: RequestContext, service: TaskService) -> web.StreamResponse:
        """A page of the tasks of a key, newest first."""
        assert ctx.account is not None
        start = whole_number(ctx.request.query.get("cursor") or "0")
        if start is None:
            raise ApiError(400, "Invalid cursor.")
        tasks = self._engine.of(service.name, ctx.account)
        shown, end = tasks[start : start + _PAGE], start + _PAGE
        replies = [service.reply("polled", self._engine.view(task)) for task in shown]
        following = f"{self._parts.root}{ctx.request.path}?cursor={end}"
        page = {
            "previous": None,
            "next": following if end < len(tasks) else None,
            "results": [Raw(b"".join(reply.payload.pieces)) for reply in replies],
        }
        answer = await self._responder.reply(ctx, 200, encode(page))
        for task, reply in zip(shown, replies, strict=True):
            if reply.delivers:
                self._engine.mark_delivered(task, delivered=True)
        return answer


def _unknown(task: str) -> ApiError:
    return ApiError(404, f"Task {task} was not found.", code="task_not_found")
