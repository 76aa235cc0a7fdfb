"""The vendor at work: from a request to an image, a bill and an answer.

A paid call goes through the same stops as at a real vendor: key, request, quota, work, ledger,
answer. A client that leaves does not stop the work, nor take its row out of the ledger.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec
from aiohttp import web

from nbp_async.fake.answers import Body, torn
from nbp_async.fake.asks import MODELS, Ask
from nbp_async.fake.bank import Account, Bank, Row
from nbp_async.fake.batch_desk import BatchDesk
from nbp_async.fake.counters import Counters
from nbp_async.fake.door import Door
from nbp_async.fake.faults import Break, Fault, Raw, Refuse, Spoil, Travel
from nbp_async.fake.files import Files
from nbp_async.fake.front import Front, Visit
from nbp_async.fake.gemini_batch import Batches
from nbp_async.fake.odds import Script
from nbp_async.fake.openai_desk import OpenAIDesk
from nbp_async.fake.quotas import Denial
from nbp_async.fake.reading import payer, read_ask, voice_of
from nbp_async.fake.refusals import RefusalError, Voice, denied, moderated, said, status_of
from nbp_async.fake.settings import Settings
from nbp_async.fake.signing import Keys
from nbp_async.fake.store import Store
from nbp_async.fake.studio import Studio
from nbp_async.fake.tasks import services_of
from nbp_async.fake.tasks.desk import Desk
from nbp_async.fake.tasks.workshop import Workshop
from nbp_async.fake.webhooks import Post
from nbp_async.fake.works import Works

Serve = Callable[[Visit], Awaitable[web.StreamResponse]]


class Vendor:
    """Serves both APIs and the image store; one for each server, on one loop."""

    def __init__(
        self, settings: Settings, *, bank: Bank, store: Store, script: Script,
        counters: Counters, root: str, keys: Keys,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._bank = bank
        self._store = store
        self._script = script
        self._counters = counters
        self._studio = Studio(settings, store, root)
        self._loop = asyncio.get_running_loop()
        self._replays: dict[tuple[str, str], asyncio.Task[Row | Denial]] = {}
        self._visits: set[Visit] = set()
        self.door = Door(self._handle, counters)
        self._front = Front(settings, counters, self.door.gone)
        self._works = Works(bank, self._studio, self._front.meter)
        self.post = Post(settings, keys, counters)
        self._workshop = Workshop(
            settings, bank=bank, counters=counters, studio=self._studio, works=self._works,
            unsettled=self._front.unsettled, post=self.post, root=root,
        )  # fmt: skip
        self._files = files = Files(settings.clock)
        self._batches = Batches(
            settings, bank=bank, studio=self._studio, files=files,
            unsettled=self._front.unsettled, script=script, post=self.post,
        )  # fmt: skip
        self._batch_desk = BatchDesk(
            bank=bank, files=files, batches=self._batches, script=script, counters=counters,
            front=self._front, root=root, keys=keys,
        )  # fmt: skip
        self._openai = OpenAIDesk(
            settings, bank=bank, studio=self._studio, script=script, front=self._front
        )
        self._desk = Desk(
            settings, services_of(interactions=settings.interactions), bank=bank, script=script,
            counters=counters, studio=self._studio, workshop=self._workshop, front=self._front,
            keys=keys,
        )  # fmt: skip

    async def drained(self) -> None:
        """Return when no paid call can add to the ledger, or change it, any more."""
        await self._front.unsettled.none()

    def abandon(self) -> None:
        """Stop all work: the vendor goes down."""
        for visit in self._visits:
            if visit.task is not None:
                visit.task.cancel()
        for replay in self._replays.values():
            replay.cancel()
        self._workshop.abandon()
        self._batches.abandon()
        self._openai.abandon()
        self._files.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        voice = voice_of(path)
        if voice is not None and request.method == "POST":
            return await self._paid(request, voice, self._serve)
        task = self._desk.find(request.method, path, request.query)
        if task is not None:
            service, stop = task
            serve = partial(self._desk.serve, service=service, stop=stop)
            handle = self._paid if stop.verb == "submit" else self._asked
            return await handle(request, service.voice, serve)
        openai = self._openai.find(request.method, path, request.headers)
        if openai is not None:
            return await self._asked(request, "openai", openai)
        batch = self._batch_desk.find(request.method, path)
        if batch is not None:
            return await self._asked(request, "google", batch)
        self._counters.downloads += path.startswith("/images/")
        voice = "google" if path.startswith("/v1beta") else "openai"
        return await self._asked(request, voice, partial(self._free, path=path))

    async def _asked(
        self, request: web.BaseRequest, voice: Voice, serve: Serve
    ) -> web.StreamResponse:
        """A visit that costs nothing."""
        visit = self._front.visit(request, voice)
        self._visits.add(visit)
        try:
            return await serve(visit)
        except RefusalError as no:
            return await self._front.say(visit, status_of(voice, no.status), said(voice, no))
        except ConnectionError:
            return web.Response()  # the client left while it was still asking
        finally:
            self._visits.discard(visit)

    async def _paid(
        self, request: web.BaseRequest, voice: Voice, serve: Serve
    ) -> web.StreamResponse:
        counters = self._counters
        counters.arrived()
        visit = self._front.visit(request, voice)
        self._front.pays(visit)
        self._visits.add(visit)
        try:
            return await serve(visit)
        except RefusalError as no:
            return await self._front.say(visit, status_of(voice, no.status), said(voice, no))
        except ConnectionError:
            return web.Response()  # the client left while it was still asking
        finally:
            self._front.settle(visit)
            self._visits.discard(visit)
            counters.in_flight -= 1
            counters.by_status[visit.status] += 1

    async def _serve(self, visit: Visit) -> web.StreamResponse:
        request = visit.request
        early = self._script.take_early()
        if early is not None:
            return await self._front.instead(visit, early)
        visit.account = account = payer(request, visit.voice, self._bank)
        ask, document = await read_ask(request)
        self._counters.record(request.path, request.headers, document, self._loop.time())
        fault = self._script.take(ask.prompt) or self._studio.fault(ask)
        if _comes_first(fault):
            assert fault is not None
            return await self._front.instead(visit, fault)
        spoil = fault if isinstance(fault, Spoil) else None
        if spoil is not None and spoil.what == "blocked" and visit.voice == "openai":
            raise moderated()
        row = await self._once(visit, account, ask, fault)
        if isinstance(row, Denial):
            body, headers = denied(visit.voice, row, ask.model)
            return await self._front.say(visit, 429, body, headers)
        if isinstance(fault, Break | Raw | Refuse):
            self._bank.settle(row, delivered=False)
            return await self._front.instead(visit, fault)
        answer = torn(self._studio.answer(ask, visit.id, fault), spoil)
        return await self._deliver(visit, row, answer, fault)

    async def _once(
        self, visit: Visit, account: Account, ask: Ask, fault: Fault | None
    ) -> Row | Denial:
        """Do the work; for an idempotency key that is known, only wait for what it brought."""
        name = visit.request.headers.get("Idempotency-Key")
        if name is None or not self._settings.idempotency:
            return await self._make(visit, account, ask, fault)
        known = self._replays.get((account.key, name))
        if known is None or _brought_nothing(known):
            known = self._loop.create_task(self._make(visit, account, ask, fault))
            self._replays[account.key, name] = known
        return await asyncio.shield(known)

    async def _make(
        self, visit: Visit, account: Account, ask: Ask, fault: Fault | None
    ) -> Row | Denial:
        """Hold the call as long as the work takes, and write it down; or say which quota forbids.

        What is refused for its words is refused at once, and costs only the reading.
        """
        price = self._works.admit(account, ask)
        if isinstance(price, Denial):
            return price
        try:
            hold = self._studio.hold(ask)
            if hold > 0 and not (isinstance(fault, Spoil) and fault.what == "blocked"):
                await asyncio.sleep(hold)
        except asyncio.CancelledError:
            self._works.drop(account, price)
            raise
        return self._works.render(visit.id, account, ask, fault, price)

    async def _deliver(
        self, visit: Visit, row: Row, body: Body, fault: Fault | None
    ) -> web.StreamResponse:
        if isinstance(fault, Travel) and fault.silent:
            self._bank.settle(row, delivered=True)
            self._front.settle(visit)
        sent = await self._front.send(visit, 200, body, fault)
        if not row.delivered:
            self._bank.settle(row, delivered=sent.delivered)
        return sent.response

    async def _free(self, visit: Visit, path: str) -> web.StreamResponse:
        """What costs nothing: images, lists of models, the witness."""
        request = visit.request
        if request.method not in ("GET", "HEAD"):
            return await self._unknown(visit)
        if path.startswith("/images/"):
            return await self._download(visit)
        if path == "/stats":
            return await self._front.say(visit, 200, self._witness("prompts" in request.query))
        if path in ("/v1/models", "/v1beta/models"):
            try:
                payer(request, visit.voice, self._bank)
            except RefusalError as no:
                return await self._front.say(visit, no.status, said(visit.voice, no))
            return await self._front.say(visit, 200, _models(visit.voice))
        return await self._unknown(visit)

    async def _unknown(self, visit: Visit) -> web.StreamResponse:
        no = RefusalError(404, f"Invalid URL ({visit.request.method} {visit.request.path})")
        return await self._front.say(visit, 404, said(visit.voice, no))

    async def _download(self, visit: Visit) -> web.StreamResponse:
        fault = self._script.take_download()
        if isinstance(fault, Refuse | Break | Raw):
            return await self._front.instead(visit, fault)
        found = await self._store.find(visit.request)
        headers = dict(found.headers)
        body = [] if visit.request.method == "HEAD" else found.body
        if visit.request.method == "HEAD":
            headers["Content-Length"] = str(sum(map(len, found.body)))
        sent = await self._front.send(visit, found.status, Body(body, found.kind), fault, headers)
        return sent.response

    def _witness(self, with_prompts: bool) -> bytes:
        bank = self._bank
        stats = self._counters.stats(
            asyncio.get_running_loop().time(),
            dollars=bank.billed,
            images=bank.images,
            lost=bank.lost,
        )
        document: dict[str, object] = {"stats": stats, "rows": len(bank.ledger)}
        if with_prompts:
            document["images_by_prompt"] = bank.by_digest()
        return msgspec.json.encode(document)


def _brought_nothing(work: "asyncio.Task[Row | Denial]") -> bool:
    return work.done() and (work.cancelled() or isinstance(work.result(), Denial))


def _comes_first(fault: Fault | None) -> bool:
    """The fault comes before any work."""
    if isinstance(fault, Refuse):
        return not fault.billed
    return isinstance(fault, Break | Raw) and fault.before


def _models(voice: Voice) -> bytes:
    if voice == "google":
        methods = ["generateContent"]
        listed = [
            {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": methods}
            for name in MODELS
        ]
        return msgspec.json.encode({"models": listed})
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "fake"} for name in MODELS]
    return msgspec.json.encode({"object": "list", "data": data})
