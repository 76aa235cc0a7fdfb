"""The vendor at work: from a request to an image, a bill and an answer.

    key ──► request ──► quota ──► work (held) ──► ledger ──► answer

A client that leaves neither stops the work nor removes its entry from the ledger.
"""

import asyncio
from functools import partial

import msgspec
from aiohttp import web

from nbp_async.fake import google_models
from nbp_async.fake.accounting import Accounting
from nbp_async.fake.api_errors import (
    ApiError,
    ApiStyle,
    error_body,
    http_status,
    moderation_error,
    quota_error,
)
from nbp_async.fake.bank import Bank, BankAccount, LedgerEntry
from nbp_async.fake.connections import ConnectionServer
from nbp_async.fake.counters import Counters
from nbp_async.fake.fake_settings import FakeSettings
from nbp_async.fake.fault_control import control_faults
from nbp_async.fake.fault_injection import HEADER, FaultScript
from nbp_async.fake.faults import BadPayload, BadTransfer, Fault, NoAnswer, precedes_work
from nbp_async.fake.google_address import asks_google, google_address
from nbp_async.fake.google_batches import GoogleBatches
from nbp_async.fake.image_spec import ImageSpec
from nbp_async.fake.image_store import ImageStore
from nbp_async.fake.model_table import FAKE_MODELS
from nbp_async.fake.openai_batches import OpenAIBatches
from nbp_async.fake.payloads import Payload, corrupt_payload
from nbp_async.fake.quotas import Denial
from nbp_async.fake.renderer import Renderer
from nbp_async.fake.request_reader import (
    api_style_of,
    authenticate,
    read_body,
    read_document,
    read_image_request,
)
from nbp_async.fake.responder import RequestContext, Responder, Serve
from nbp_async.fake.seeded_random import digest
from nbp_async.fake.signing import SigningKeys
from nbp_async.fake.tasks import services_of
from nbp_async.fake.tasks.replicate_catalog import ReplicateCatalog
from nbp_async.fake.tasks.task_api import TaskApi
from nbp_async.fake.vendor_parts import VendorParts
from nbp_async.fake.webhook_sender import WebhookSender


class VendorApp:
    """Serves all APIs and the image store; one for each server, on one event loop."""

    def __init__(
        self,
        settings: FakeSettings,
        bank: Bank,
        script: FaultScript,
        counters: Counters,
        keys: SigningKeys,
        root: str,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._replays: dict[tuple[str, str], asyncio.Task[LedgerEntry | Denial]] = {}
        self._contexts: set[RequestContext] = set()
        self._store = ImageStore(
            digest("links", settings.seed), settings.links_expire, settings.clock
        )
        self.connections = ConnectionServer(self._handle, counters)
        self.webhooks = WebhookSender(settings, keys, counters)
        self._settings, self._bank, self._script, self._counters = settings, bank, script, counters
        self._renderer = Renderer(settings, self._store, root)
        self._responder = Responder(settings, counters, self.connections.wait_for_disconnect)
        self._accounting = Accounting(bank, self._renderer, self._responder.meter)
        parts = VendorParts(
            settings=settings,
            bank=bank,
            script=script,
            counters=counters,
            keys=keys,
            root=root,
            renderer=self._renderer,
            responder=self._responder,
            accounting=self._accounting,
            webhooks=self.webhooks,
        )
        self._google_batches = GoogleBatches(parts)
        self._task_api = TaskApi(parts, services_of(interactions=settings.interactions))
        self._openai_batches = OpenAIBatches(parts, self._task_api.webhooks)

        self._replicate = ReplicateCatalog(parts)

    async def wait_until_settled(self) -> None:
        """Return when no paid call can add to the ledger, or change it, any more."""
        await self._responder.pending_charges.wait_for_none()

    def shut_down(self) -> None:
        """Stop all work: the vendor goes down."""
        for ctx in self._contexts:
            if ctx.task is not None:
                ctx.task.cancel()
        for replay in self._replays.values():
            replay.cancel()
        self._google_batches.shut_down()
        self._openai_batches.engine.shut_down()
        self._task_api.shut_down()
        self._replicate.shut_down()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        style, serve, paid = self._route(request)
        return await self._serve(request, style, serve, paid=paid)

    def _route(self, request: web.BaseRequest) -> tuple[ApiStyle, Serve, bool]:
        """Whose API is asked, what serves it, and whether it is a paid call."""
        path, method = request.path, request.method
        style = api_style_of(path)
        if style is not None and method == "POST":
            return style, self._make_image, True
        task = self._task_api.find(method, path, request.query)
        if task is not None:
            service, route = task
            asks = partial(self._task_api.serve, service=service, route=route)
            return service.style, asks, route.submits
        serve = self._task_api.webhooks.find(method, path)
        if serve is not None:
            return "openai", serve, False
        serve = self._replicate.find(method, path)
        if serve is not None:
            return "replicate", serve, False
        lost = self._task_api.style_of(path)
        if lost is not None:
            return lost, self._serve_free, False
        if asks_google(request):
            return "google", self._google_batches.find(method, path) or self._serve_free, False
        self._counters.downloads += path.startswith("/images/")
        return "openai", self._openai_batches.find(method, path) or self._serve_free, False

    async def _serve(
        self, request: web.BaseRequest, style: ApiStyle, serve: Serve, *, paid: bool = False
    ) -> web.StreamResponse:
        """Answer a request; a paid one is counted, and holds the ledger open until it ends."""
        ctx = self._responder.open(request, style)
        self._contexts.add(ctx)
        if paid:
            self._counters.begin_request()
            self._responder.begin_charge(ctx)
        try:
            return await serve(ctx)
        except ApiError as exc:
            return await self._refuse(ctx, exc)
        except web.RequestPayloadError as exc:
            return await self._refuse(ctx, ApiError(400, f"The body cannot be read: {exc}"))
        except ConnectionError:
            return web.Response()  # the client left before it had sent all of its request
        finally:
            self._contexts.discard(ctx)
            if request.content.exception() is not None:
                request.protocol.force_close()  # aiohttp would read on, and fail at what we saw
            if paid:
                self._responder.settle(ctx)
                self._counters.end_request(ctx.status)

    async def _refuse(self, ctx: RequestContext, error: ApiError) -> web.StreamResponse:
        body = error_body(ctx.style, error)
        return await self._responder.reply(ctx, http_status(ctx.style, error.status), body)

    async def _make_image(self, ctx: RequestContext) -> web.StreamResponse:
        """Serve a held call."""
        request, responder = ctx.request, self._responder
        early = self._script.take_early()
        if early is not None:
            return await responder.send_fault(ctx, early)
        ctx.account = account = authenticate(request, ctx.style, self._bank)
        spec, document = await read_image_request(request)
        batches = self._google_batches if ctx.style == "google" else self._openai_batches
        for name in spec.files:
            batches.find_file(name, account)
        self._counters.record(request.path, request.headers, document, self._loop.time())
        named = request.headers.get(HEADER, "")
        fault = self._script.take(spec.prompt, named) or self._renderer.draw_fault(spec)
        if precedes_work(fault):
            return await responder.send_fault(ctx, fault)
        damage = fault if isinstance(fault, BadPayload) else None
        answers = ctx.style == "google" or spec.chat  # in its answer it says that it is refused
        if damage is not None and damage.what == "blocked" and not answers:
            raise moderation_error()
        entry = await self._render_once(ctx, account, spec, fault)
        if isinstance(entry, Denial):
            body, headers = quota_error(ctx.style, entry, spec.model)
            return await responder.reply(ctx, 429, body, headers)
        if isinstance(fault, NoAnswer):
            self._bank.settle(entry, delivered=False)
            return await responder.send_fault(ctx, fault)
        payload = corrupt_payload(self._renderer.payload(spec, ctx.id, fault), damage)
        headers = {}
        if ctx.style == "google":
            headers["x-gemini-service-tier"] = self._renderer.given_tier(spec, fault)
        return await self._deliver(ctx, entry, payload, fault, headers)

    async def _render_once(
        self, ctx: RequestContext, account: BankAccount, spec: ImageSpec, fault: Fault | None
    ) -> LedgerEntry | Denial:
        """Do the work; for a known idempotency key only wait for the first request's result."""
        name = ctx.request.headers.get("Idempotency-Key")
        if name is None or not self._settings.idempotency:
            return await self._render(ctx, account, spec, fault)
        known = self._replays.get((account.key, name))
        if known is None or _made_nothing(known):
            known = self._loop.create_task(self._render(ctx, account, spec, fault))
            self._replays[account.key, name] = known
        return await asyncio.shield(known)  # a client that leaves must not cancel the others' work

    async def _render(
        self, ctx: RequestContext, account: BankAccount, spec: ImageSpec, fault: Fault | None
    ) -> LedgerEntry | Denial:
        """Hold the call as long as the work takes, and bill it; or say which quota forbids it.

        A refused prompt is answered at once, and costs only the reading.
        """
        price = self._accounting.admit(account, spec)
        if isinstance(price, Denial):
            return price
        try:
            hold = self._renderer.draw_hold(spec)
            if hold > 0 and not (isinstance(fault, BadPayload) and fault.what == "blocked"):
                await asyncio.sleep(hold)
        except asyncio.CancelledError:
            self._accounting.release(account, price)
            raise
        return self._accounting.charge(ctx.id, account, spec, fault, price)

    async def _deliver(
        self,
        ctx: RequestContext,
        entry: LedgerEntry,
        payload: Payload,
        fault: Fault | None,
        headers: dict[str, str],
    ) -> web.StreamResponse:
        if isinstance(fault, BadTransfer) and fault.silent:
            # The body never ends, and neither does this call: the ledger is final before.
            self._bank.settle(entry, delivered=True)
            self._responder.settle(ctx)
        sent = await self._responder.send(ctx, 200, payload, fault, headers)
        if not entry.delivered:
            self._bank.settle(entry, delivered=sent.delivered)
        return sent.response

    async def _serve_free(self, ctx: RequestContext) -> web.StreamResponse:
        """Images, lists of models, statistics."""
        request, path = ctx.request, ctx.request.path
        if request.method in ("GET", "HEAD"):
            if path.startswith("/images/"):
                return await self._download(ctx)
            if path == "/stats":
                body = self._witness(with_prompts="prompts" in request.query)
                return await self._responder.reply(ctx, 200, body)
        if path == "/__faults__":
            body = await read_body(request)
            ordered = control_faults(self._script, request.method, body)
            return await self._responder.reply(ctx, 200, msgspec.json.encode(ordered))
        listed = await self._describe(ctx)
        if listed is not None:
            return await self._responder.reply(ctx, 200, msgspec.json.encode(listed))
        raise ApiError(404, f"Invalid URL ({request.method} {path})")

    async def _describe(self, ctx: RequestContext) -> object:
        """What is asked of the models; None if it is something else."""
        request, address = ctx.request, google_address(ctx.request.path)
        if address is None:
            return None
        authenticate(request, ctx.style, self._bank)
        if ctx.style == "openai":
            return _openai_models(address.model) if request.method == "GET" else None
        if address.verb == "countTokens" and request.method == "POST":
            document, _ = await read_document(request)
            return google_models.count_tokens(address, document)
        if address.verb or request.method != "GET":
            return None
        if address.model:
            return google_models.get_model(address)
        return google_models.list_models(address, request.query)

    async def _download(self, ctx: RequestContext) -> web.StreamResponse:
        fault = self._script.take_download()
        if isinstance(fault, NoAnswer):
            return await self._responder.send_fault(ctx, fault)
        found = await self._store.find(ctx.request)
        headers, body = dict(found.headers), found.body
        if ctx.request.method == "HEAD":
            headers["Content-Length"] = str(sum(map(len, body)))
            body = []
        payload = Payload(body, found.kind)
        return (await self._responder.send(ctx, found.status, payload, fault, headers)).response

    def _witness(self, *, with_prompts: bool) -> bytes:
        bank = self._bank
        stats = self._counters.stats(bank, self._loop.time())
        document: dict[str, object] = {"stats": stats, "rows": len(bank.ledger)}
        if with_prompts:
            document["images_by_prompt"] = bank.by_digest()
        return msgspec.json.encode(document)


def _made_nothing(work: "asyncio.Task[LedgerEntry | Denial]") -> bool:
    return work.done() and (work.cancelled() or isinstance(work.result(), Denial))


def _openai_models(name: str) -> object:
    """One model, or all of them."""
    models = [
        {"id": name, "object": "model", "created": 0, "owned_by": "fake"} for name in FAKE_MODELS
    ]
    if not name:
        return {"object": "list", "data": models}
    if name not in FAKE_MODELS:
        words = f"The model '{name}' does not exist"
        raise ApiError(404, words, code="model_not_found", param="model")
    return next(model for model in models if model["id"] == name)
